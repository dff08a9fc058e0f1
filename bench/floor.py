"""What the hardware allows: one blocking connection, a reused buffer, nothing checked, nothing flushed, no event loop.

Coefficients are cut by libturbojpeg, base64 is undone by pybase64, the preview comes from a scaled decode. Needs both
libraries; nothing that has a user can be this bare.
"""

from __future__ import annotations

import json
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pybase64
from PIL import Image

from bench.naive import WISH
from seedframe.geometry import Box, frame_plan, parse_ratio
from seedframe.images import read_header
from seedframe.images.turbojpeg import lossless_crop

_BUFFER = bytearray(16 << 20)
_PREVIEW = (360, 640)
_VALUE = b'"b64_json":"'


class Floor:
    """One connection, kept."""

    def __init__(self) -> None:
        self._connections: dict[str, HTTPConnection] = {}

    async def make(self, base: str, target: Path) -> list[Path]:
        """As little as possible, blocking."""
        parts = urlsplit(base)
        body = self._exchange(parts.netloc, "POST", f"{parts.path}/images/generations", json.dumps(WISH))
        start = bytes(body[:200]).find(_VALUE) + len(_VALUE)
        if start >= len(_VALUE):
            end = body.obj.find(b'"', start)  # type: ignore[attr-defined]
            data = pybase64.b64decode(body[start:end])
        else:
            url = urlsplit(json.loads(bytes(body))["data"][0]["url"])
            data = bytes(self._exchange(url.netloc, "GET", url.path, None))
        _save_slot(data, target)
        return [target]

    async def close(self) -> None:
        """Hang up."""
        for connection in self._connections.values():
            connection.close()

    def _exchange(self, host: str, method: str, path: str, body: str | None) -> memoryview:
        connection = self._connections.setdefault(host, HTTPConnection(host))
        connection.request(method, path, body)
        response = connection.getresponse()
        view, length = memoryview(_BUFFER), 0
        while count := response.readinto(view[length:]):
            length += count
        return view[:length]


def _save_slot(data: bytes, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    part.write_bytes(data)
    plan = frame_plan(read_header(part).displayed, ratio=parse_ratio("9:16"))
    if plan.crop:
        part.write_bytes(lossless_crop(data, _on_grid(plan.crop)))
    part.replace(target)
    with Image.open(target) as picture:
        picture.draft("RGB", _PREVIEW)
        picture.resize(_PREVIEW, reducing_gap=1.5).save(BytesIO(), "JPEG", quality=82)


def _on_grid(box: Box) -> Box:
    return Box(box.left // 16 * 16, box.top // 16 * 16, box.width, box.height)
