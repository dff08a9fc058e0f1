"""Describes a picture file, without a service.

In: a path. Out: a JSON-ready dict. Never in here: printing, changing the file.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from seedframe.geometry import mismatch, nearest_named, parse_ratio, ratio_text
from seedframe.images.decoding import guarded, load_stored
from seedframe.images.headers import read_header
from seedframe.images.pixels import plain
from seedframe.images.types import MAX_PIXELS, Header
from seedframe.images.verify import verify
from seedframe.messages import Language, Message

# Seedance's create-task document, Sept to Oct 2026: what a first frame, last frame or reference may be.
_SEEDANCE_SIDES = (300, 6000)
_SEEDANCE_RATIOS = (Fraction(2, 5), Fraction(5, 2))
_SEEDANCE_BYTES = 30_000_000

_OPAQUE = 255


def inspect(path: Path, *, language: Language = "en", max_pixels: int = MAX_PIXELS) -> dict[str, Any]:
    """Describe a picture that decodes; PictureError otherwise.

    Width, height and ratio are as displayed; `ratio_error` is the difference in width/height to `nearest_ratio`, an
    everyday one. `lossless` and `progressive` are null where the format has no such choice or does not say.
    `seedance.problems` (sentences in `language`) is empty when the file may be a keyframe or reference of Seedance.
    """
    header = verify(path, max_pixels=max_pixels).header
    shown, size = header.displayed, path.stat().st_size
    named = nearest_named(shown.ratio)
    problems = seedance_problems(header, size)
    return {
        "file": str(path),
        "format": header.format,
        "mime": header.mime,
        "bytes": size,
        "width": shown.width,
        "height": shown.height,
        "pixels": shown.pixels,
        "ratio": ratio_text(shown.ratio),
        "nearest_ratio": named,
        "ratio_error": round(mismatch(shown, parse_ratio(named)), 6),
        "mode": header.mode,
        "bits": header.bits,
        "alpha": header.has_alpha,
        "animated": header.animated,
        "progressive": header.progressive,
        "lossless": header.lossless,
        "orientation": header.orientation,
        "stored_width": header.size.width,
        "stored_height": header.size.height,
        "metadata": {
            "exif": header.metadata.exif,
            "icc": header.metadata.icc,
            "xmp": header.metadata.xmp,
            "comment": header.metadata.comment,
            "c2pa": header.metadata.c2pa,
            "aigc_label": header.metadata.aigc,
        },
        "seedance": {"legal": not problems, "problems": [problem.text(language) for problem in problems]},
    }


def seedance_problems(header: Header, bytes: int) -> tuple[Message, ...]:
    """Say why Seedance would refuse this picture as a keyframe or reference; empty when it would not."""
    shown, (least, most), (low, high) = header.displayed, _SEEDANCE_SIDES, _SEEDANCE_RATIOS
    problems = []
    if min(shown.width, shown.height) < least or max(shown.width, shown.height) > most:
        problems.append(Message("pictures.seedance-side", got=str(shown), low=least, high=most))
    if not low <= shown.ratio <= high:
        problems.append(Message("pictures.seedance-ratio", got=f"{float(shown.ratio):.3f}", low="0.4", high="2.5"))
    if bytes >= _SEEDANCE_BYTES:
        problems.append(Message("pictures.seedance-bytes", got=bytes, high=_SEEDANCE_BYTES))
    return tuple(problems)


def see_through(path: Path, *, max_pixels: int = MAX_PIXELS) -> bool:
    """Whether any pixel is less than opaque; an alpha channel without effect does not count. PictureError as always.

    A file whose header knows no transparency is not decoded.
    """
    header = read_header(path, max_pixels=max_pixels)
    if not header.has_alpha:
        return False
    with guarded(path):
        image = plain(load_stored(path, header))
        return image.mode == "RGBA" and any(image.getchannel("A").histogram()[:_OPAQUE])
