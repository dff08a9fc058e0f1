"""Cuts a JPEG: its coefficients where a library can, else its pixels, coded again with the source's own tables.

In: a source path, its header, a box on the block grid of the stored picture, a path to write. Out: the file and, where
pixels were decoded, the pixels. Never in here: alignment, orientation, other formats.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedframe.geometry import Box, Size
from seedframe.images.decoding import open_picture
from seedframe.images.encoders import copied_segments, save_jpeg
from seedframe.images.segments import jpeg_metadata
from seedframe.images.turbojpeg import TurboError, lossless_crop
from seedframe.images.types import Header

if TYPE_CHECKING:
    from PIL.Image import Image

_JFIF = b"\xff\xe0"
_STRIP = 256
"""Rows processed together."""

_SAMPLINGS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0"}


def cut_coefficients(source: Path, box: Box, part: Path) -> bool:
    """Cut without decoding, with every metadata segment; False when that is not possible here."""
    try:
        cut = lossless_crop(source.read_bytes(), box)
    except TurboError:
        # No library, a sampling it does not know, or damage: the cut through pixels will show which.
        return False
    with source.open("rb") as before, part.open("wb") as file:
        start = _after_density(cut)
        file.writelines((cut[:start], jpeg_metadata(before), cut[start:]))
    return True


def cut_pixels(source: Path, header: Header, box: Box, part: Path) -> Image:
    """Cut through pixels and write with the source's tables, sampling and metadata; returns the pixels.

    Nothing is converted to RGB, and at 4:2:0 colour is taken as the file stores it: 8 to 15 dB nearer to the lossless
    cut than quality 95 through RGB, at the source's own size.
    """
    with open_picture(source, "jpeg") as image:
        options = _options(image, header)
        mode = "YCbCr" if image.mode == "RGB" and not _stores_rgb(image) else image.mode
        if mode == "YCbCr" and options["subsampling"] == "4:2:0":
            cut = _cut_planes(source, header, box)
        else:
            image.draft(mode, None)
            cut = image.crop(box.corners)
    save_jpeg(cut, part, options | copied_segments(source))
    return cut


def _after_density(data: bytes) -> int:
    """Find where metadata may begin: behind the start marker and the JFIF segment, which must come first."""
    if data[2:4] != _JFIF:
        return 2
    return 4 + int.from_bytes(data[4:6])


def _options(image: Image, header: Header) -> dict[str, Any]:
    tables: dict[int, list[int]] = getattr(image, "quantization", {})
    used = [tables[component.table] for component in header.components]
    while len(used) > 1 and used[-1] == used[-2]:
        used.pop()
    first, *rest = header.components
    usual = bool(rest) and all((plane.across, plane.down) == (1, 1) for plane in rest)
    sampling = _SAMPLINGS.get((first.across, first.down), "4:4:4") if usual else "4:4:4"
    dpi = image.info.get("dpi", (0, 0)) if image.info.get("jfif_unit") == 1 else (0, 0)
    return {"qtables": used, "subsampling": sampling, "dpi": dpi}


def _stores_rgb(image: Image) -> bool:
    """Whether the file holds red, green and blue as they are, which the decoder cannot turn to YCbCr."""
    if "jfif" in image.info:
        return False
    if "adobe_transform" in image.info:
        return bool(image.info["adobe_transform"] == 0)
    return bytes(plane[0] for plane in getattr(image, "layer", ())) == b"RGB"


def _cut_planes(source: Path, header: Header, box: Box) -> Image:
    """Brightness at full size, colour at half size as it is stored, each from a decode of its own, at the same time.

    Decoding as usual blurs colour by interpolation and the encoder's mean blurs it again. Here each stored value fills
    its 2x2 pixels, so that the mean gives it back. Strip by strip: whole planes would cost more in page faults than in
    work.
    """
    from PIL import Image

    half = Size(max(1, header.size.width // 2), max(1, header.size.height // 2))
    with ThreadPoolExecutor(1, thread_name_prefix="colour") as other:
        halving = other.submit(_decoded, source, "YCbCr", half)
        luma, colour = _decoded(source, "L", header.size), halving.result()
    cut = Image.new("YCbCr", (box.width, box.height))
    for top in range(0, box.height, _STRIP):
        height = min(_STRIP, box.height - top)
        strip = Box(box.left, box.top + top, box.width, height)
        stored = colour.crop(_halved(strip)).split()[1:]
        filled = [plane.resize((2 * plane.width, 2 * plane.height), Image.Resampling.NEAREST) for plane in stored]
        planes = [luma.crop(strip.corners), *(plane.crop((0, 0, box.width, height)) for plane in filled)]
        cut.paste(Image.merge("YCbCr", planes), (0, top))
    return cut


def _decoded(source: Path, mode: str, size: Size) -> Image:
    with open_picture(source, "jpeg") as image:
        image.draft(mode, (size.width, size.height))
        image.load()
        return image


def _halved(box: Box) -> tuple[int, int, int, int]:
    """The same cut on planes of half the size; it starts on the block grid."""
    left, top, right, bottom = box.corners
    return left // 2, top // 2, ceil(right / 2), ceil(bottom / 2)
