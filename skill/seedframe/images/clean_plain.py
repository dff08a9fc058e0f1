"""Removes from a GIF, BMP or TIFF the blocks that name a place, and everything after its end.

In: a picture being copied. Out: the same without them. Broken structure raises ValueError, IndexError, KeyError or
struct.error. Never in here: pixels.
"""

from __future__ import annotations

import struct
from mmap import mmap

from seedframe.images.location_data import blank_places, names_place
from seedframe.images.partial_copy import PartialCopy

_PICTURE, _EXTENSION, _END = 0x2C, 0x21, 0x3B
_XMP, _COMMENT, _APPLICATION = b"XMP DataXMP", 0xFE, 0xFF
_BMP_PLAIN = frozenset({0, 3, 6})
"""Ways to store BMP pixels whose length follows from width, height and depth."""


def clean_gif(copy: PartialCopy) -> None:
    """Copy every block but comments and XMP that name a place, up to the end of the picture."""
    data = copy.source
    position = 13 + _colours(data[10])
    copy.keep(0, position)
    while data[position] != _END:
        start, kind = position, data[position]
        if kind == _PICTURE:
            position = _after_blocks(data, position + 11 + _colours(data[position + 9]))
        elif kind == _EXTENSION:
            position = _after_blocks(data, position + 2)
        else:
            raise ValueError("no block where one must be")
        _copy_gif_block(copy, start, position)
    copy.keep(position, position + 1)
    copy.end_at(position + 1)


def _colours(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: mmap, position: int) -> int:
    while data[position]:
        position += 1 + data[position]
    return position + 1


def _copy_gif_block(copy: PartialCopy, start: int, end: int) -> None:
    data = copy.source
    extension = data[start + 1] if data[start] == _EXTENSION else None
    xmp = extension == _APPLICATION and data[start + 3 : start + 14] == _XMP
    if (xmp or extension == _COMMENT) and names_place(data[start:end]):
        copy.take("xmp" if xmp else "comment")
    else:
        copy.keep(start, end)


def clean_bmp(copy: PartialCopy) -> None:
    """Cut behind the size the file gives, where that size holds all pixels: some programs write 0."""
    declared, pixels = struct.unpack_from("<I4xI", copy.source, 2)
    width, height, bits, packing, coded = struct.unpack_from("<ii2xHII", copy.source, 18)
    plain = (abs(width) * bits + 31) // 32 * 4 * abs(height)
    needed = pixels + (plain if packing in _BMP_PLAIN else coded)
    end = declared if pixels < needed <= declared <= len(copy.source) else len(copy.source)
    copy.keep(0, end)
    copy.end_at(end)


def clean_tiff(copy: PartialCopy) -> None:
    """Blank in place: offsets in a TIFF may point anywhere, so nothing may move, and no bytes are cut at its end."""
    tiff = bytearray(copy.source)
    copy.take(*blank_places(tiff))
    copy.put(bytes(tiff))
