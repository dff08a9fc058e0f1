"""The shape a program asked for, in any of the usual fields, as arguments `size` and `ratio` of the picture tools.

In: the fields of a request body and the presets of its model. Out: arguments of the picture tools.
Ark itself reads only `size` and silently ignores the other fields. Never in here: a model's limits (the request
check scales what is too small), an error for a field without a meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from seedframe.errors import InvalidRequest
from seedframe.messages import Message

_PIXELS = re.compile(r"\s*(\d{1,6})\s*[xX×*]\s*(\d{1,6})\s*")
_TIER = re.compile(r"(\d+(?:\.\d+)?)\s*k", re.IGNORECASE)
_LEFT_TO_THE_MODEL = frozenset({"auto", "adaptive", "default"})
RATIO_FIELDS = ("ratio", "aspect_ratio")
SIZE_FIELDS = ("size", "custom_size", "image_size", "resolution")


def wanted_size(given: Mapping[str, Any], presets: Sequence[str]) -> dict[str, str]:
    """`size` and `ratio` as the picture tools take them; empty where the model may choose.

    Pixels win over a ratio: Ark reads nothing else, and SDKs send their default size unasked beside a ratio.
    A preset the model lacks becomes its next larger one, else its largest.
    """
    size = _size_text(given)
    pixels = _PIXELS.fullmatch(size) if size else None
    if pixels:
        return {"size": f"{int(pixels[1])}x{int(pixels[2])}"}
    ratio = next((str(given[name]).strip() for name in RATIO_FIELDS if given.get(name)), "auto")
    found = {} if ratio.lower() in _LEFT_TO_THE_MODEL else {"ratio": ratio}
    if size and size.lower() not in _LEFT_TO_THE_MODEL:
        found["size"] = _preset(size, presets)
    return found


def _size_text(given: Mapping[str, Any]) -> str | None:
    for name in SIZE_FIELDS:
        value = given.get(name)
        if isinstance(value, Mapping):
            return _sides(value, name)
        if value:
            return str(value).strip()
    if given.get("width") or given.get("height"):
        return _sides(given, "width")
    return None


def _sides(value: Mapping[str, Any], field: str) -> str:
    """`WxH` of two numbers; InvalidRequest when one is missing or not a number."""
    sides = [str(value.get(name, "")).strip() for name in ("width", "height")]
    if not all(side.isascii() and side.isdigit() for side in sides):
        got = {name: value.get(name) for name in ("width", "height")}
        raise InvalidRequest(
            Message("gateway.odd-sides", got=str(got)[:100]), field=field, got=got, allowed='{"width": 1, "height": 1}'
        )
    return f"{sides[0]}x{sides[1]}"


def _preset(size: str, presets: Sequence[str]) -> str:
    tier = _TIER.fullmatch(size)
    if tier is None or any(size.lower() == preset.lower() for preset in presets):
        return size
    known = sorted((float(found[1]), preset) for preset in presets if (found := _TIER.fullmatch(preset)))
    larger = [preset for number, preset in known if number >= float(tier[1])]
    return larger[0] if larger else known[-1][1] if known else size
