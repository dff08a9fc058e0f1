"""The icon of the packages: a tall frame with a sprout in it. Out: a PNG of 512x512. Never in here: a package."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

SIDE = 512
_SCALE = 4
_PAPER, _INK, _LEAF, _SKY = "#f4efe4", "#22333b", "#5b8c5a", "#c9dfe4"


def draw_icon(path: Path) -> None:
    """Draw it large and shrink it, for smooth edges."""
    image = Image.new("RGB", (SIDE * _SCALE, SIDE * _SCALE), _PAPER)
    pen = ImageDraw.Draw(image)

    def at(*numbers: float) -> tuple[float, ...]:
        return tuple(number * _SCALE for number in numbers)

    pen.rounded_rectangle(at(148, 64, 364, 448), radius=28 * _SCALE, fill=_SKY, outline=_INK, width=16 * _SCALE)
    pen.rectangle(at(164, 372, 348, 432), fill=_INK)
    pen.line(at(256, 372, 256, 216), fill=_INK, width=14 * _SCALE)
    pen.pieslice(at(186, 176, 326, 316), 180, 270, fill=_LEAF)
    pen.pieslice(at(186, 128, 326, 268), 270, 360, fill=_LEAF)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(path, "PNG", optimize=True)
