"""Things drawn as simple shapes: outlines from the data in the thing's colours, tinted by the hour.

In: a scene's things and its mood. Out: the same canvas, drawn on. Never in here: words, landscapes, files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

from PIL import Image, ImageDraw

from seedframe.emulator.drawn_scene import Thing, things
from seedframe.emulator.moods import RGB, Mood, mix, rgb

Box = tuple[float, float, float, float]

INK = (28, 27, 36)
SKIN = (233, 184, 150)
GLOW = (255, 222, 138)


def draw_things(canvas: Image.Image, every: Sequence[Thing], mood: Mood) -> None:
    """Draw things in their order, each over its shadow."""
    boxes: list[Box] = []
    for thing in every:
        box = box_of(thing, boxes, canvas.size)
        boxes.append(box)
        if thing.holder < 0 and things()[thing.name]["kind"] not in {"sky", "hang"}:
            _shadow(canvas, box)
        draw_thing(canvas, thing.name, thing.colour, mood, box)


def box_of(thing: Thing, boxes: Sequence[Box], size: tuple[int, int]) -> Box:
    """Left, top, width and height of a thing in pixels; `boxes` are those of the things before it."""
    aspect = things()[thing.name]["aspect"]
    if thing.holder >= 0:
        left, top, wide, tall = boxes[thing.holder]
        high = thing.tall * tall
        x, y = left + wide / 2 + thing.x * tall, top + tall + thing.y * tall
    else:
        width, height = size
        high = thing.tall * min(sqrt(width * height) * 1.15, 1.6 * min(size))
        x, y = thing.x * width, thing.y * height
    return x - high * aspect / 2, y - high, high * aspect, high


def draw_thing(canvas: Image.Image, name: str, colour: str | None, mood: Mood, box: Box) -> None:
    """Draw one thing's shapes into a box."""
    entry = things()[name]
    colours = _colours(rgb(colour or entry["colour"]), mood)
    left, top, wide, tall = box
    for role, kind, numbers in entry["shapes"]:
        width, places = (numbers[0], numbers[1:]) if kind == "line" else (0, numbers)
        points = [
            value
            for x, y in zip(places[::2], places[1::2], strict=True)
            for value in (left + x / 100 * wide, top + y / 100 * tall)
        ]
        fill = colours[role] if role in colours else _tinted(rgb(role), mood)
        if role == "halo":
            _halo(canvas, points, strong=mood.dark)
        else:
            _shape(ImageDraw.Draw(canvas), kind, points, fill, width * tall / 100)


def _shape(pen: ImageDraw.ImageDraw, kind: str, points: Sequence[float], fill: RGB, width: float) -> None:
    if kind == "line":
        pen.line(points, fill=fill, width=max(1, round(width)), joint="curve")
    elif kind == "ellipse":
        pen.ellipse(points, fill=fill)
    else:
        pen.polygon(points, fill=fill)


def _halo(canvas: Image.Image, points: Sequence[float], *, strong: bool) -> None:
    """Lay a soft light over what lies within an ellipse."""
    left, top, right, bottom = (round(value) for value in points)
    size = (max(2, right - left), max(2, bottom - top))
    peak = 150 if strong else 60
    mask = Image.radial_gradient("L").point(lambda v: max(0, 179 - v) ** 2 * peak // 179**2).resize(size)
    canvas.paste(Image.new("RGB", size, GLOW), (left, top), mask)


def _shadow(canvas: Image.Image, box: Box) -> None:
    left, top, wide, tall = box
    size = (max(2, round(wide * 1.1)), max(2, round(tall * 0.1)))
    mask = Image.radial_gradient("L").point(lambda v: max(0, 179 - v) * 2 // 3).resize(size)
    canvas.paste((8, 8, 14), (round(left - wide * 0.05), round(top + tall * 0.96)), mask)


def _colours(main: RGB, mood: Mood) -> Mapping[str, Any]:
    # What shines by itself is not darkened by any hour.
    roles = {"main": main, "dark": mix(main, (10, 8, 18), 0.38), "light": mix(main, (255, 255, 255), 0.5)}
    return {
        **{role: _tinted(colour, mood) for role, colour in {**roles, "ink": INK, "skin": SKIN}.items()},
        "glow": GLOW,
        "halo": GLOW,
        "shine": main,
    }


def _tinted(colour: RGB, mood: Mood) -> RGB:
    """Colour things by the hour: much at night, a little by day."""
    return mix(colour, mood.near, 0.32) if mood.dark else mix(colour, mood.sky[-1], 0.1)
