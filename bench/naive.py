"""The comparator "naive": how most tools go about it.

A new HTTP client for each request, the whole body as JSON, all work on the event loop; the picture is always decoded,
cut where the ratio is off, written anew (JPEG quality 95; PNG as Pillow does by default) and shrunk for a preview.
Nothing is verified, flushed to the disk, named safely or written down.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

WISH = {"model": "bench", "prompt": "a lighthouse", "size": "1440x2560"}
_PORTRAIT = 9 / 16
_PREVIEW = 640


class Naive:
    """One request at a time or many; nothing is shared."""

    async def make(self, base: str, target: Path) -> list[Path]:
        """POST, fetch, frame and save; the files."""
        async with httpx.AsyncClient(timeout=300) as client:
            reply = await client.post(f"{base}/images/generations", json=WISH)
            items = reply.json()["data"]
        made = []
        for number, item in enumerate(items):
            made.append(target.with_name(f"{target.name}-{number}"))
            frame(await _fetch(item), made[-1])
        return made

    async def close(self) -> None:
        """Nothing is open."""


async def _fetch(item: Mapping[str, Any]) -> bytes:
    if "url" not in item:
        return base64.b64decode(item["b64_json"])
    async with httpx.AsyncClient(timeout=300) as client:
        return (await client.get(item["url"])).content


def frame(data: bytes, target: Path) -> bytes:
    """From the bytes that came to the file and its preview."""
    picture = Image.open(BytesIO(data))
    kind = str(picture.format)
    cut = centre_cut(picture)
    cut.load()
    save(cut, target, kind)
    return thumbnail(cut.copy())


def centre_cut(picture: Image.Image) -> Image.Image:
    """The middle at 9:16, or the picture itself where it fits."""
    width, height = picture.size
    if abs(width / height - _PORTRAIT) <= 0.01:
        return picture
    wide = round(height * _PORTRAIT)
    return picture.crop(((width - wide) // 2, 0, (width - wide) // 2 + wide, height))


def save(picture: Image.Image, target: Path, kind: str) -> None:
    """As people do."""
    picture.save(target, kind, **({"quality": 95} if kind == "JPEG" else {}))


def thumbnail(picture: Image.Image) -> bytes:
    """A preview the usual way."""
    picture.thumbnail((_PREVIEW, _PREVIEW))
    data = BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=82)
    return data.getvalue()
