"""Pictures of exactly the asked size, visibly emulated: a scene read from the prompt, the prompt, a mark.

In: a `Recipe`. Out: the bytes of a JPEG or PNG; the same recipe gives the same bytes. Never in here: HTTP, chance.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, replace
from functools import lru_cache
from math import sqrt
from typing import Literal

from PIL import Image, ImageDraw

from seedframe.emulator import image_files, scenery, text_drawing
from seedframe.emulator.faults import Fault
from seedframe.emulator.generation_request import Format
from seedframe.geometry import Size

SKETCH_PIXELS = 900_000
"""Scenes are drawn this large and scaled up: quick, and the edges come out soft."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything a picture depends on. `part`: a whole picture, a subject alone on nothing, or any valid picture."""

    prompt: str
    seed: int
    size: Size
    format: Format
    title: str
    watermark: bool
    part: Literal["scene", "cutout", "instant"] = "scene"
    thumbnails: tuple[bytes | None, ...] = ()


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
    picture = _cutout(recipe) if recipe.part == "cutout" else _scene(recipe)
    return image_files.jpeg(picture) if recipe.format == "jpeg" else image_files.png(picture)


@lru_cache(maxsize=64)
def _instant(size: Size, format: Format) -> bytes:
    blank = Recipe("instant", 1, size, format, "instant", watermark=False)
    picture = scenery.gradient(((40, 60, 110), (240, 180, 120)), size.width, size.height)
    text_drawing.write_mark(picture, blank.title)
    return image_files.jpeg(picture) if format == "jpeg" else image_files.png(picture)


def _scene(recipe: Recipe) -> Image.Image:
    size = recipe.size
    scale = min(1.0, sqrt(SKETCH_PIXELS / size.pixels))
    scene = scenery.scene_of(recipe.prompt, recipe.seed)
    sketch = scenery.draw_scene(scene, max(8, round(size.width * scale)), max(8, round(size.height * scale)))
    picture = sketch.resize((size.width, size.height), Image.Resampling.BICUBIC)
    _paste_references(picture, recipe.thumbnails)
    text_drawing.write_caption(picture, recipe.prompt)
    text_drawing.write_mark(picture, f"{recipe.title} · {size}")
    if recipe.watermark:
        text_drawing.write_watermark(picture)
    return picture


def _cutout(recipe: Recipe) -> Image.Image:
    """Draw one subject alone on a transparent ground, as `background: transparent` and layers have it."""
    size = recipe.size
    scene = scenery.scene_of(recipe.prompt, recipe.seed)
    subject = scene.subject or random.Random(recipe.seed).choice(scenery.subjects())  # noqa: S311
    picture = Image.new("RGBA", (size.width, size.height))
    tall = min(size.height * 0.86, size.width * 0.8 / subject["aspect"])
    wide = tall * subject["aspect"]
    scenery.silhouette(picture, subject, scene.mood, ((size.width - wide) / 2, (size.height - tall) / 2, wide, tall))
    text_drawing.write_mark(picture, f"{recipe.title} · {size}")
    return picture


def _paste_references(picture: Image.Image, thumbnails: tuple[bytes | None, ...]) -> None:
    """Lay the input pictures as small numbered prints along the right edge, in their order."""
    if not thumbnails:
        return
    room = min(picture.width * 0.2, picture.height * 0.74 / len(thumbnails))
    side, edge = round(room * 0.88), round(room * 0.06) + 2
    pen = ImageDraw.Draw(picture)
    letters, _ = text_drawing.font(max(8, side // 7))
    top = round(min(picture.size) * 0.036)
    for number, content in enumerate(thumbnails, start=1):
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
