"""A picture as it is displayed, in a plain mode and at a bounded size, without ever holding it twice.

In: a path, its header, a place on the disk. Out: one Pillow image and its colour profile. Bands are turned one by one
and wait on the disk until the source is out of memory. Never in here: which formats or limits a service has.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from seedframe.geometry import Box, Size
from seedframe.images.decoding import load_within, open_picture
from seedframe.images.orientation import to_displayed
from seedframe.images.pixels import plain, rgb_profile, turned
from seedframe.images.png_bands import png_bands, reads_in_bands
from seedframe.images.types import Header
from seedframe.limits import limits

if TYPE_CHECKING:
    from PIL.Image import Image

_ROWS = 96
_SMALL = 2_000_000
"""Pixels that may be in memory twice."""


def load_upright(path: Path, header: Header, spill: Path) -> tuple[Image, bytes | None]:
    """The picture upright, of at most `fitted_pixels` where it can be read in part, and its profile if it is RGB.

    A JPEG is read at a half, quarter or eighth, a PNG band by band; other formats are decoded whole. `spill` is a file
    that is written meanwhile and removed.
    """
    if header.size.pixels <= _SMALL:
        stored = load_within(path, header, _SMALL)
        return turned(plain(stored), header.orientation), rgb_profile(stored)
    try:
        with open_picture(path, header.format) as lazy:
            profile = rgb_profile(lazy)
        return _joined(path, header, spill), profile
    finally:
        spill.unlink(missing_ok=True)


def _joined(path: Path, header: Header, spill: Path) -> Image:
    from PIL import Image

    places: list[Size] = []
    mode = ""
    with spill.open("wb") as file:
        for band in _bands(path, header):
            upright = turned(plain(band), header.orientation)
            places.append(Size(band.width, band.height))
            mode = upright.mode
            file.write(upright.tobytes())
    stored = Size(places[0].width, sum(place.height for place in places))
    displayed = stored.swapped if header.sideways else stored
    canvas = Image.new(mode, (displayed.width, displayed.height))
    top = 0
    with spill.open("rb") as file:
        for place in places:
            box = to_displayed(Box(0, top, place.width, place.height), header.orientation, displayed)
            content = file.read(box.width * box.height * len(canvas.getbands()))
            canvas.paste(Image.frombytes(mode, (box.width, box.height), content), (box.left, box.top))
            top += place.height
    return canvas


def _bands(path: Path, header: Header) -> Iterator[Image]:
    """The stored picture from top to bottom, reduced to what may be in memory where the format allows."""
    most = limits().fitted_pixels
    if header.format == "png" and header.size.pixels > most:
        with path.open("rb") as file:
            if reads_in_bands(file, header):
                times = ceil(sqrt(header.size.pixels / most))
                for band in png_bands(file, header, _ROWS // times * times):
                    yield plain(band).reduce(times)
                return
    image = load_within(path, header, most if header.format == "jpeg" else header.size.pixels)
    for top in range(0, image.height, _ROWS):
        yield image.crop((0, top, image.width, min(image.height, top + _ROWS)))
