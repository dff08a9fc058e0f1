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
from seedframe.pictures.guard import guarded, open_picture
from seedframe.pictures.headers import read_header
from seedframe.pictures.pixels import on_white, plain, rgb_profile, turned
from seedframe.pictures.values import MAX_PIXELS, Header

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
"""Shrink by whole pixels first, down to 1.5 times the wanted size: three times faster, not to be seen."""

_ICC_BUDGET = 4096


def preview(
    source: Path, *, long_side: int = LONG_SIDE, max_bytes: int | None = None, max_pixels: int = MAX_PIXELS
) -> bytes:
    """Make a JPEG of at most `long_side` px and `max_bytes`; quality falls first, then the side.

    Without `max_bytes`: 100 KB up to 640 px, growing with the area to 500 KB.

    All coded data is read on the way, so that a cut-off file is found out: PictureError.
    """
    header = read_header(source, max_pixels=max_pixels)
    with guarded(source):
        return _encode(_decoded_small(source, header, long_side), max_bytes or _budget(long_side))


def preview_of(stored: Image, orientation: int, *, long_side: int, max_bytes: int | None = None) -> bytes:
    """Make the same from pixels that are already decoded."""
    return _encode(_upright(stored, orientation, long_side), max_bytes or _budget(long_side))


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
        header = read_header(source, max_pixels=max_pixels)
        with guarded(source):
            long = max(1, ceil(height * max(1.0, float(header.displayed.ratio))))
            tiles.append(_decoded_small(source, header, min(long, 4 * height)))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    return _encode(_sheet(rows), max_bytes)


def _decoded_small(source: Path, header: Header, long_side: int) -> Image:
    size = _within(header.size, long_side)
    with open_picture(source, header.format) as image:
        if header.format == "jpeg":
            # Reads every coefficient but builds only an eighth, quarter or half of the pixels.
            image.draft("RGB", (size.width, size.height))
        image.load()
        return _upright(image, header.orientation, long_side)


def _upright(stored: Image, orientation: int, long_side: int) -> Image:
    """Shrink, then make it RGB and turn it as displayed."""
    from PIL.Image import Resampling

    size = _within(Size(*stored.size), long_side)
    small = plain(stored).resize((size.width, size.height), Resampling.BICUBIC, reducing_gap=_GAP_OF_REDUCTION)
    upright = turned(on_white(small), orientation)
    profile = rgb_profile(stored)
    upright.info = {"icc_profile": profile} if profile and len(profile) <= _ICC_BUDGET else {}
    return upright


def _within(size: Size, long_side: int) -> Size:
    scale = min(1.0, long_side / max(size.width, size.height))
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


def _budget(long_side: int) -> int:
    return min(LARGEST_BYTES, int(MAX_BYTES * max(1.0, (long_side / LONG_SIDE) ** 2)))


def _encode(image: Image, max_bytes: int) -> bytes:
    """Step down until it fits; the smallest version is returned even if the budget is absurd."""
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
