"""Which picture size a request means, in the service's own terms and words.

In: the `size` of a request, the prompt and the model. Out: a `Size`, or a `Refusal` worded as recorded.
Never in here: what our client would rather ask for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from math import ceil, sqrt

from seedframe.catalog import Model, Offer
from seedframe.emulator.quirks import listed_sizes, quirks
from seedframe.emulator.refusal import Refusal
from seedframe.geometry import Limits, Size

PIXELS = re.compile(r"(-?\d{1,6})x(-?\d{1,6})")
RATIO = re.compile(r"(\d{1,2})\s*[:：比]\s*(\d{1,2})")
SHAPES = (
    ("9:16", re.compile(r"\b(portrait|vertical)\b|竖|手机壁纸", re.IGNORECASE)),
    ("16:9", re.compile(r"\b(landscape format|widescreen|horizontal)\b|横版|横屏|横幅|宽屏", re.IGNORECASE)),
    ("1:1", re.compile(r"\bsquare\b|方形|方图", re.IGNORECASE)),
)
BLOCK = 16


def requested_size(size: object, offer: Offer, prompt: str, shape: str) -> Size:
    """Find the pixels of `size` (`WxH` or a preset); a preset's shape follows the prompt, else `shape` (`2:3`)."""
    if not isinstance(size, str):
        raise _refused("size-malformed", _choices(offer.model))
    exact = PIXELS.fullmatch(size)
    if exact:
        return checked_pixels(int(exact[1]), int(exact[2]), offer.limits)
    table = preset(offer.model, size)
    if table is None:
        raise _no_such_preset(offer.model, size)
    return table[shape_of(prompt, table, shape)]


def checked_pixels(width: int, height: int, limits: Limits) -> Size:
    """Check width and height against the model's area, ratio and side."""
    if width <= 0 or height <= 0:
        raise _refused("size-zero", "invalid width" if width <= 0 else "invalid height")
    size = Size(width, height)
    if size.pixels < limits.min_pixels:
        raise _refused("size-too-small", f"image size must be at least {limits.min_pixels} pixels")
    if size.pixels > limits.max_pixels:
        raise _refused("size-too-large", f"image size must be at most {limits.max_pixels} pixels")
    if not limits.min_ratio <= size.ratio <= limits.max_ratio:
        raise _refused("size-ratio", f"aspect ratio must be between {limits.min_ratio} and {limits.max_ratio}")
    if limits.max_side is not None and max(width, height) > limits.max_side:
        raise _refused("size-too-large", f"image side must be at most {limits.max_side} pixels")
    return size


def preset(model: Model, name: str) -> Mapping[str, Size] | None:
    """Look a preset up by its name in any case."""
    return next((table for known, table in model.presets.items() if known.lower() == name.lower()), None)


def shape_of(prompt: str, table: Mapping[str, Size], default: str) -> str:
    """Guess the ratio a model would pick: said in numbers, said in words, else the default, else the table's first."""
    said = (f"{match[1]}:{match[2]}" for match in RATIO.finditer(prompt))
    style_prompt_of = (shape for shape, words in SHAPES if words.search(prompt))
    return next((shape for shape in (*said, *style_prompt_of, default) if shape in table), next(iter(table)))


def nearest_shape(size: Size, table: Mapping[str, Size]) -> str:
    """Find the preset ratio nearest to a picture's own."""
    return min(table, key=lambda name: max(table[name].ratio / size.ratio, size.ratio / table[name].ratio))


def layer_base(size: object, offer: Offer, picture: Size | None) -> Size:
    """Find the base size of layer mode: the input's shape at a preset's area, in whole blocks (recorded 2026-09-18)."""
    allowed = offer.parameters["layers"].extra["sizes"]
    tables = {name.lower(): offer.model.presets[name] for name in allowed}
    source = picture or Size(1024, 1024)
    if size in {None, "auto"}:
        table = min(tables.values(), key=lambda table: abs(table["1:1"].pixels - source.pixels))
    elif isinstance(size, str) and size.lower() in tables:
        table = tables[size.lower()]
    else:
        names = ", ".join(f"'{name}'" for name in ("auto", *tables))
        raise _refused("size-malformed", f"size must be one of {names}")
    return _blocks(table["1:1"].pixels, source.ratio)


def _blocks(area: int, ratio: Fraction) -> Size:
    width, height = sqrt(area * ratio), sqrt(area / ratio)
    return Size(ceil(width / BLOCK) * BLOCK, ceil(height / BLOCK) * BLOCK)


def _no_such_preset(model: Model, name: str) -> Refusal:
    if name.lower() in quirks(model.name).known_elsewhere:
        undated = re.sub(r"-\d{6}$", "", next(iter(model.ids.values()))[0])
        detail = f"the specified size is not supported for model {undated}"
        return _refused("size-preset-not-supported", detail)
    return _refused("size-malformed", _choices(model))


def _choices(model: Model) -> str:
    *most, last = ("WIDTHxHEIGHT", *listed_sizes(model))
    return "size must be one of " + ", ".join(f"'{name}'" for name in most) + f", or '{last}'"


def _refused(row: str, detail: str) -> Refusal:
    return Refusal(row, param="size", detail=detail)
