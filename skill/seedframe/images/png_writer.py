"""Writes PNG four times faster than usual, at the same size on photographs.

In: an 8-bit image and the metadata chunks to keep. Out: the file. Never in here: palettes, 16 bits, reading.
Every row is stored as differences to its left neighbour (filter Sub, computed by Pillow for many rows at once) and
packed by zlib's run-length strategy: trying five filters and searching for repetitions wins nothing on photographs.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL.Image import Image

_COLOURS = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}
_SUB = b"\x01"
_ROWS_AT_ONCE = 64
_MEMORY_LEVEL = 9


def fits(mode: str) -> bool:
    """Whether this writer supports a mode."""
    return mode in _COLOURS


def write_png(image: Image, part: Path, chunks: Iterable[tuple[bytes, bytes]]) -> None:
    """Write `image` with these chunks (name, payload) before its pixels."""
    head = struct.pack(">IIBBBBB", image.width, image.height, 8, _COLOURS[image.mode], 0, 0, 0)
    with part.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        _chunk(file, b"IHDR", head)
        for name, payload in chunks:
            _chunk(file, name, payload)
        for packed in _packed(image):
            _chunk(file, b"IDAT", packed)
        _chunk(file, b"IEND", b"")


def _packed(image: Image) -> Iterator[bytes]:
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, _MEMORY_LEVEL, zlib.Z_RLE)
    row = image.width * len(image.mode)
    for top in range(0, image.height, _ROWS_AT_ONCE):
        raw = _differences(image.crop((0, top, image.width, min(image.height, top + _ROWS_AT_ONCE))))
        packed = packer.compress(_SUB + _SUB.join(raw[start : start + row] for start in range(0, len(raw), row)))
        if packed:
            yield packed
    yield packer.flush()


def _differences(rows: Image) -> bytes:
    from PIL import ImageChops

    left = ImageChops.offset(rows, 1, 0)
    # The picture wraps around: the first column has no left neighbour and is stored as it is.
    left.paste(0 if len(rows.mode) == 1 else (0,) * len(rows.mode), (0, 0, 1, rows.height))
    return ImageChops.subtract_modulo(rows, left).tobytes()


def _chunk(file: BinaryIO, name: bytes, payload: bytes) -> None:
    checksum = zlib.crc32(payload, zlib.crc32(name))
    file.writelines((struct.pack(">I", len(payload)), name, payload, struct.pack(">I", checksum)))
