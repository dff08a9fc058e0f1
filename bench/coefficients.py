"""The numbers a JPEG really stores: its quantised DCT coefficients, read through libturbojpeg. Nothing is decoded.

In: a file. Out: for each plane, its 8x8 blocks row by row. Needs libturbojpeg.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import POINTER, byref, c_int, c_short, c_ubyte, c_ulong, c_void_p
from pathlib import Path

from seedframe.images import turbojpeg

_BLOCK = 64 * 2
Planes = Mapping[int, list[list[bytes]]]


class _Region(ctypes.Structure):
    _fields_ = (("x", c_int), ("y", c_int), ("w", c_int), ("h", c_int))


_Filter = ctypes.CFUNCTYPE(c_int, POINTER(c_short), _Region, _Region, c_int, c_int, c_void_p)


def coefficients(path: Path) -> Planes:
    """Every block of every plane."""
    library = turbojpeg._library()  # noqa: SLF001 - the product has no use for coefficients
    assert library
    planes: dict[int, dict[int, list[bytes]]] = {}

    def look(data: object, part: _Region, _plane: _Region, number: int, _transform: int, _own: object) -> int:
        for row in range(part.h // 8):
            length = part.w // 8 * _BLOCK
            raw = ctypes.string_at(ctypes.addressof(data.contents) + row * length, length)  # type: ignore[attr-defined]
            blocks = [raw[start : start + _BLOCK] for start in range(0, length, _BLOCK)]
            planes.setdefault(number, {})[part.y // 8 + row] = blocks
        return 0

    seen = _Filter(look)
    arguments = turbojpeg._Transform(0, 0, 0, 0, 0, 0, None, ctypes.cast(seen, c_void_p))  # noqa: SLF001
    handle, data = library.tjInitTransform(), path.read_bytes()
    buffer, length = POINTER(c_ubyte)(), c_ulong(0)
    try:
        assert not library.tjTransform(handle, data, len(data), 1, byref(buffer), byref(length), byref(arguments), 0)
    finally:
        library.tjFree(buffer)
        library.tjDestroy(handle)
    return {number: [rows[at] for at in sorted(rows)] for number, rows in planes.items()}


def changed(whole: Planes, cut: Planes, left: int, top: int) -> tuple[int, int]:
    """How many of the cut's coefficients differ from the whole's, of how many; `left` and `top` in px, at 4:2:0."""
    different = total = 0
    for number, rows in cut.items():
        step = 8 if number == 0 else 16
        for at, row in enumerate(rows):
            source = whole[number][top // step + at][left // step :]
            for mine, theirs in zip(row, source, strict=False):
                total += 64
                if mine != theirs:
                    pairs = zip(memoryview(mine).cast("h"), memoryview(theirs).cast("h"), strict=True)
                    different += sum(one != other for one, other in pairs)
    return different, total
