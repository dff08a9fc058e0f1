"""Small JPEGs to look at: one picture, or several side by side.

In: paths. Out: JPEG bytes within a budget, upright, on white where the picture is transparent. Never in here: files
written, the full picture decoded where a scaled decode does (Pillow's thumbnail() does not scale portrait JPEGs).
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from seedframe.geometry import Size
from seedframe.images.decoding import guarded, open_picture
from seedframe.images.headers import read_header
from seedframe.images.pixels import on_white, plain, rgb_profile, turned
from seedframe.images.types import MAX_PIXELS, Header

if TYPE_CHECKING:
    from PIL.Image import Image

LONG_SIDE = 640
MAX_BYTES = 100_000
LARGEST_BYTES = 500_000

_QUALITIES = (82, 74, 64, 52, 40)
_SMALLER = 0.75
_SMALLEST_SIDE = 32
_WHITE = (255, 255, 255)
_GAP = 8
_GAP_OF_REDUCTION = 1.5
"""Shrink by whole pixels first, down to 1.5 times the wanted size: three times faster, with no visible difference."""

_WHOLE_PARTS = (2, 4, 8)
_NEARLY = 0.75
"""A small preview may have this share of the wanted side if it is a half, quarter or eighth of the picture: a JPEG is
then decoded at just that size, at half the time and a quarter of the memory."""

_ICC_BUDGET = 4096


def preview(
    source: Path,
    *,
    long_side: int = LONG_SIDE,
    max_bytes: int | None = None,
    max_pixels: int = MAX_PIXELS,
    header: Header | None = None,
) -> bytes:
    """Make a JPEG of at most `long_side` px (up to 640 also a quarter less) and `max_bytes`; quality falls first.

    Without `max_bytes`: 100 KB up to 640 px, growing with the area to 500 KB. `header` is that of the source, where it
    was just read.

    All coded data is read on the way, so that a cut-off file is detected: PictureError.
    """
    header = header or read_header(source, max_pixels=max_pixels, scaled=True)
    with guarded(source):
        small = _decoded_small(source, header, _small(header.size, long_side))
        return _encode(small, max_bytes or _budget(long_side))


def preview_of(stored: Image, orientation: int, *, long_side: int, max_bytes: int | None = None) -> bytes:
    """Make the same from pixels that are already decoded."""
    small = _upright(stored, orientation, _small(Size(*stored.size), long_side))
    return _encode(small, max_bytes or _budget(long_side))


def contact_strip(
    sources: Sequence[Path],
    *,
    height: int = 320,
    columns: int = 5,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """Put pictures side by side in rows, numbered from 1, as one JPEG of at most `max_bytes`."""
    tiles = []
    for source in sources:
        header = read_header(source, max_pixels=max_pixels, scaled=True)
        with guarded(source):
            long = max(1, ceil(height * max(1.0, float(header.displayed.ratio))))
            tiles.append(_decoded_small(source, header, _within(header.size, min(long, 4 * height))))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    return _encode(_sheet(rows), max_bytes)


def _decoded_small(source: Path, header: Header, size: Size) -> Image:
    with open_picture(source, header.format) as image:
        if header.format == "jpeg":
            # Reads every coefficient but builds only an eighth, quarter or half of the pixels. Those sizes are rounded
            # up, and asking for one pixel more than a quarter would get a half.
            image.draft("RGB", (max(1, size.width - 1), max(1, size.height - 1)))
        image.load()
        return _upright(image, header.orientation, size)


def _upright(stored: Image, orientation: int, size: Size) -> Image:
    """Shrink, then make it RGB and turn it as displayed."""
    upright = turned(on_white(_shrunk(plain(stored), size)), orientation)
    profile = rgb_profile(stored)
    upright.info = {"icc_profile": profile} if profile and len(profile) <= _ICC_BUDGET else {}
    return upright


def _shrunk(image: Image, size: Size) -> Image:
    from PIL.Image import Resampling

    for part in _WHOLE_PARTS if image.mode != "RGBA" else ():
        if _part_of(Size(*image.size), part) == size:
            return image.reduce(part)
    return image.resize((size.width, size.height), Resampling.BICUBIC, reducing_gap=_GAP_OF_REDUCTION)


def _small(size: Size, long_side: int) -> Size:
    """Choose a preview's size: a whole part of the picture where that is nearly what is wanted."""
    long = max(size.width, size.height)
    for part in _WHOLE_PARTS if long_side <= LONG_SIDE else ():
        if _NEARLY * long_side <= long / part <= long_side:
            return _part_of(size, part)
    return _within(size, long_side)


def _part_of(size: Size, part: int) -> Size:
    return Size(ceil(size.width / part), ceil(size.height / part))


def _within(size: Size, long_side: int) -> Size:
    scale = min(1.0, long_side / max(size.width, size.height))
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


def _budget(long_side: int) -> int:
    return min(LARGEST_BYTES, int(MAX_BYTES * max(1.0, (long_side / LONG_SIDE) ** 2)))


def _encode(image: Image, max_bytes: int) -> bytes:
    """Step down until it fits; the smallest version is returned even if it exceeds the budget."""
    while True:
        for quality in _QUALITIES:
            data = BytesIO()
            image.save(data, "JPEG", quality=quality, icc_profile=image.info.get("icc_profile"))
            if data.tell() <= max_bytes:
                return data.getvalue()
        if max(image.size) <= _SMALLEST_SIDE:
            return data.getvalue()
        image.thumbnail((ceil(image.width * _SMALLER), ceil(image.height * _SMALLER)))


def _sheet(rows: list[list[Image]]) -> Image:
    from PIL import Image, ImageDraw

    width = max((sum(tile.width + _GAP for tile in row) for row in rows), default=0) + _GAP
    height = sum(max(tile.height for tile in row) + _GAP for row in rows) + _GAP
    sheet = Image.new("RGB", (width, height), _WHITE)
    pen = ImageDraw.Draw(sheet)
    number, top = 0, _GAP
    for row in rows:
        left = _GAP
        for tile in row:
            number += 1
            sheet.paste(tile, (left, top))
            pen.rectangle((left, top, left + 12 + 12 * len(str(number)), top + 26), fill=_WHITE)
            pen.text((left + 6, top + 2), str(number), fill=(0, 0, 0), font_size=20)
            left += tile.width + _GAP
        top += max(tile.height for tile in row) + _GAP
    return sheet
