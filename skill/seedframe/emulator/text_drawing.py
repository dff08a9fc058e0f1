"""Letters on pictures: a font the machine has, lines that fit, the EMULATED mark.

In: text and a picture. Out: the same picture, written on. Never in here: what the text says.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

WESTERN = 0x250
"""Letters below this are in every font."""

CJK = 0x2E80
"""From here on a line may break before every letter."""

NEVER_FIRST = frozenset("，。、；：！？）》」』】〉…—·,.;:!?)]}%”’")
"""Marks that do not begin a line."""

NEVER_LAST = frozenset("（《「『【〈“‘")

CJK_FONTS = (
    ("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", 2),
    ("/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc", 2),
    ("/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc", 2),
    ("/usr/share/fonts/opentype/noto/NotoSerifCJK-Bold.ttc", 2),
    ("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc", 0),
    ("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc", 0),
    ("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf", 0),
    ("/System/Library/Fonts/PingFang.ttc", 0),
    ("/System/Library/Fonts/Hiragino Sans GB.ttc", 0),
    ("/System/Library/Fonts/STHeiti Medium.ttc", 0),
    ("C:/Windows/Fonts/msyh.ttc", 0),
    ("C:/Windows/Fonts/simhei.ttf", 0),
)
"""Where systems keep a font with Chinese letters, and its number inside the file."""


def font(size: int) -> tuple[Font, bool]:
    """Find a font of that size in pixels, and whether it has Chinese letters; Pillow's own is always there."""
    path = _cjk()
    if path:
        return ImageFont.truetype(path[0], size, index=path[1]), True
    return ImageFont.load_default(size), False


def write_caption(picture: Image.Image, text: str) -> None:
    """Write the prompt in at most three lines on a darkened foot of the picture."""
    width, height = picture.size
    size = max(8, round(min(width, height * 1.2) * 0.031))
    letters, cjk = font(size)
    lines = wrap(readable(text, cjk=cjk), letters, width * 0.88, most=3)
    if not lines:
        return
    step = round(size * 1.5)
    foot = min(height, step * len(lines) + size * 3)
    shade = Image.linear_gradient("L").point(lambda v: int(v * 0.72)).resize((width, foot))
    picture.paste(Image.new("RGB", (width, foot), (6, 8, 14)), (0, height - foot), shade)
    pen = ImageDraw.Draw(picture)
    top = height - step * len(lines) - size
    for number, line in enumerate(lines):
        pen.text((width * 0.06, top + number * step), line, font=letters, fill=(250, 250, 246))


def write_letters(picture: Image.Image, text: str) -> None:
    """Write what stands in quotes large across the upper part, as a poster has it."""
    width, height = picture.size
    _, cjk = font(8)
    text = readable(text, cjk=cjk)
    if not text:
        return
    size = max(8, round(min(height * 0.16, width * 0.3, width * 0.84 / max(1.0, _width(text)))))
    letters, _ = font(size)
    place = (width / 2, height * 0.24)
    ImageDraw.Draw(picture).text(
        place,
        text,
        font=letters,
        fill=(255, 250, 238),
        anchor="mm",
        stroke_width=max(1, size // 14),
        stroke_fill=(34, 26, 40),
    )


def write_mark(picture: Image.Image, title: str) -> None:
    """Put the EMULATED badge into the upper left corner."""
    width, height = picture.size
    size = max(7, round(min(width, height) * 0.026))
    letters, _ = font(size)
    pen = ImageDraw.Draw(picture)
    edge, pad = round(size * 1.4), round(size * 0.7)
    for row, (text, ground, ink) in enumerate(
        (("EMULATED", (232, 72, 48), (255, 255, 255)), (title, (14, 18, 28), (236, 236, 230)))
    ):
        top = edge + row * round(size * 2.35)
        right = edge + pad * 2 + pen.textlength(text, font=letters)
        pen.rounded_rectangle((edge, top, right, top + size * 2), radius=size // 2, fill=ground)
        pen.text((edge + pad, top + size), text, font=letters, fill=ink, anchor="lm")


def write_watermark(picture: Image.Image) -> None:
    """Write the vendor's default watermark, lower right: the service adds it unless `watermark` is false."""
    size = max(7, round(min(picture.size) * 0.024))
    letters, cjk = font(size)
    place = (picture.width - size, picture.height - size * 0.8)
    ImageDraw.Draw(picture).text(place, "AI生成" if cjk else "AI", font=letters, fill=(255, 255, 255), anchor="rs")


def wrap(text: str, letters: Font, width: float, *, most: int) -> list[str]:
    """Break text into lines that fit; Chinese may break anywhere, the rest between words. The last may be shortened."""
    lines: list[str] = []
    line = ""
    for piece in _pieces(text):
        if line and letters.getlength(line + piece) > width:
            kept, moved = _broken(line, piece)
            lines.append(kept.rstrip())
            line = moved
        line = (line + piece).lstrip()
        if len(lines) == most:
            return [*lines[:-1], _shortened(lines[-1], letters, width)]
    return [*lines, line.rstrip()] if line.strip() else lines


def readable(text: str, *, cjk: bool) -> str:
    """Keep what the font can draw: no line breaks, no emoji, without a Chinese font only western letters."""
    plain = " ".join(text.split())
    return "".join(c for c in plain if ord(c) < WESTERN or (cjk and unicodedata.category(c)[0] in "LNPZ"))


def _broken(line: str, piece: str) -> tuple[str, str]:
    """Break a line before a piece; a mark that may not begin a line takes the letter before it along."""
    cut = len(line)
    while cut > 1 and (piece[0] in NEVER_FIRST or line[cut - 1] in NEVER_LAST):
        cut -= 1
        piece = line[cut]
    return line[:cut], line[cut:]


def _width(text: str) -> float:
    """The width of a line in letters' sizes: a Chinese letter is as wide as high, others about half."""
    return sum(1.0 if ord(letter) >= CJK else 0.6 for letter in text)


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for letter in text:
        wide = ord(letter) >= CJK
        if pieces and not wide and not pieces[-1].endswith(" ") and ord(pieces[-1][-1]) < CJK:
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return [part for piece in pieces for part in _halved(piece)]


def _halved(piece: str) -> list[str]:
    """Cut words longer than any line."""
    return [piece[start : start + 24] for start in range(0, len(piece), 24)]


def _shortened(line: str, letters: Font, width: float) -> str:
    while line and letters.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"


@cache
def _cjk() -> tuple[str, int] | None:
    return next(((path, number) for path, number in CJK_FONTS if Path(path).is_file()), None)
