"""Picture files as the service makes them, and as a broken service would.

In: pixels, or good bytes and the name of a damage. Out: bytes. Never in here: what the picture shows.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from functools import cache

from PIL import Image
from PIL.PngImagePlugin import PngInfo

THUMBNAIL = (1024, 1024)
COMMENT = "Comment"
SEGMENT = 60_000
QUALITY = 90
JUMBF_UUID_C2PA = bytes.fromhex("63327061001100108000 00AA00389B71".replace(" ", ""))
JUMBF_UUID_THUMBNAIL = bytes.fromhex("40CB0C32BB8A489DA70B2AD6F47F4369")


def jpeg(picture: Image.Image, comment: str = "") -> bytes:
    """Encode as the service does: with a C2PA manifest in APP11 whose thumbnail is a JPEG with its own SOF marker.

    Recorded 2026-06: a reader that looks for the first SOF bytes finds the thumbnail's 1024x1024.
    """
    encoded = _encoded(picture.convert("RGB"), QUALITY, comment)
    manifest = _manifest(_encoded(picture.convert("RGB").resize(THUMBNAIL, Image.Resampling.BOX, reducing_gap=2.0), 40))
    start = 4 + int.from_bytes(encoded[4:6])
    return encoded[:start] + _app11(manifest) + encoded[start:]


def png(picture: Image.Image, comment: str = "") -> bytes:
    """Encode quickly rather than small."""
    out, texts = io.BytesIO(), PngInfo()
    if comment:
        texts.add_text(COMMENT, comment)
    picture.save(out, "PNG", compress_level=1, pnginfo=texts)
    return out.getvalue()


def comment_of(picture: Image.Image) -> str:
    """Read the comment of an opened picture; empty without one."""
    said = picture.info.get("comment") or picture.info.get(COMMENT) or ""
    return said.decode("latin-1") if isinstance(said, bytes) else str(said)


def junk(seed: int) -> bytes:
    """Make bytes that are no picture at all."""
    return random.Random(seed).randbytes(4096)  # noqa: S311


@cache
def pixel_bomb() -> bytes:
    """Make a small PNG that claims, and unpacks to, 30000x30000 pixels."""
    side = 30_000
    row = b"\0" * (1 + (side + 7) // 8)
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _encoded(picture: Image.Image, quality: int, comment: str = "") -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, comment=comment.encode("ascii"))
    return out.getvalue()


def _manifest(thumbnail: bytes) -> bytes:
    """Build a JUMBF box of kind `c2pa` that holds a thumbnail assertion, the part of a manifest readers trip over."""
    described = _box(b"bfdb", b"\0image/jpeg\0") + _box(b"bidb", thumbnail)
    label = b"\x03c2pa.thumbnail.claim.jpeg\0"
    assertion = _box(b"jumb", _box(b"jumd", JUMBF_UUID_THUMBNAIL + label) + described)
    return _box(b"jumb", _box(b"jumd", JUMBF_UUID_C2PA + b"\x03c2pa\0") + assertion)


def _app11(box: bytes) -> bytes:
    """Spread a box over APP11 segments, each repeating the box header as JPEG XT wants."""
    header, content = box[:8], box[8:]
    segments = []
    for number, start in enumerate(range(0, len(content), SEGMENT), start=1):
        body = b"JP" + struct.pack(">HI", 1, number) + header + content[start : start + SEGMENT]
        segments.append(b"\xff\xeb" + struct.pack(">H", len(body) + 2) + body)
    return b"".join(segments)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
