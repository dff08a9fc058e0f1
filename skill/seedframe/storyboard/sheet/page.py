"""The contact sheet: one self-contained HTML page, in story order, on which people choose, compare and annotate.

In: a Board, results, thumbnails (JPEG bytes by frame key). Out: HTML with its style, script and pictures inside. It
needs no network, and its policy lets nothing else run; a full-size picture is shown from the file beside the page when
somebody enlarges it. All texts are escaped by the template: prompts and board texts are untrusted.
Never in here: reading pictures, writing files, storing a pick (the page gives the command for that).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedframe.html_pages import as_script, asset, content_policy, environment, live_words
from seedframe.messages import Language, Message
from seedframe.storyboard.frames import FrameResult
from seedframe.storyboard.sheet.scenes import DEFAULT_SECONDS, SheetData, clock, plain
from seedframe.storyboard.types import Board, Shot

FOLDER, WORDS = "storyboard/sheet", "sheet"
SCRIPTS = ("review.js", "viewer.js", "animatic.js", "panels.js", "keys.js")
PICK = "seedframe storyboard pick"
NOTHING: frozenset[str] = frozenset()
TAKE_WIDTH = {"tall": ("148px", "29mm"), "square": ("200px", "40mm"), "wide": ("280px", "62mm")}
SQUARE_FROM, WIDE_FROM = 0.9, 1.2
WIDEST = 6
"""The most takes in one row."""

MOST_FRAMES = 1_000
"""The most frames on one page that a browser opens well."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One page of a board: its file name, its shots."""

    number: int
    name: str
    shots: Sequence[Shot]


def render_sheets(
    board: Board,
    results: Mapping[str, FrameResult],
    *,
    language: Language = "en",
    thumbnails: Callable[[Sequence[str]], Mapping[str, bytes]],
    folder: Path | None = None,
    pick_command: str = PICK,
    stale: frozenset[str] = NOTHING,
    most: int | None = MOST_FRAMES,
) -> Iterator[tuple[str, str]]:
    """The page as one or more, each with its file name and `most` frames or a few more, linked to each other.

    It opens in `language`; a button changes it. Links to files are relative to `folder`. `thumbnails` is asked for the
    frames of one page at a time, so that a large board never has all of them in memory. `pick_command` is the command
    to copy; the keys of picked frames are appended to it. `stale` are keys of pictures that were made for an earlier
    state of the board.
    """
    data = SheetData.of(board, results, folder=folder, stale=stale)
    parts = list(_parts(data, most))
    pages_of = {shot.id: part.name for part in parts for shot in part.shots}
    style = asset(FOLDER, ("sheet.css", "print.css")) + _measures(board)
    script = as_script(asset(FOLDER, SCRIPTS))
    template = environment(FOLDER, _words).get_template("sheet.html")
    for part in parts:
        small = thumbnails(data.keys(part.shots))
        yield (
            part.name,
            template.render(
                language=language,
                policy=content_policy(style, script, images="data: 'self'"),
                style=style,
                script=script,
                words=live_words(WORDS),
                title=plain(board.title, language) or board.project,
                storage=board.project if part.number == 1 else f"{board.project}#{part.number}",
                board=board,
                shape=_shape(board),
                summary=data.summary(),
                findings=data.findings_of(None),
                index=data.index(pages_of),
                pages=[other.name for other in parts],
                here=part.name,
                scenes=data.scenes(part.shots, small),
                pick_command=pick_command,
                default_seconds=DEFAULT_SECONDS,
                widest=WIDEST,
                clock=clock,
            ),
        )


def page_name(number: int) -> str:
    """`sheet.html`, then `sheet-002.html` and so on."""
    return "sheet.html" if number == 1 else f"sheet-{number:03}.html"


def _words(key: str, **values: Any) -> Message:
    return Message(f"sheet.{key}", **values)


def _parts(data: SheetData, most: int | None) -> Iterator[_Part]:
    shots: list[Shot] = []
    number = frames = 0
    for shot in data.board.shots:
        shots.append(shot)
        frames += len(data.tasks[shot.id])
        if most is not None and frames >= most:
            number += 1
            yield _Part(number, page_name(number), shots)
            shots, frames = [], 0
    if shots:
        yield _Part(number + 1, page_name(number + 1), shots)


def _shape(board: Board) -> str:
    width, height = (int(part) for part in board.ratio.split(":"))
    return "tall" if width / height < SQUARE_FROM else "square" if width / height < WIDE_FROM else "wide"


def _measures(board: Board) -> str:
    screen, paper = TAKE_WIDTH[_shape(board)]
    width, height = board.ratio.split(":")
    counts = "".join(f".n-{n} {{ --n: {n}; }}\n" for n in range(1, WIDEST + 1))
    return f":root {{ --ratio: {width} / {height}; --take: {screen}; --print-take: {paper}; }}\n{counts}"
