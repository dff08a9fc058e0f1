"""EXIF orientation: reading the tag, and moving rectangles between the stored and the displayed picture.

In: an EXIF block, boxes and sizes. Out: 1..8, boxes. Never in here: pixels.
"""

from __future__ import annotations

import struct

from seedframe.geometry import Box, Size

_TAG = 0x0112
_SHORT = 3
_UPRIGHT = 1
_ORIENTATIONS = range(1, 9)
_TIFF_HEADER = 8
_BACK = {6: 8, 8: 6}


def read_orientation(exif: bytes) -> int:
    """Find the orientation in an EXIF block (with or without its `Exif` prefix); 1 when absent or nonsense."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < _TIFF_HEADER:
        return _UPRIGHT
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return _UPRIGHT
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
        if tag == _TAG:
            return value if kind == _SHORT and value in _ORIENTATIONS else _UPRIGHT
    return _UPRIGHT


def to_stored(box: Box, orientation: int, stored: Size) -> Box:
    """Turn a box on the displayed picture into the box on the stored one."""
    left, top, width, height = box.left, box.top, box.width, box.height
    right, bottom = stored.width - left - width, stored.height - top - height
    across, down = stored.width - top - height, stored.height - left - width
    return {
        1: Box(left, top, width, height),
        2: Box(right, top, width, height),
        3: Box(right, bottom, width, height),
        4: Box(left, bottom, width, height),
        5: Box(top, left, height, width),
        6: Box(top, down, height, width),
        7: Box(across, down, height, width),
        8: Box(across, left, height, width),
    }[orientation]


def to_displayed(box: Box, orientation: int, displayed: Size) -> Box:
    """Turn a box on the stored picture into the box on the displayed one."""
    return to_stored(box, _BACK.get(orientation, orientation), displayed)
