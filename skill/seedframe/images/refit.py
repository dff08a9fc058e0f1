"""Converts an input picture to one the service accepts.

In: a path and the limits. Out: a path (the source itself when it is fine) and a report. Never in here:
which limits hold (the caller's data), uploading, enlarging, changing a ratio.
"""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from seedframe.catalog import ReferenceLimits
from seedframe.errors import PictureError
from seedframe.geometry import Size
from seedframe.images.decoding import atomic_target, guarded
from seedframe.images.headers import read_header
from seedframe.images.types import MAX_PIXELS, FitReport, Header
from seedframe.images.upright import load_upright
from seedframe.messages import Message

if TYPE_CHECKING:
    from PIL.Image import Image

_QUALITIES = (95, 88, 80)
_SHRINK = 0.8


def fit_reference(source: Path, target: Path, limits: ReferenceLimits, *, max_pixels: int = MAX_PIXELS) -> FitReport:
    """Return the source unchanged when it fits, else write a JPEG (PNG when transparent) to `target` that does.

    Too many bytes or pixels, a format the service does not read, or an EXIF orientation it might ignore are
    corrected. A picture that is too small or too long cannot be: PictureError.
    """
    header = read_header(source, max_pixels=max_pixels, scaled=True)
    size = source.stat().st_size
    reasons = refit_reasons(source, header, size, limits)
    if not reasons:
        return FitReport(source, changed=False, format=header.format, size=header.displayed, bytes=size)
    with guarded(source), atomic_target(target) as part:
        upright, profile = load_upright(source, header, part.with_suffix(".bands"))
        written = _write_within(upright, profile, part, limits)
        if written is None:
            raise PictureError(Message("pictures.cannot-fit", name=source.name, allowed=limits.max_bytes))
    kind, shown = written
    return FitReport(target, changed=True, format=kind, size=shown, bytes=target.stat().st_size, notes=reasons)


def _check_shape(source: Path, size: Size, limits: ReferenceLimits) -> None:
    if min(size.width, size.height) < limits.min_side or size.pixels < limits.min_pixels:
        raise PictureError(
            Message("pictures.reference-small", name=source.name, got=str(size), side=limits.min_side),
            facts={"got": str(size), "allowed": limits.min_side},
        )
    if not limits.min_ratio <= size.ratio <= limits.max_ratio:
        low, high = f"{float(limits.min_ratio):g}", f"{float(limits.max_ratio):g}"
        raise PictureError(
            Message("pictures.reference-ratio", name=source.name, got=str(size), low=low, high=high),
            advice=Message("pictures.crop-first"),
            facts={"got": str(size), "allowed": [low, high]},
        )


def refit_reasons(source: Path, header: Header, bytes: int, limits: ReferenceLimits) -> tuple[Message, ...]:
    """Why a picture must be written anew before it is sent; empty where it is not. PictureError: nothing helps.

    `source` is only named.
    """
    _check_shape(source, header.displayed, limits)
    reasons = []
    if header.format not in limits.formats:
        reasons.append(Message("pictures.fit-format", got=header.format))
    if bytes > limits.max_bytes:
        reasons.append(Message("pictures.fit-bytes", got=bytes, allowed=limits.max_bytes))
    if header.size.pixels > limits.max_pixels:
        reasons.append(Message("pictures.fit-pixels", got=str(header.displayed), allowed=limits.max_pixels))
    if header.orientation != 1:
        reasons.append(Message("pictures.fit-turned"))
    return tuple(reasons)


def _write_within(
    picture: Image, profile: bytes | None, part: Path, limits: ReferenceLimits
) -> tuple[str, Size] | None:
    """Write at falling quality, then at falling size, until it fits; None when it would become too small before."""
    from PIL.Image import Resampling

    scale = min(1.0, sqrt(limits.max_pixels / (picture.width * picture.height)))
    while True:
        size = Size(int(picture.width * scale), int(picture.height * scale))
        if min(size.width, size.height) < limits.min_side:
            return None
        scaled = picture if scale == 1.0 else picture.resize((size.width, size.height), Resampling.LANCZOS)
        kind = _write(scaled, profile, part, limits.max_bytes)
        if kind:
            return kind, size
        scale *= _SHRINK


def _write(image: Image, profile: bytes | None, part: Path, max_bytes: int) -> str | None:
    if image.mode == "RGBA":
        image.save(part, "PNG", compress_level=6, icc_profile=profile)
        return "png" if part.stat().st_size <= max_bytes else None
    for quality in _QUALITIES:
        image.save(part, "JPEG", quality=quality, subsampling="4:4:4", icc_profile=profile)
        if part.stat().st_size <= max_bytes:
            return "jpeg"
    return None
