"""A picture as it is displayed, in a plain mode and at a bounded size, without ever holding it twice.

In: a path, its header, a place on the disk. Out: one Pillow image and its colour profile. Bands are turned one by one
and wait on the disk until the source is out of memory. Never in here: which formats or limits a service has.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from seedframe.errors import PictureError
from seedframe.geometry import Box, Size
from seedframe.images.decoding import load_within, open_picture
from seedframe.images.orientation import to_displayed
from seedframe.images.pixels import plain, rgb_profile, turned
from seedframe.images.png_bands import png_bands, reads_in_bands
from seedframe.images.raw_bands import raw_bands, raw_strips
from seedframe.images.types import Header
from seedframe.limits import limits
from seedframe.messages import Message

if TYPE_CHECKING:
    from PIL.Image import Image

_ROWS = 96
_SMALL = 2_000_000
"""Pixels that may be in memory twice."""

_DECODER_BYTES = {"jpeg": 7.0, "webp": 15.5, "heic": 8.7, "avif": 8.7}
_USUAL_BYTES, _ONE_CHANNEL_BYTES = 5.0, 1.3
"""Bytes a pixel takes while a picture is decoded whole, as measured: by the decoder, else by the channels."""


def load_upright(path: Path, header: Header, spill: Path) -> tuple[Image, bytes | None]:
    """The picture upright, of at most `fitted_pixels` where it can be read in part, and its profile if it is RGB.

    A JPEG is read at a half, quarter or eighth, a PNG and what is not compressed band by band; others are decoded
    whole, and refused where that takes more than `decoder_bytes`. `spill` is a file written meanwhile and removed.
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
    """The stored picture from top to bottom, reduced to what may be in memory."""
    times = 1 if header.format == "jpeg" else max(1, ceil(sqrt(header.size.pixels / limits().fitted_pixels)))
    for band in _stored_bands(path, header, _ROWS // times * times):
        yield plain(band).reduce(times) if times > 1 else band


def _stored_bands(path: Path, header: Header, rows: int) -> Iterator[Image]:
    """The picture in bands: from the file where it can be read so, else from memory."""
    with open_picture(path, header.format) as lazy:
        strips = raw_strips(lazy)
        if strips:
            yield from raw_bands(lazy, strips, rows)
            return
    with path.open("rb") as file:
        if header.format == "png" and reads_in_bands(file, header):
            yield from png_bands(file, header, rows)
            return
    image = _decoded(path, header)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(image.height, top + rows)))


def _decoded(path: Path, header: Header) -> Image:
    """The whole picture, a baseline JPEG at a fraction of its size. PictureError where that takes too much memory."""
    if header.format == "jpeg" and not header.progressive:
        return load_within(path, header, limits().fitted_pixels)
    one_channel = header.mode in {"1", "L", "P"} and header.bits <= 8
    each = _DECODER_BYTES.get(header.format, _ONE_CHANNEL_BYTES if one_channel else _USUAL_BYTES)
    allowed = int(limits().decoder_bytes / each)
    if header.size.pixels > allowed:
        raise PictureError(
            Message("pictures.decoded-whole", name=path.name, got=str(header.size), allowed=allowed),
            advice=Message("pictures.decoded-whole-advice"),
            facts={"got": str(header.size), "allowed": allowed},
        )
    return load_within(path, header, header.size.pixels)
