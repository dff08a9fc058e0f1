"""The comparator "careful": a good peer. What it has in common with us is not ours to boast of.

One shared HTTP client; where the ratio fits, the bytes are written verbatim; work on pictures happens in threads; the
preview is a thumbnail() of a lazily opened file. Still the whole body as JSON, a full decode and quality 95 for a cut,
nothing verified but by that thumbnail, nothing flushed or written down.
"""

from __future__ import annotations

import asyncio
import base64
from io import BytesIO
from pathlib import Path

import httpx
from PIL import Image

from bench.naive import WISH, centre_cut, save, thumbnail


class Careful:
    """One client for all requests."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(timeout=300)

    async def make(self, base: str, target: Path) -> list[Path]:
        """POST, fetch, frame and save; the files."""
        reply = await self._client.post(f"{base}/images/generations", json=WISH)
        made = []
        for number, item in enumerate(reply.json()["data"]):
            made.append(target.with_name(f"{target.name}-{number}"))
            if "url" in item:
                data = (await self._client.get(item["url"])).content
            else:
                data = await asyncio.to_thread(base64.b64decode, item["b64_json"])
            await asyncio.to_thread(frame, data, made[-1])
        return made

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()


def frame(data: bytes, target: Path) -> bytes:
    """From the bytes that came to the file and its preview."""
    with Image.open(BytesIO(data)) as picture:
        cut = centre_cut(picture)
        if cut is picture:
            target.write_bytes(data)
        else:
            save(cut, target, str(picture.format))
        return thumbnail(cut)
