"""Landscapes from words: which mood, land and subject a prompt speaks of, and how they are drawn.

In: a prompt, a seed and a small canvas. Out: a painted canvas. Never in here: text, files, sizes of the final picture.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

RGB = tuple[int, int, int]

GROUND = 0.83
"""Where subjects stand, as a share of the height."""


@dataclass(frozen=True, slots=True)
class Mood:
    """Colours of a time and a weather."""

    name: str
    sky: tuple[RGB, ...]
    far: RGB
    near: RGB
    light: RGB
    accent: RGB
    stars: bool


@dataclass(frozen=True, slots=True)
class Scenery:
    """What will be drawn: a mood over a land, perhaps with a subject in front."""

    mood: Mood
    land: str
    subject: Mapping[str, Any] | None
    seed: int


def scene_of(prompt: str, seed: int) -> Scenery:
    """Read the scene a prompt speaks of; where it is silent the seed decides."""
    chance = random.Random(f"{prompt}/{seed}")  # noqa: S311 - pictures, not secrets
    data = _data()
    mood = _mentioned(prompt, data["moods"]) or chance.choice(data["moods"])
    land = _mentioned(prompt, data["lands"]) or chance.choice(data["lands"])
    return Scenery(_mood(mood), land["name"], _mentioned(prompt, data["subjects"]), seed)


def draw_scene(scene: Scenery, width: int, height: int) -> Image.Image:
    """Draw the whole scene on a new canvas (a canvas of about a million pixels takes some 50 ms)."""
    chance = random.Random(scene.seed)  # noqa: S311
    mood = scene.mood
    canvas = gradient(mood.sky, width, height)
    horizon = int(height * chance.uniform(0.52, 0.62))
    _stars(canvas, mood, horizon, chance)
    _sun(canvas, mood, horizon, chance)
    _clouds(canvas, mood, horizon, chance)
    LANDS[scene.land](canvas, mood, horizon, chance)
    _birds(canvas, mood, horizon, chance)
    if scene.subject:
        if scene.land == "sea" and not scene.subject.get("afloat"):
            _bank(canvas, mood, chance)
        draw_subject(canvas, scene.subject, mood, chance)
    _weather(canvas, mood, chance)
    return _vignette(canvas)


def draw_subject(canvas: Image.Image, subject: Mapping[str, Any], mood: Mood, chance: random.Random) -> None:
    """Put a silhouette in the foreground, left or right of the middle, standing on the ground."""
    tall = (
        canvas.height * subject["height"] if canvas.height >= canvas.width else canvas.height * subject["height"] * 1.5
    )
    wide = tall * subject["aspect"]
    left = canvas.width * chance.choice((0.36, 0.5, 0.62)) - wide / 2
    top, rim = canvas.height * GROUND - tall, max(1.5, tall * 0.012)
    lit = mix(mood.near, mood.light, 0.5)
    silhouette(canvas, subject, replace(mood, near=lit, accent=lit), (left - rim, top - rim, wide, tall))
    silhouette(canvas, subject, mood, (left, top, wide, tall))


def silhouette(
    canvas: Image.Image, subject: Mapping[str, Any], mood: Mood, place: tuple[float, float, float, float]
) -> None:
    """Draw a subject's shapes into a place (left, top, width, height)."""
    pen = ImageDraw.Draw(canvas)
    left, top, wide, tall = place
    for colour, kind, numbers in subject["shapes"]:
        xs = [left + x * wide for x in numbers[::2]]
        ys = [top + y * tall for y in numbers[1::2]]
        points = [xy for pair in zip(xs, ys, strict=True) for xy in pair]
        (pen.ellipse if kind == "ellipse" else pen.polygon)(points, fill=getattr(mood, colour))


def subjects() -> Sequence[Mapping[str, Any]]:
    """Every subject that can be drawn alone."""
    return tuple(_data()["subjects"])


def gradient(stops: Sequence[RGB], width: int, height: int) -> Image.Image:
    """Blend colours from top to bottom."""
    column = Image.new("RGB", (1, len(stops)))
    column.putdata(stops)
    return column.resize((1, height), Image.Resampling.BICUBIC).resize((width, height), Image.Resampling.NEAREST)


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """Blend two colours; `share` 1 is all of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _sun(canvas: Image.Image, mood: Mood, horizon: int, chance: random.Random) -> None:
    width, height = canvas.size
    radius = round(min(width, height) * chance.uniform(0.06, 0.1))
    x = round(width * chance.choice((0.3, 0.38, 0.62, 0.7)))
    y = round(horizon * chance.uniform(0.35, 0.72))
    reach = radius * 7
    # Pillow's gradient ends in the corners; squaring what lies inside the circle lets the glow end softly at its rim.
    glow = Image.radial_gradient("L").point(lambda v: max(0, 179 - v) ** 2 // 160).resize((reach * 2, reach * 2))
    canvas.paste(Image.new("RGB", glow.size, mood.light), (x - reach, y - reach), glow)
    ImageDraw.Draw(canvas).ellipse((x - radius, y - radius, x + radius, y + radius), fill=mood.light)


def _stars(canvas: Image.Image, mood: Mood, horizon: int, chance: random.Random) -> None:
    if not mood.stars:
        return
    pen = ImageDraw.Draw(canvas)
    for _ in range(160):
        x, y = chance.randrange(canvas.width), int(chance.random() ** 1.5 * horizon)
        shine = mix(mood.sky[0], mood.light, chance.uniform(0.3, 1.0))
        size = chance.choice((0, 0, 1))
        pen.ellipse((x - size, y - size, x + size, y + size), fill=shine)


def _clouds(canvas: Image.Image, mood: Mood, horizon: int, chance: random.Random) -> None:
    width, height = canvas.width // 4, canvas.height // 4
    mask = Image.new("L", (width, height))
    pen = ImageDraw.Draw(mask)
    for _ in range(chance.randint(3, 6)):
        x, y = chance.uniform(-0.1, 1.0) * width, chance.uniform(0.1, 0.85) * horizon / 4
        for _ in range(9):
            w, h = chance.uniform(0.08, 0.26) * width, chance.uniform(0.006, 0.02) * height
            cx, cy = x + chance.uniform(-0.2, 0.2) * width, y + chance.uniform(-0.018, 0.018) * height
            pen.ellipse((cx - w, cy - h, cx + w, cy + h), fill=chance.randint(60, 150))
    soft = mask.filter(ImageFilter.GaussianBlur(max(2, width / 70))).resize(canvas.size, Image.Resampling.BILINEAR)
    canvas.paste(Image.new("RGB", canvas.size, mix(mood.sky[-1], mood.light, 0.6)), mask=soft)


def _birds(canvas: Image.Image, mood: Mood, horizon: int, chance: random.Random) -> None:
    if mood.stars:
        return
    pen = ImageDraw.Draw(canvas)
    x0, y0 = chance.uniform(0.15, 0.75) * canvas.width, chance.uniform(0.2, 0.6) * horizon
    span = min(canvas.size) * 0.014
    for _ in range(chance.randint(3, 7)):
        x, y = x0 + chance.uniform(-9, 9) * span, y0 + chance.uniform(-5, 5) * span
        pen.line(
            (x - span, y - span * 0.45, x, y, x + span, y - span * 0.45), fill=mix(mood.far, mood.near, 0.6), width=2
        )


def _ridge(width: int, base: float, rise: float, rough: float, chance: random.Random) -> list[tuple[float, float]]:
    """Draw a mountain line by midpoint displacement."""
    line = [base - chance.uniform(0, rise), base - chance.uniform(0, rise)]
    swing = rise
    while len(line) < 120:
        middles = [(a + b) / 2 + chance.uniform(-swing, swing) for a, b in pairwise(line)]
        line = [value for pair in zip(line, middles, strict=False) for value in pair] + [line[-1]]
        swing *= rough
    step = width / (len(line) - 1)
    return [(index * step, min(base, y)) for index, y in enumerate(line)]


def _save_slot(canvas: Image.Image, line: Sequence[tuple[float, float]], colour: RGB, foot: RGB) -> None:
    """Fill below a line, its colour fading to the haze at its foot."""
    width, height = canvas.size
    top = max(0, int(min(y for _, y in line)))
    mask = Image.new("L", (width, height - top))
    outline = [(0.0, float(height)), *line, (float(width), float(height))]
    ImageDraw.Draw(mask).polygon([(x, y - top) for x, y in outline], fill=255)
    canvas.paste(gradient((colour, mix(colour, foot, 0.55), foot), width, height - top), (0, top), mask)


def _mountains(canvas: Image.Image, mood: Mood, horizon: int, chance: random.Random) -> None:
    height = canvas.height
    haze = mood.sky[-1]
    for depth in range(5):
        share = depth / 4
        base = horizon + (height - horizon) * (0.1 + 0.62 * share)
        colour = mix(mood.far, mood.near, share**1.4)
        line = _ridge(canvas.width, base, height * (0.13 - 0.02 * depth), 0.55, chance)
        _save_slot(canvas, line, colour, mix(colour, haze, 0.5 * (1 - share)))


def _forest(canvas: Image.Image, mood: Mood, horizon: int, chance: random.Random) -> None:
    width, height = canvas.size
    for depth in range(4):
        share = depth / 3
        base = horizon + (height - horizon) * (0.05 + 0.7 * share)
        colour = mix(mood.far, mood.near, share)
        line = _ridge(width, base, height * 0.05, 0.5, chance)
        _save_slot(canvas, line, colour, mix(colour, mood.sky[-1], 0.45 * (1 - share)))
        pen = ImageDraw.Draw(canvas)
        tall = height * (0.05 + 0.07 * share)
        for x, y in line[:: 3 if depth < 3 else 2]:
            _conifer(pen, x + chance.uniform(-4, 4), y + tall * 0.3, tall * chance.uniform(0.7, 1.35), colour)


def _conifer(pen: ImageDraw.ImageDraw, x: float, y: float, tall: float, colour: RGB) -> None:
    for tier in range(3):
        top, wide = y - tall * (1 - tier * 0.22), tall * (0.11 + 0.07 * tier)
        pen.polygon((x, top, x - wide, top + tall * 0.42, x + wide, top + tall * 0.42), fill=colour)
    pen.rectangle((x - tall * 0.02, y - tall * 0.2, x + tall * 0.02, y), fill=colour)


def _dunes(canvas: Image.Image, mood: Mood, horizon: int, chance: random.Random) -> None:
    width, height = canvas.size
    for depth in range(5):
        share = depth / 4
        base = horizon + (height - horizon) * (0.04 + 0.66 * share)
        swing, waves, start = height * (0.018 + 0.03 * share), chance.uniform(0.7, 1.6), chance.uniform(0, 6)
        line = [
            (
                x,
                base
                + swing * math.sin(start + waves * math.tau * x / width)
                + swing * 0.4 * math.sin(3 * x / width + start),
            )
            for x in range(0, width + 8, 8)
        ]
        colour = mix(mood.far, mood.near, share**1.2)
        _save_slot(canvas, line, mix(colour, mood.light, 0.18), mix(colour, mood.near, 0.3))


def _sea(canvas: Image.Image, mood: Mood, horizon: int, chance: random.Random) -> None:
    width, height = canvas.size
    line = _ridge(width, float(horizon), height * 0.07, 0.55, chance)
    _save_slot(canvas, line, mix(mood.far, mood.near, 0.15), mix(mood.far, mood.sky[-1], 0.4))
    above = canvas.crop((0, max(0, 2 * horizon - height), width, horizon))
    mirror = ImageOps.flip(above).resize((width, height - horizon)).filter(ImageFilter.BoxBlur(3))
    canvas.paste(Image.blend(mirror, gradient((mood.far, mood.near), *mirror.size), 0.5), (0, horizon))
    pen = ImageDraw.Draw(canvas)
    for _ in range(240):
        depth = chance.random() ** 1.6
        y = horizon + 2 + depth * (height - horizon)
        reach = width * (0.01 + 0.07 * depth)
        x = chance.uniform(0, width)
        below = mix(mood.sky[-1], mood.near, 0.2 + 0.6 * depth)
        colour = mix(below, mood.light, 0.12 + 0.3 * chance.random())
        pen.line((x - reach, y, x + reach, y), fill=colour, width=1 + int(depth * 2))


def _bank(canvas: Image.Image, mood: Mood, chance: random.Random) -> None:
    """Put ground under whoever cannot swim."""
    width, height = canvas.size
    top, bend = height * (GROUND - 0.02), chance.uniform(0, 6)
    line = [(x, top + height * 0.012 * math.sin(bend + 4 * x / width)) for x in range(0, width + 8, 8)]
    _save_slot(canvas, line, mix(mood.near, mood.far, 0.3), mood.near)


def _city(canvas: Image.Image, mood: Mood, horizon: int, chance: random.Random) -> None:
    width, height = canvas.size
    pen = ImageDraw.Draw(canvas)
    for depth in range(3):
        share = depth / 2
        ground = horizon + (height - horizon) * (0.15 + 0.5 * share)
        colour = mix(mix(mood.far, mood.sky[-1], 0.3), mood.near, 0.15 + 0.8 * share)
        x = -width * 0.03
        while x < width:
            wide = width * chance.uniform(0.05, 0.12)
            top = ground - height * chance.uniform(0.1, 0.34) * (1 - 0.25 * share)
            pen.rectangle((x, top, x + wide, height), fill=colour)
            if chance.random() < 0.3:
                pen.line((x + wide / 2, top, x + wide / 2, top - height * 0.04), fill=colour, width=2)
            _windows(pen, (x, top, x + wide, ground), mix(colour, mood.accent, 0.35 + 0.5 * share), chance)
            x += wide + width * chance.uniform(0, 0.015)
    street = [(0.0, height * 0.81), (float(width), height * 0.81)]
    _save_slot(canvas, street, mix(mood.near, mood.accent, 0.12), mood.near)


def _windows(
    pen: ImageDraw.ImageDraw, wall: tuple[float, float, float, float], light: RGB, chance: random.Random
) -> None:
    left, top, right, bottom = wall
    step = max(7.0, (right - left) / 7)
    y = top + step
    while y < bottom:
        x = left + step * 0.6
        while x < right - step * 0.6:
            if chance.random() < 0.34:
                pen.rectangle((x, y, x + step * 0.45, y + step * 0.5), fill=light)
            x += step
        y += step * 1.15


def _weather(canvas: Image.Image, mood: Mood, chance: random.Random) -> None:
    pen = ImageDraw.Draw(canvas, "RGBA")
    width, height = canvas.size
    if mood.name == "rain":
        for _ in range(170):
            x, y, long = chance.uniform(0, width), chance.uniform(0, height), height * chance.uniform(0.015, 0.04)
            pen.line((x, y, x - long * 0.22, y + long), fill=(*mood.light, 90), width=1)
    if mood.name == "snow":
        for _ in range(260):
            x, y, size = chance.uniform(0, width), chance.uniform(0, height), chance.uniform(0.5, 2.6)
            pen.ellipse((x - size, y - size, x + size, y + size), fill=(*mood.light, 200))


def _vignette(canvas: Image.Image) -> Image.Image:
    shade = Image.radial_gradient("L").point(lambda v: 255 - int(v * v / 900)).resize(canvas.size)
    return ImageChops.multiply(canvas, Image.merge("RGB", (shade, shade, shade)))


LANDS: Mapping[str, Callable[[Image.Image, Mood, int, random.Random], None]] = {
    "mountains": _mountains,
    "forest": _forest,
    "dunes": _dunes,
    "sea": _sea,
    "city": _city,
}


def _mentioned(prompt: str, entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Find the entry whose words appear most often, the earlier one on a tie; None when none appears."""
    lower = prompt.lower()
    scores = [sum(_says(lower, word) for word in entry["words"]) for entry in entries]
    best = max(scores)
    return entries[scores.index(best)] if best else None


def _says(prompt: str, word: str) -> bool:
    return re.search(rf"\b{word}\b", prompt) is not None if word.isascii() else word in prompt


def _mood(entry: Mapping[str, Any]) -> Mood:
    colours = {name: _rgb(entry[name]) for name in ("far", "near", "light", "accent")}
    return Mood(name=entry["name"], sky=tuple(_rgb(code) for code in entry["sky"]), stars=entry["stars"], **colours)


def _rgb(code: str) -> RGB:
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


@cache
def _data() -> Mapping[str, Any]:
    data: Mapping[str, Any] = json.loads(
        (files("seedframe") / "data" / "emulator" / "scenery.json").read_text(encoding="utf-8")
    )
    return data
