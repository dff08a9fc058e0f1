"""Pictures of exactly the asked size, visibly emulated: a scene read from the prompt, the prompt, a mark.

In: a `Recipe`. Out: the bytes of a JPEG or PNG; the same recipe gives the same bytes. Never in here: HTTP, chance.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import sqrt
from typing import Literal

from PIL import Image, ImageDraw, ImageOps

from seedframe.emulator import image_files, scenery, text_drawing
from seedframe.emulator.drawn_scene import DrawnScene, scene_in, things
from seedframe.emulator.faults import Fault
from seedframe.emulator.generation_request import Format
from seedframe.emulator.moods import mood_named
from seedframe.emulator.scene_words import edited, is_edit, mentions, scene_of
from seedframe.emulator.thing_drawing import draw_thing, draw_things
from seedframe.geometry import Size

SKETCH_PIXELS = 900_000
"""Scenes are drawn this large and scaled up: quick, and the edges come out soft."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything a picture depends on. `part`: a whole picture, a subject alone on nothing, or any valid picture.

    `take` counts the pictures of one call; `thumbnails` and `comments` are those of the input pictures, in their order.
    """

    prompt: str
    seed: int
    size: Size
    format: Format
    title: str
    watermark: bool
    part: Literal["scene", "cutout", "instant"] = "scene"
    thumbnails: tuple[bytes | None, ...] = ()
    comments: tuple[str, ...] = ()
    take: int = 0


def paint(recipe: Recipe, damage: Fault | None = None) -> bytes:
    """Paint and encode, spoiled as the fault says. CPU work: call it in a thread."""
    match damage.name if damage else None:
        case "junk-picture":
            return image_files.junk(recipe.seed)
        case "pixel-bomb":
            return image_files.pixel_bomb()
        case "wrong-size" if damage:
            recipe = replace(recipe, size=Size.parse(damage.options["to"]))
        case "wrong-format":
            recipe = replace(recipe, format="png" if recipe.format == "jpeg" else "jpeg")
    content = _instant(recipe.size, recipe.format) if recipe.part == "instant" else _painted(recipe)
    return content[: len(content) * 3 // 5] if damage and damage.name == "truncated-picture" else content


@lru_cache(maxsize=24)
def _painted(recipe: Recipe) -> bytes:
    picture, scene = (_cutout(recipe), None) if recipe.part == "cutout" else _picture(recipe)
    comment = scene.as_text() if scene else ""
    return image_files.jpeg(picture, comment) if recipe.format == "jpeg" else image_files.png(picture, comment)


@lru_cache(maxsize=64)
def _instant(size: Size, format: Format) -> bytes:
    blank = Recipe("instant", 1, size, format, "instant", watermark=False)
    picture = scenery.gradient(((40, 60, 110), (240, 180, 120)), size.width, size.height)
    text_drawing.write_mark(picture, blank.title)
    return image_files.jpeg(picture) if format == "jpeg" else image_files.png(picture)


def _picture(recipe: Recipe) -> tuple[Image.Image, DrawnScene | None]:
    """Draw the picture a recipe asks for, and the scene it shows; None where it shows somebody else's picture."""
    known = [scene_in(comment) for comment in recipe.comments]
    looks = {thing.name: thing.colour for scene in known[1:] if scene for thing in scene.things}
    prints = list(enumerate(recipe.thumbnails, start=1))
    scene: DrawnScene | None
    if not recipe.thumbnails or not is_edit(recipe.prompt):
        first = {thing.name: thing.colour for thing in known[0].things} if known and known[0] else {}
        scene = scene_of(recipe.prompt, recipe.seed, recipe.take, {**looks, **first})
    else:
        prints = prints[1:]
        scene = edited(known[0], recipe.prompt, looks) if known[0] else None
    sketch = _sketch(recipe, scene)
    picture = sketch.resize((recipe.size.width, recipe.size.height), Image.Resampling.BICUBIC)
    _paste_references(picture, prints)
    if scene and scene.letters:
        text_drawing.write_letters(picture, scene.letters)
    text_drawing.write_caption(picture, recipe.prompt)
    text_drawing.write_mark(picture, f"{recipe.title} · {recipe.size}")
    if recipe.watermark:
        text_drawing.write_watermark(picture)
    return picture, scene


def _sketch(recipe: Recipe, scene: DrawnScene | None) -> Image.Image:
    """Draw a scene; without one, the first input picture with what the prompt adds to it drawn on top."""
    scale = min(1.0, sqrt(SKETCH_PIXELS / recipe.size.pixels))
    size = (max(8, round(recipe.size.width * scale)), max(8, round(recipe.size.height * scale)))
    if scene:
        return scenery.draw_scene(scene, *size)
    content = recipe.thumbnails[0]
    shown = _print(None, min(size)) if content is None else Image.open(io.BytesIO(content))
    canvas = ImageOps.fit(shown.convert("RGB"), size, Image.Resampling.BICUBIC)
    change = edited(DrawnScene("day", "studio", (), recipe.seed), recipe.prompt)
    draw_things(canvas, change.things, mood_named(change.mood))
    return canvas


def _cutout(recipe: Recipe) -> Image.Image:
    """Draw one subject alone on a transparent ground, as `background: transparent` and layers have it."""
    size = recipe.size
    shown = next((scene for scene in map(scene_in, recipe.comments) if scene and scene.things), None)
    named = mentions(recipe.prompt) or (shown.things if shown else ())
    name = named[0].name if named else random.Random(recipe.seed).choice(sorted(things()))  # noqa: S311
    picture = Image.new("RGBA", (size.width, size.height))
    tall = min(size.height * 0.86, size.width * 0.8 / things()[name]["aspect"])
    wide = tall * things()[name]["aspect"]
    place = ((size.width - wide) / 2, (size.height - tall) / 2, wide, tall)
    draw_thing(picture, name, named[0].colour if named else None, mood_named("day"), place)
    text_drawing.write_mark(picture, f"{recipe.title} · {size}")
    return picture


def _paste_references(picture: Image.Image, prints: Sequence[tuple[int, bytes | None]]) -> None:
    """Lay the input pictures as small numbered prints along the right edge, in their order."""
    if not prints:
        return
    space = min(picture.width * 0.2, picture.height * 0.74 / len(prints))
    side, edge = round(space * 0.88), round(space * 0.06) + 2
    pen = ImageDraw.Draw(picture)
    letters, _ = text_drawing.font(max(8, side // 7))
    top = round(min(picture.size) * 0.036)
    for number, content in prints:
        print_ = _print(content, side)
        left = picture.width - print_.width - edge * 3
        frame = (left - edge, top, left + print_.width + edge, top + print_.height + 2 * edge)
        pen.rectangle(frame, fill=(250, 249, 244), outline=(60, 60, 60))
        picture.paste(print_, (left, top + edge), print_ if print_.mode == "RGBA" else None)
        pen.text((left + 4, top + edge + 2), str(number), font=letters, fill=(232, 72, 48))
        top += print_.height + edge * 4


def _print(content: bytes | None, side: int) -> Image.Image:
    """Make a small copy of a reference; a grey card where only its URL is known."""
    if content is None:
        card = scenery.gradient(((120, 126, 138), (176, 180, 188)), side, side)
        letters, _ = text_drawing.font(max(8, side // 5))
        ImageDraw.Draw(card).text((side / 2, side / 2), "URL", font=letters, fill=(250, 250, 250), anchor="mm")
        return card
    copy: Image.Image = Image.open(io.BytesIO(content))
    copy.thumbnail((side, side))
    if max(copy.size) < side:
        scale = side / max(copy.size)
        copy = copy.resize((max(1, round(copy.width * scale)), max(1, round(copy.height * scale))))
    return copy
