"""Colours of a time and a weather, from the data.

In: a mood's name. Out: a frozen `Mood`; arithmetic of colours. Never in here: pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from seedframe.emulator.drawn_scene import data

RGB = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Mood:
    """Colours of a time and a weather. `dark`: things are seen by what shines."""

    name: str
    sky: tuple[RGB, ...]
    far: RGB
    near: RGB
    light: RGB
    accent: RGB
    stars: bool

    @property
    def dark(self) -> bool:
        """Whether it is night."""
        return self.stars


@cache
def mood_named(name: str) -> Mood:
    """Find a mood of the data by its name."""
    entry = next(entry for entry in data("scenery")["moods"] if entry["name"] == name)
    far, near, light, accent = (rgb(entry[key]) for key in ("far", "near", "light", "accent"))
    return Mood(name, tuple(rgb(code) for code in entry["sky"]), far, near, light, accent, bool(entry["stars"]))


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """Blend two colours; `share` 1 is all of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def rgb(code: str) -> RGB:
    """Read a colour written as `#rrggbb`."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)
