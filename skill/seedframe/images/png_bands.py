"""A large PNG read band by band, so that its pixels are never in memory all at once.

In: an open PNG of 8 bits without interlacing. Out: Pillow images of a few rows each, from top to bottom. Broken data
raises ValueError, EOFError, struct.error or zlib.error. Never in here: 16 bits, interlacing, scaling.
Each band is handed to Pillow as a small PNG of its own: the rows as they are stored, behind the last row of the band
before, from which their filters go on.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from seedframe.images.byte_reader import exactly
from seedframe.images.types import Header

if TYPE_CHECKING:
    from PIL.Image import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {"L": 1, "P": 1, "LA": 2, "RGB": 3, "RGBA": 4}
_KEPT = frozenset({b"PLTE", b"tRNS"})
_PIECE = 1 << 16
_INTERLACED = 28
"""Where IHDR says whether the picture is interlaced, counted from the file's start."""


def reads_in_bands(file: BinaryIO, header: Header) -> bool:
    """Whether this PNG can be read in bands."""
    file.seek(_INTERLACED)
    return header.bits == 8 and header.mode in _CHANNELS and file.read(1) == b"\0"


def png_bands(file: BinaryIO, header: Header, rows: int) -> Iterator[Image]:
    """The picture in bands of `rows` rows, the last one perhaps of fewer."""
    from PIL import Image

    file.seek(len(_SIGNATURE))
    head, shared, length = _before_pixels(file)
    stride = header.size.width * _CHANNELS[header.mode]
    stored, before = _Inflated(file, length), b""
    for top in range(0, header.size.height, rows):
        count = min(rows, header.size.height - top)
        content = before + stored(count * (1 + stride))
        above = 1 if before else 0
        parts = (
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">II", header.size.width, count + above) + head[8:]),
            *(_chunk(name, one) for name, one in shared),
            _chunk(b"IDAT", zlib.compress(content, 0)),
            _chunk(b"IEND", b""),
        )
        with Image.open(io.BytesIO(b"".join(parts)), formats=["PNG"]) as image:
            image.load()
            band = image.crop((0, above, image.width, image.height)) if above else image
            before = b"\0" + image.crop((0, image.height - 1, image.width, image.height)).tobytes()
        yield band


def _before_pixels(file: BinaryIO) -> tuple[bytes, list[tuple[bytes, bytes]], int]:
    """IHDR, the chunks every band needs, and the length of the first IDAT, at whose content the file then stands."""
    head = b""
    shared: list[tuple[bytes, bytes]] = []
    while True:
        length, name = struct.unpack(">I4s", exactly(file, 8))
        if name == b"IDAT":
            return head, shared, length
        if name == b"IHDR" or name in _KEPT:
            content = exactly(file, length)
            head = content if name == b"IHDR" else head
            shared += [(name, content)] if name in _KEPT else []
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)


class _Inflated:
    """Reads the inflated pixel data in pieces of any length."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._packed = _pixel_data(file, length)
        self._inflating = zlib.decompressobj()

    def __call__(self, count: int) -> bytes:
        content = bytearray()
        packed = self._inflating.unconsumed_tail
        while len(content) < count:
            packed = packed or next(self._packed, b"")
            if not packed:
                raise EOFError("pixels end early")
            content += self._inflating.decompress(packed, count - len(content))
            packed = self._inflating.unconsumed_tail
        return bytes(content)


def _pixel_data(file: BinaryIO, length: int) -> Iterator[bytes]:
    """The content of all IDAT chunks that follow each other."""
    name = b"IDAT"
    while name == b"IDAT":
        while length:
            piece = exactly(file, min(length, _PIECE))
            length -= len(piece)
            yield piece
        file.seek(4, 1)
        length, name = struct.unpack(">I4s", exactly(file, 8))


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
