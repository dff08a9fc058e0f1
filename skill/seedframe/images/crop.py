"""Cuts a picture with as little loss as its format allows, and shrinks it to an exact frame.

In: a source path, a target path, a box as displayed. Out: the target (whole or not at all) and a report that says how
it was made. Never in here: where to cut (geometry), previews, anything that enlarges.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedframe.errors import PictureError
from seedframe.geometry import Box, FrameGeometry, Size, align_box
from seedframe.images import jpeg_crop
from seedframe.images.decoding import atomic_target, guarded, load_stored, open_picture
from seedframe.images.encoders import PNG_MODES, fine_jpeg_options, save_jpeg, save_png, save_webp, written_format
from seedframe.images.headers import read_header
from seedframe.images.orientation import to_displayed, to_stored
from seedframe.images.pixels import plain
from seedframe.images.preview import preview, preview_of
from seedframe.images.types import MAX_PIXELS, CropReport, Header, Method
from seedframe.messages import Message

if TYPE_CHECKING:
    from PIL.Image import Image


_PILLOW_BITS = 8
"""The bits that Pillow keeps of a colour channel; 16-bit gray keeps all."""


def crop(
    source: Path,
    target: Path,
    box: Box,
    *,
    lossless: bool = True,
    preview_side: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> CropReport:
    """Cut `box` (as displayed) out of `source` into `target`; with `preview_side` the report brings a preview.

    A JPEG is cut without touching a coefficient where libturbojpeg can be loaded and `lossless` is not switched off,
    otherwise coded again with its own tables; either way the cut starts on the block grid, at most half a block away.
    """
    header = read_header(source, max_pixels=max_pixels)
    aligned, moved = align_box(_stored_box(source, header, box), header.mcu, header.size)
    with guarded(source), atomic_target(target) as part:
        if lossless and header.format == "jpeg" and jpeg_crop.cut_coefficients(source, aligned, part):
            method: Method = "lossless"
            small = preview(part, long_side=preview_side) if preview_side else None
        else:
            pixels = _cut_pixels(source, header, aligned, part)
            method = "requantised" if _loses(header) else "pixels"
            small = preview_of(pixels, header.orientation, long_side=preview_side) if preview_side else None
    shown = to_displayed(aligned, header.orientation, header.displayed)
    return CropReport(**_report_fields(header, moved), method=method, box=shown, size=shown.size, preview=small)


def resize_frame(
    source: Path,
    target: Path,
    box: Box | None,
    size: Size,
    *,
    preview_side: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> CropReport:
    """Cut `box` (None: nothing) and shrink to exactly `size`; PictureError when that would enlarge."""
    header = read_header(source, max_pixels=max_pixels)
    shown = box or Box(0, 0, header.displayed.width, header.displayed.height)
    stored = _stored_box(source, header, shown)
    if size.width > shown.width or size.height > shown.height:
        raise PictureError(
            Message("pictures.would-enlarge", name=source.name, got=str(shown.size), wanted=str(size)),
            advice=Message("pictures.ask-larger"),
            facts={"got": str(shown.size), "allowed": f"at most {shown.size}"},
        )
    with guarded(source), atomic_target(target) as part:
        image = _scaled(load_stored(source, header), stored, size.swapped if header.sideways else size)
        _save(image, source, header, part)
        small = preview_of(image, header.orientation, long_side=preview_side) if preview_side else None
    return CropReport(**_report_fields(header), method="resampled", box=shown, size=size, preview=small)


def carry_out(source: Path, target: Path, plan: FrameGeometry, *, preview_side: int | None = None) -> CropReport:
    """Cut and shrink as a plan says that leaves something to do."""
    if plan.resize:
        return resize_frame(source, target, plan.crop, plan.resize, preview_side=preview_side)
    assert plan.crop is not None
    return crop(source, target, plan.crop, preview_side=preview_side)


def _stored_box(source: Path, header: Header, box: Box) -> Box:
    if not box.inside(header.displayed):
        raise PictureError(
            Message("pictures.box-outside", name=source.name, box=list(box.corners), size=str(header.displayed)),
            facts={"got": list(box.corners), "allowed": str(header.displayed)},
        )
    return to_stored(box, header.orientation, header.size)


def _cut_pixels(source: Path, header: Header, box: Box, part: Path) -> Image:
    """Cut through pixels and write; returns them, as stored."""
    if header.format == "jpeg":
        return jpeg_crop.cut_pixels(source, header, box, part)
    with open_picture(source, header.format) as image:
        cut = image.crop(box.corners)
    _save(cut, source, header, part)
    return cut


def _loses(header: Header) -> bool:
    """Whether writing this picture again loses detail."""
    match written_format(header.format):
        case "jpeg":
            return True
        case "webp":
            return not header.lossless
        case _:
            return header.mode not in PNG_MODES or _too_deep(header)


def _too_deep(header: Header) -> bool:
    return header.format == "png" and header.bits > _PILLOW_BITS and header.mode != "L"


def _scaled(image: Image, box: Box, size: Size) -> Image:
    from PIL.Image import Resampling

    if image.mode in {"1", "P", "PA"} or "transparency" in image.info:
        image = plain(image)
    scaled = image.resize((size.width, size.height), Resampling.LANCZOS, box=box.corners)
    scaled.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return scaled


def _save(image: Image, source: Path, header: Header, part: Path) -> None:
    match written_format(header.format):
        case "jpeg":
            save_jpeg(image, part, fine_jpeg_options(source))
        case "webp":
            save_webp(image, header, part)
        case _:
            save_png(image, source, header, part)


def _report_fields(header: Header, moved: int = 0) -> dict[str, Any]:
    """The notes that hold for any change to this kind of file."""
    c2pa = header.metadata.c2pa
    effects = (
        (moved, Message("pictures.crop-moved", pixels=moved)),
        (c2pa, Message("pictures.provenance-ended")),
        (header.animated, Message("pictures.animation-lost")),
        (_too_deep(header), Message("pictures.depth-lost", bits=header.bits)),
    )
    return {
        "format": written_format(header.format),
        "moved": moved,
        "metadata_kept": header.format in {"jpeg", "png"} or (header.format == "webp" and not c2pa),
        "provenance_ended": c2pa,
        "notes": tuple(message for happened, message in effects if happened),
    }
