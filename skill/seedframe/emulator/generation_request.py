"""What an accepted request asks for, whatever dialect it came in.

In: values that passed the rules. Out: frozen values for the painter and the envelopes. Never in here: a check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seedframe.catalog import Offer
from seedframe.geometry import Size

Format = Literal["jpeg", "png"]


@dataclass(frozen=True, slots=True)
class InputImage:
    """An input picture: where it came from and, when its bytes were seen, a small copy, its measures, its comment."""

    source: str
    thumbnail: bytes | None = None
    size: Size | None = None
    format: str | None = None
    transparent: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One accepted request. `count` is how many pictures will be tried; `layers` is how many lie above the base."""

    offer: Offer
    prompt: str
    size: Size
    count: int = 1
    format: Format = "jpeg"
    inline: bool = False
    watermark: bool = True
    seed: int | None = None
    background: Literal["opaque", "transparent"] = "opaque"
    references: tuple[InputImage, ...] = ()
    stream: bool = False
    web_search: bool = False
    layers: int = 0
