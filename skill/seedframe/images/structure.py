"""Whether a picture file is whole, judged by its structure: no pixel is decoded.

In: a file being read once. Out: whether it carries more than pixels (metadata, bytes behind its end). A file that is
cut off or whose checksums do not fit raises EOFError, ValueError, KeyError or struct.error.
Never in here: Pillow, a decision about what is sent.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Mapping

from seedframe.images.sequential import SequentialReader

Walk = Callable[[SequentialReader], bool]

_MOST_PIECES = 100_000
"""Chunks, segments or blocks. A PNG of 30 MB in chunks of 8 KB has 3,700, a long GIF some ten thousand."""

_MOST_SCANS = 40
_CRITICAL = 0x20
_PNG_PLAIN = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs"}
    | {b"cICP", b"acTL", b"fcTL", b"fdAT", b"tIME", b"hIST", b"sPLT", b"mDCV", b"cLLI"}
)
_WEBP_PLAIN = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_WEBP_FRAMES = frozenset({b"VP8 ", b"VP8L", b"ANMF"})

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
_TALKING = frozenset({*range(0xE1, 0xF0), 0xFE}) - {0xE2, 0xEE}
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The end of coded data: any marker but a restart."""

_GIF_PICTURE, _GIF_EXTENSION, _GIF_END = 0x2C, 0x21, 0x3B
_GIF_TALKING = frozenset({0xFE, 0xFF, 0x01})
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


def walk_png(file: SequentialReader) -> bool:
    """Every chunk to IEND, its CRC checked where the chunk matters for the pixels."""
    file.skip(8)
    more, pixels, first = False, False, True
    for _ in range(_MOST_PIECES):
        length, name = struct.unpack(">I4s", file.exactly(8))
        if first and name != b"IHDR":
            raise ValueError("no IHDR")
        first, pixels, more = False, pixels or name == b"IDAT", more or name not in _PNG_PLAIN
        found = file.skip(length, zlib.crc32(name))
        if found != struct.unpack(">I", file.exactly(4))[0] and not name[0] & _CRITICAL:
            raise ValueError("checksum does not fit")
        if name == b"IEND":
            if not pixels:
                raise ValueError("no pixels")
            return file.rest() > 0 or more
    raise ValueError("too many chunks")


def walk_jpeg(file: SequentialReader) -> bool:
    """Every segment and every scan to the end marker."""
    file.skip(2)
    more, scans = False, 0
    for _ in range(_MOST_PIECES):
        marker = _jpeg_marker(file)
        if marker == _EOI:
            if not scans:
                raise ValueError("no scan")
            return file.rest() > 0 or more
        if marker in _BARE:
            continue
        (length,) = struct.unpack(">H", file.exactly(2))
        if length < 2 or marker == _SOI:
            raise ValueError("segment out of place")
        content = file.exactly(length - 2)
        more = more or marker in _TALKING or (marker == 0xE2 and not content.startswith(b"ICC_PROFILE\0"))
        if marker == _SOS:
            scans += 1
            if scans > _MOST_SCANS:
                raise ValueError("too many scans")
            file.skip_until(_MARKER, 1)
    raise ValueError("too many segments")


def _jpeg_marker(file: SequentialReader) -> int:
    if file.exactly(1)[0] != 0xFF:
        raise ValueError("no marker where one must be")
    while (byte := file.exactly(1)[0]) == 0xFF:
        pass
    return byte


def walk_webp(file: SequentialReader) -> bool:
    """Every chunk to the end that the file gives for itself."""
    (length,) = struct.unpack("<4xI4x", file.exactly(12))
    end, more, pixels = 8 + length, False, False
    for _ in range(_MOST_PIECES):
        if file.position + 8 > end:
            if not pixels:
                raise ValueError("no frame")
            return file.rest() > 0 or more
        name, size = struct.unpack("<4sI", file.exactly(8))
        more, pixels = more or name not in _WEBP_PLAIN, pixels or name in _WEBP_FRAMES
        file.skip(min(size + size % 2, max(size, end - file.position)))
    raise ValueError("too many chunks")


def walk_gif(file: SequentialReader) -> bool:
    """Every block to the trailer."""
    head = file.exactly(13)
    file.skip(_gif_colours(head[10]))
    more, pixels = False, False
    while (kind := file.exactly(1)[0]) != _GIF_END:
        if kind == _GIF_PICTURE:
            file.skip(_gif_colours(file.exactly(9)[8]) + 1)
            pixels = True
        elif kind == _GIF_EXTENSION:
            label, size = file.exactly(2)
            more = (label in _GIF_TALKING and file.exactly(size) not in _LOOPS) or more
            file.skip(0 if label in _GIF_TALKING else size)
        else:
            raise ValueError("no block where one must be")
        while size := file.exactly(1)[0]:
            file.skip(size)
    if not pixels:
        raise ValueError("no frame")
    return file.rest() > 0 or more


def _gif_colours(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def walk_bmp(file: SequentialReader) -> bool:
    """The pixels that width, height and depth promise; only uncompressed ones have a known length."""
    declared, pixels = struct.unpack("<2xI4xI", file.exactly(14))
    width, height, bits, packing, coded = struct.unpack("<4xii2xHII", file.exactly(24))
    plain = (abs(width) * bits + 31) // 32 * 4 * abs(height)
    needed = pixels + (plain if packing in {0, 3, 6} else coded)
    file.skip(max(0, needed - file.position))
    return file.rest() > max(0, int(declared) - int(needed))


WALKS: Mapping[str, Walk] = {
    "png": walk_png,
    "jpeg": walk_jpeg,
    "webp": walk_webp,
    "gif": walk_gif,
    "bmp": walk_bmp,
}
"""Formats that are checked without a decoder; the others are decoded."""
