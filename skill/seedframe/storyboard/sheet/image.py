"""The contact sheet as one PNG: story order, labels, picks; drawn without a browser.

In: a Board, results, thumbnails (JPEG bytes by frame key), a font file for Chinese when there is one. Out: PNG bytes.
Never in here: finding results or pictures on disk; what a page shows better (prompts, findings).
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from seedframe.messages import Language, Message
from seedframe.storyboard.frames import FrameResult, FrameTask, frames_of
from seedframe.storyboard.names import SUFFIXES
from seedframe.storyboard.types import Board
from seedframe.storyboard.wording import HAN

PAPER, INK, SOFT, WELL, MARK, BAD = "#f4f1ea", "#26221c", "#756d60", "#e3dccd", "#d6321f", "#b3261e"
WIDEST, NARROWEST, MARGIN, GAP = 220, 40, 40, 16
MOST_PIXELS = 60_000_000
"""A sheet of thousands of frames gets smaller frames, not more memory."""

CHINESE_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "/System/Library/Fonts/Hiragino Sans GB.ttc",
    "C:/Windows/Fonts/msyh.ttc",
    "C:/Windows/Fonts/simsun.ttc",
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The layout in pixels: columns of cells, each a picture above two lines of label."""

    columns: int
    width: int
    height: int
    line: int
    top: int

    @property
    def cell(self) -> int:
        return self.height + 2 * self.line + 2 * GAP


def chinese_font() -> Path | None:
    """A font with Chinese glyphs among the usual places of Linux, macOS and Windows."""
    return next((path for path in map(Path, CHINESE_FONTS) if path.is_file()), None)


def sheet_png(
    board: Board,
    results: Mapping[str, FrameResult],
    *,
    thumbnails: Mapping[str, bytes],
    language: Language = "en",
    font: Path | None = None,
) -> bytes:
    """The sheet as PNG, at most 60 megapixels. Without a `font`, texts that need Chinese glyphs are left out."""
    tasks = frames_of(board)
    rows = math.ceil(math.sqrt(len(tasks)))
    plan = _plan(board, len(tasks), rows)
    height = plan.top + math.ceil(len(tasks) / plan.columns) * plan.cell + MARGIN
    width = 2 * MARGIN + plan.columns * (plan.width + GAP) - GAP
    canvas = Image.new("RGB", (width, height), PAPER)
    pen = _Pen(ImageDraw.Draw(canvas), font, language)
    _heading(pen, board, [results.get(task.key, FrameResult(task.key)) for task in tasks])
    for (x, y), task in zip(_corners(plan), tasks, strict=False):
        result = results.get(task.key, FrameResult(task.key))
        _picture(canvas, pen, (x, y), plan, thumbnails.get(task.key), result)
        _label(pen, (x, y + plan.height + 4), plan, task, result)
    target = io.BytesIO()
    canvas.save(target, "PNG")
    return target.getvalue()


def _plan(board: Board, count: int, rows: int) -> _Plan:
    wide, high = (int(part) for part in board.ratio.split(":"))
    columns = max(1, min(count, round(rows * math.sqrt(1.4 * high / wide))))
    columns = math.ceil(count / math.ceil(count / columns))
    fits = math.sqrt(MOST_PIXELS / (2 * count * max(high / wide, 1)))
    width = int(max(NARROWEST, min(WIDEST, fits)))
    return _Plan(columns, width, round(width * high / wide), max(8, width // 13), MARGIN + 72)


def _corners(plan: _Plan) -> Iterator[tuple[int, int]]:
    row = 0
    while True:
        for column in range(plan.columns):
            yield MARGIN + column * (plan.width + GAP), plan.top + row * plan.cell
        row += 1


class _Pen:
    """Draws text, as far as the font has its glyphs."""

    def __init__(self, draw: ImageDraw.ImageDraw, font: Path | None, language: Language) -> None:
        self.draw, self.path = draw, font
        self.language: Language = language if font or language == "en" else "en"
        self.sizes: dict[int, Any] = {}

    def font(self, size: int) -> Any:
        if size not in self.sizes:
            known = ImageFont.truetype(str(self.path), size) if self.path else ImageFont.load_default(size)
            self.sizes[size] = known
        return self.sizes[size]

    def write(self, at: tuple[int, int], text: str, size: int, colour: str, within: int) -> None:
        """One line, cut with … after `within` pixels; nothing when its glyphs are missing."""
        if self.path is None and HAN.search(text):
            return
        font = self.font(size)
        while text and font.getlength(text) > within:
            text = text.rstrip("…")[:-1] + "…" if len(text.rstrip("…")) > 1 else ""
        self.draw.text(at, text, fill=colour, font=font)

    def label(self, key: str) -> str:
        """A label of the sheet in its language."""
        return Message(f"sheet.{key}").text(self.language)


def _heading(pen: _Pen, board: Board, results: Sequence[FrameResult]) -> None:
    titles = board.title or {}
    title = titles.get(pen.language) or next(iter(titles.values()), board.project)
    title = board.project if pen.path is None and HAN.search(title) else title
    done = sum(result.status == "done" for result in results)
    counts = f"{len(board.shots)} {pen.label('shots')} · {done}/{len(results)} {pen.label('done')} · {board.ratio}"
    pen.write((MARGIN, MARGIN - 8), title, 30, INK, 2000)
    pen.write((MARGIN, MARGIN + 32), f"{board.project} · {counts}", 15, SOFT, 2000)


def _picture(
    canvas: Image.Image, pen: _Pen, at: tuple[int, int], plan: _Plan, thumbnail: bytes | None, result: FrameResult
) -> None:
    x, y = at
    box = (x, y, x + plan.width - 1, y + plan.height - 1)
    pen.draw.rectangle(box, fill=WELL)
    if thumbnail is None:
        colour = BAD if result.status in ("failed", "unknown") else SOFT
        label = pen.label(result.status)
        left = max(6, (plan.width - int(pen.font(plan.line).getlength(label))) // 2)
        pen.write((x + left, y + plan.height // 2), label, plan.line, colour, plan.width - 12)
    else:
        with Image.open(io.BytesIO(thumbnail)) as opened:
            opened.draft("RGB", (plan.width, plan.height))
            picture = opened.convert("RGB")
        picture.thumbnail((plan.width, plan.height))
        inset = ((plan.width - picture.width) // 2, (plan.height - picture.height) // 2)
        canvas.paste(picture, (x + inset[0], y + inset[1]))
    if result.picked:
        pen.draw.rounded_rectangle((x - 5, y - 5, box[2] + 5, box[3] + 5), radius=10, outline=MARK, width=4)


def _label(pen: _Pen, at: tuple[int, int], plan: _Plan, task: FrameTask, result: FrameResult) -> None:
    x, y = at
    scene, shot = task.shot.split("_")[1:]
    name = f"{scene} {shot} {SUFFIXES[task.role]} v{task.take:02}"
    size = f"{result.width}×{result.height}" if result.width and result.height else pen.label(result.status)
    pen.write((x, y), name, plan.line, INK, plan.width)
    pen.write((x, y + plan.line + 2), size, plan.line - 1, MARK if result.picked else SOFT, plan.width)
