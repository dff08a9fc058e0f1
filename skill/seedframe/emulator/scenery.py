"""Landscapes: a mood over a land, with things in it, drawn on a small canvas.

In: a `DrawnScene` and a size. Out: a painted canvas. Never in here: words, text, files, sizes of the final picture.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from seedframe.emulator.drawn_scene import DrawnScene, things
from seedframe.emulator.moods import RGB, Mood, mix, mood_named
from seedframe.emulator.placing import GROUND
from seedframe.emulator.thing_drawing import draw_things

INDOORS = {"room", "studio"}


def draw_scene(scene: DrawnScene, width: int, height: int) -> Image.Image:
    """Draw the whole scene on a new canvas (a canvas of about a million pixels takes some 50 ms)."""
    chance = random.Random(scene.seed)  # noqa: S311 - pictures, not secrets
    mood = mood_named(scene.mood)
    canvas = gradient(mood.sky, width, height)
    horizon = int(height * chance.uniform(0.52, 0.62))
    if scene.land not in INDOORS:
        _stars(canvas, mood, horizon, chance)
        if not any(thing.name == "moon" for thing in scene.things):
            _sun(canvas, mood, horizon, chance)
        _clouds(canvas, mood, horizon, chance)
    LANDS[scene.land](canvas, mood, horizon, chance)
    if scene.land not in {*INDOORS, "alley"} and not any(thing.name == "bird" for thing in scene.things):
        _birds(canvas, mood, horizon, chance)
    if scene.land == "sea" and any(_stands(thing.name) for thing in scene.things if thing.holder < 0):
        _bank(canvas, mood, chance)
    draw_things(canvas, scene.things, mood)
    if scene.land not in INDOORS:
        _weather(canvas, mood, chance)
    canvas = _vignette(canvas)
    return ImageOps.grayscale(canvas).convert("RGB") if scene.colourless else canvas


def _stands(name: str) -> bool:
    return name != "fish" and things()[name]["kind"] not in {"sky", "float", "built"}


def gradient(stops: Sequence[RGB], width: int, height: int) -> Image.Image:
    """Blend colours from top to bottom."""
    column = Image.new("RGB", (1, len(stops)))
    column.putdata(stops)
    return column.resize((1, height), Image.Resampling.BICUBIC).resize((width, height), Image.Resampling.NEAREST)


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


def _alley(canvas: Image.Image, mood: Mood, horizon: int, chance: random.Random) -> None:
    """Draw houses on both sides that run to one point, and wet flagstones between them."""
    width, height = canvas.size
    pen = ImageDraw.Draw(canvas)
    far, pen_width = (width * chance.uniform(0.47, 0.53), horizon), max(1, width // 500)
    stone = mix(mix(mood.far, mood.near, 0.45), mood.light, 0.08)
    _save_slot(canvas, [(0.0, float(horizon)), (float(width), float(horizon))], stone, mood.near)
    for row in range(1, 12):
        y = horizon + (height - horizon) * (row / 11) ** 1.8
        pen.line((0, y, width, y), fill=mix(stone, mood.near, 0.5), width=pen_width)
    for lane in range(-9, 10):
        pen.line((*far, far[0] + lane * width * 0.16, height), fill=mix(stone, mood.near, 0.5), width=pen_width)
    pen.polygon(
        (far[0] - width * 0.06, horizon, far[0] + width * 0.06, horizon, width * 0.6, height, width * 0.4, height),
        fill=mix(stone, mood.light, 0.22),
    )
    for side in (-1, 1):
        _street_front(pen, mood, side, far, canvas.size, chance)


def _street_front(
    pen: ImageDraw.ImageDraw,
    mood: Mood,
    side: int,
    far: tuple[float, float],
    size: tuple[int, int],
    chance: random.Random,
) -> None:
    """Draw one side of an alley: walls under roofs, a door and a lit window in each."""
    width, height = size
    edge = width if side > 0 else 0
    marks = [0.0, 0.3, 0.54, 0.73, 0.88]

    def at(share: float, top: float) -> tuple[float, float]:
        x = edge + (far[0] + side * width * 0.06 - edge) * share
        return x, far[1] + (top * height - far[1]) * (1 - share)

    for near, distant in pairwise(marks):
        wall = mix(mix(mood.near, mood.far, 0.25 + near * 0.7), mood.light, chance.uniform(0.02, 0.12))
        roof = mix(mood.near, mood.far, near * 0.6)
        tall = chance.uniform(0.06, 0.2)
        pen.polygon((*at(near, tall), *at(distant, tall), *at(distant, 1.04), *at(near, 1.04)), fill=wall)
        pen.polygon(
            (
                *at(near - 0.03, tall + 0.03),
                *at(near, tall - 0.09),
                *at(distant, tall - 0.09),
                *at(distant + 0.02, tall + 0.03),
            ),
            fill=roof,
        )
        step = distant - near
        for start, top, low in ((0.16, 0.42, 0.6), (0.58, 0.5, 1.0)):
            a, b = near + step * start, near + step * (start + 0.26)
            lit = mix(wall, mood.accent if mood.dark else mood.light, 0.6) if low < 1 else roof
            pen.polygon((*at(a, top), *at(b, top), *at(b, low), *at(a, low)), fill=lit)


def _room(canvas: Image.Image, mood: Mood, _horizon: int, chance: random.Random) -> None:
    """Draw a wall, a floor of boards, and a window that shows the hour."""
    width, height = canvas.size
    pen = ImageDraw.Draw(canvas)
    floor = height * 0.68
    wall = mix((214, 198, 176), mood.near, 0.5 if mood.dark else 0.12)
    canvas.paste(gradient((mix(wall, (0, 0, 0), 0.18), wall, mix(wall, mood.light, 0.2)), width, int(floor)), (0, 0))
    wood = mix((150, 104, 68), mood.near, 0.5 if mood.dark else 0.15)
    canvas.paste(gradient((mix(wood, (0, 0, 0), 0.3), wood), width, height - int(floor)), (0, int(floor)))
    for board in range(-8, 9):
        x = width / 2 + board * width * 0.09
        pen.line((x, floor, width / 2 + board * width * 0.17, height), fill=mix(wood, (0, 0, 0), 0.25), width=2)
    wide, tall = min(width * 0.3, height * 0.36), min(height * 0.34, width * 0.5)
    left, top = width * chance.choice((0.12, 0.36, 0.58)), height * 0.15
    pane = gradient(mood.sky, max(2, int(wide)), max(2, int(tall)))
    canvas.paste(pane, (int(left), int(top)))
    frame, thick = mix(wall, (255, 255, 255), 0.55), max(2, int(wide * 0.05))
    pen.rectangle((left, top, left + wide, top + tall), outline=frame, width=thick)
    pen.line((left + wide / 2, top, left + wide / 2, top + tall), fill=frame, width=thick // 2 + 1)


def _studio(canvas: Image.Image, mood: Mood, _horizon: int, _chance: random.Random) -> None:
    """Draw an even ground that a light falls on, as goods are photographed."""
    width, height = canvas.size
    ground = mix(mood.sky[-1], mood.far, 0.25)
    canvas.paste(gradient((mix(ground, mood.near, 0.3), ground, mix(ground, (255, 255, 255), 0.3)), width, height))
    canvas.paste(
        gradient((mix(ground, mood.near, 0.15), mix(ground, mood.near, 0.35)), width, height - int(height * 0.74)),
        (0, int(height * 0.74)),
    )


LANDS: Mapping[str, Callable[[Image.Image, Mood, int, random.Random], None]] = {
    "mountains": _mountains,
    "forest": _forest,
    "dunes": _dunes,
    "sea": _sea,
    "city": _city,
    "alley": _alley,
    "room": _room,
    "studio": _studio,
}
