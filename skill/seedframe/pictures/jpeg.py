"""Cutting a JPEG: its coefficients where a library can, otherwise its pixels, coded again with the source's own tables.

In: a source path, its header, a box on the block grid of the stored picture, a path to write. Out: the file and, where
pixels were decoded, the pixels. Never in here: alignment, orientation, other formats.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedframe.geometry import Box
from seedframe.pictures.guard import open_picture
from seedframe.pictures.segments import jpeg_metadata
from seedframe.pictures.turbojpeg import TurboError, lossless_crop
from seedframe.pictures.values import Header
from seedframe.pictures.writing import copied_segments, save_jpeg

if TYPE_CHECKING:
    from PIL.Image import Image

_JFIF = b"\xff\xe0"
_SAMPLINGS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0"}

# At 4:2:0 decoding blurs chroma by (1 6 1)/8 both ways: the decoder's triangle upsampling, then the encoder's 2x2 mean.
# This is the first-order inverse (twice identity minus blur), less the eighth by which rounding the mean lifts it.
_SHARPENER, _SCALE, _LIFT = (-1, -6, -1, -6, 92, -6, -1, -6, -1), 64, -0.125

_STRIP, _MARGIN = 128, 4
"""Rows restored at once, and rows around them that the sharpener looks at."""


def cut_coefficients(source: Path, box: Box, part: Path) -> bool:
    """Cut without decoding, with every metadata segment; False when that is not possible here."""
    try:
        cut = lossless_crop(source.read_bytes(), box)
    except TurboError:
        # No library, a sampling it does not know, or damage: the way through pixels will tell.
        return False
    with source.open("rb") as before, part.open("wb") as file:
        start = _after_density(cut)
        file.writelines((cut[:start], jpeg_metadata(before), cut[start:]))
    return True


def cut_pixels(source: Path, header: Header, box: Box, part: Path) -> Image:
    """Cut through pixels and write with the source's tables, sampling and metadata; returns the pixels.

    Nothing is converted to RGB and chroma is brought back to what the file stored: 4 to 15 dB nearer to the lossless
    cut than quality 95 through RGB, at the source's own size.
    """
    with open_picture(source, "jpeg") as image:
        options = _options(image, header)
        mode = "YCbCr" if image.mode == "RGB" and not _stores_rgb(image) else image.mode
        image.draft(mode, None)
        cut = image.crop(box.corners)
    if cut.mode == "YCbCr" and options["subsampling"] == "4:2:0":
        cut = _with_stored_chroma(cut)
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


def _with_stored_chroma(cut: Image) -> Image:
    """Bring chroma back to what the file stored, strip by strip on two processors.

    Whole planes would cost more in page faults than in work.
    """
    from PIL import Image

    restored = Image.new("YCbCr", cut.size)
    tops = range(0, cut.height, _STRIP)
    with ThreadPoolExecutor(2, thread_name_prefix="chroma") as threads:
        for top, strip in zip(tops, threads.map(partial(_strip, cut), tops), strict=True):
            restored.paste(strip, (0, top))
    return restored


def _strip(cut: Image, top: int) -> Image:
    """Some rows in which each stored chroma value fills its 2x2 pixels, so that the encoder's mean gives it back."""
    from PIL import Image
    from PIL.ImageFilter import Kernel

    above, bottom = min(top, _MARGIN), min(top + _STRIP, cut.height)
    rows = cut.crop((0, top - above, cut.width, min(bottom + _MARGIN, cut.height)))
    luma, *chroma = rows.split()
    sharpen = Kernel((3, 3), _SHARPENER, _SCALE, _LIFT)
    stored = [plane.reduce(2).filter(sharpen) for plane in chroma]
    filled = [plane.resize((2 * plane.width, 2 * plane.height), Image.Resampling.NEAREST) for plane in stored]
    planes = [luma, *(plane.crop((0, 0, *luma.size)) for plane in filled)]
    return Image.merge("YCbCr", planes).crop((0, above, cut.width, above + bottom - top))
