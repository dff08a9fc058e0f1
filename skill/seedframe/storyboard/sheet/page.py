"""The contact sheet: one self-contained HTML page, in story order, for eyes that have to choose.

In: a Board, results, thumbnails (JPEG bytes by frame key). Out: HTML with its style, script and pictures inside; it
loads nothing, and its policy lets nothing else run. Everything told is escaped: prompts and board texts are untrusted.
Never in here: reading pictures, writing files, deciding a pick (the page only prints the command for it).
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from seedframe.messages import LANGUAGES, Language, Message
from seedframe.storyboard.continuity import Cast, continuity_findings
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.frames import FrameResult, FrameTask, Status, frames_of
from seedframe.storyboard.handoff.manifest import check_board
from seedframe.storyboard.names import frame_slot
from seedframe.storyboard.types import Board, Shot, Text

PICK = "seedframe storyboard pick"
NO_PICTURES: Mapping[str, bytes] = MappingProxyType({})
SIGNS: Mapping[Status, str] = MappingProxyType(
    {"planned": "·", "done": "□", "failed": "✕", "unknown": "?", "skipped": "–"}
)
TAKE_WIDTH = {"tall": ("148px", "29mm"), "square": ("200px", "40mm"), "wide": ("280px", "62mm")}
SQUARE_FROM, WIDE_FROM = 0.9, 1.2
WIDEST = 6
"""More takes than this in one row begin another."""

MOST_FRAMES = 1_000
"""Frames of one page: what a browser still opens at once."""


@dataclass(frozen=True, slots=True)
class _Page:
    board: Board
    results: Mapping[str, FrameResult]
    thumbnails: Mapping[str, bytes]
    folder: Path | None
    findings: Mapping[str | None, Sequence[BoardFinding]]
    tasks: Mapping[str, Sequence[FrameTask]]
    cast: Cast

    def result(self, key: str) -> FrameResult:
        return self.results.get(key) or FrameResult(key)


def render_sheet(
    board: Board,
    results: Mapping[str, FrameResult],
    *,
    language: Language = "en",
    thumbnails: Mapping[str, bytes] = NO_PICTURES,
    folder: Path | None = None,
    pick_command: str = PICK,
) -> str:
    """The page. `language` is what it opens in, a button changes it. Links to files are relative to `folder`.

    `pick_command` is what the keys of picked frames are appended to, for the reader to copy.
    """
    pages = render_sheets(
        board,
        results,
        language=language,
        thumbnails=lambda _keys: thumbnails,
        folder=folder,
        pick_command=pick_command,
        most=None,
    )
    return "".join(html for _, html in pages)


def render_sheets(
    board: Board,
    results: Mapping[str, FrameResult],
    *,
    language: Language = "en",
    thumbnails: Callable[[Sequence[str]], Mapping[str, bytes]],
    folder: Path | None = None,
    pick_command: str = PICK,
    most: int | None = MOST_FRAMES,
) -> Iterator[tuple[str, str]]:
    """The page as one or more, each with its file name and `most` frames or a few more, linked to each other.

    `thumbnails` is asked for one page's frames at a time, so that a large board never has all of them in memory.
    """
    tasks = _grouped(frames_of(board))
    whole = _Page(board, results, NO_PICTURES, folder, _by_shot(board), tasks, Cast.of(board))
    parts = list(_parts(board.shots, tasks, most))
    names = [page_name(number) for number in range(1, len(parts) + 1)]
    style, script = _asset("css") + _measures(board), _asset("js")
    for number, shots in enumerate(parts):
        keys = [task.key for shot in shots for task in tasks[shot.id]]
        page = replace(whole, thumbnails=thumbnails(keys))
        html = Template(_asset("html")).substitute(
            language={"en": "en", "zh": "zh"}[language],
            policy=escape(_policy(style, script)),
            title=escape(_plain(board.title, language) or board.project),
            project=escape(board.project if number == 0 else f"{board.project}#{number + 1}"),
            style=style,
            script=script,
            body="\n".join(
                [
                    _header(page),
                    _pages(names, number),
                    *_scenes(page, shots),
                    _pages(names, number),
                    _bar(pick_command),
                    _zoom(),
                ]
            ),
        )
        yield names[number], html


def page_name(number: int) -> str:
    """`sheet.html`, then `sheet-002.html` and so on."""
    return "sheet.html" if number == 1 else f"sheet-{number:03}.html"


def _parts(
    shots: Sequence[Shot], tasks: Mapping[str, Sequence[FrameTask]], most: int | None
) -> Iterator[Sequence[Shot]]:
    part: list[Shot] = []
    frames = 0
    for shot in shots:
        part.append(shot)
        frames += len(tasks[shot.id])
        if most is not None and frames >= most:
            yield part
            part, frames = [], 0
    if part:
        yield part


def _pages(names: Sequence[str], here: int) -> str:
    """Links to the other pages; nothing while there is only one."""
    if len(names) == 1:
        return ""
    current = ' aria-current="page"'
    links = "".join(
        f'<a href="{name}"{current if number == here else ""}>{number + 1}</a>' for number, name in enumerate(names)
    )
    return f'<nav class="pages">{links}</nav>'


@cache
def _asset(kind: str) -> str:
    return (files("seedframe") / "storyboard" / "sheet" / f"sheet.{kind}").read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing loads, and only this very style and script run: a prompt that smuggles in markup stays dead text."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    rules = (
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{digest(style)}'",
        f"script-src 'sha256-{digest(script)}'",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def _measures(board: Board) -> str:
    width, height = (int(part) for part in board.ratio.split(":"))
    shape = "tall" if width / height < SQUARE_FROM else "square" if width / height < WIDE_FROM else "wide"
    screen, paper = TAKE_WIDTH[shape]
    counts = "".join(f".n-{n} {{ --n: {n}; }}\n" for n in range(1, WIDEST + 1))
    return f":root {{ --ratio: {width} / {height}; --take: {screen}; --print-take: {paper}; }}\n{counts}"


def _by_shot(board: Board) -> dict[str | None, list[BoardFinding]]:
    found: dict[str | None, list[BoardFinding]] = defaultdict(list)
    for finding in (*continuity_findings(board), *check_board(board)):
        found[finding.shot].append(finding)
    return found


def _grouped(tasks: Iterable[FrameTask]) -> dict[str, list[FrameTask]]:
    return {shot: list(found) for shot, found in groupby(tasks, key=lambda task: task.shot)}


def _both(key: str, **values: Any) -> str:
    """A sentence of ours in both languages; the page shows one. Message values are told in each."""
    message = Message(f"storyboard.{key}", **values)
    return "".join(f'<span class="{lang}">{escape(message.text(lang))}</span>' for lang in LANGUAGES)


def _bilingual(text: Text | str | None) -> str:
    """A text of the board: in both languages when it has both, else as it is."""
    if text is None or isinstance(text, str):
        return escape(text or "")
    if len(text) == 1:
        ((language, words),) = text.items()
        return f'<span lang="{language}">{escape(words)}</span>'
    return "".join(
        f'<span class="{lang}" lang="{lang}">{escape(text[lang])}</span>' for lang in LANGUAGES if lang in text
    )


def _plain(text: Text | None, language: str) -> str:
    return "" if not text else text.get(language) or next(iter(text.values()))


def _header(page: _Page) -> str:
    board = page.board
    results = [page.result(task.key) for tasks in page.tasks.values() for task in tasks]
    counts = Counter(result.status for result in results)
    facts = [
        (_both("sheet-shots"), str(len(board.shots))),
        (_both("sheet-frames"), str(len(results))),
        *((_both(f"sheet-{status}"), str(counts[status])) for status in SIGNS if counts[status]),
        (_both("sheet-cost"), escape(_costs(results)) or "–"),
    ]
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    tools = "".join(
        f'<button type="button" data-do="{name}">{_both(f"sheet-do-{name}")}</button>'
        for name in ("language", "prompts", "print")
    )
    about = " · ".join(part for part in (board.project, board.ratio, board.model, f"Seedance {board.seedance}") if part)
    return (
        f"<header><div><h1>{_bilingual(board.title) or escape(board.project)}</h1>"
        f'<p class="id">{escape(about)}</p></div>'
        f'<dl class="facts">{listed}</dl><div class="tools">{tools}</div></header>'
        f'<p class="keys"><kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd> {_both("sheet-key-move")} '
        f"<kbd>p</kbd> {_both('sheet-key-pick')} <kbd>Enter</kbd> {_both('sheet-key-zoom')} "
        f"<kbd>l</kbd> {_both('sheet-key-language')}</p>{_findings(page.findings.get(None, ()))}"
    )


def _costs(results: Iterable[FrameResult]) -> str:
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for result in results:
        if result.cost:
            spent[result.cost["currency"]] += Decimal(str(result.cost["amount"]))
    return " + ".join(f"{amount.normalize():f} {currency}" for currency, amount in sorted(spent.items()))


def _scenes(page: _Page, drawn: Sequence[Shot]) -> Iterator[str]:
    for (number, name), shots in groupby(drawn, key=lambda shot: (shot.id.split("_SH")[0], shot.scene)):
        scene = page.cast.scenes.get(name or "")
        title = _bilingual(scene.name or scene.text) if scene else ""
        aside = f"<small>{_bilingual(scene.text)}</small>" if scene and scene.name else ""
        cards = "\n".join(_card(page, shot) for shot in shots)
        heading = f'<h2><span class="id">{escape(number)}</span><span>{title}</span>{aside}</h2>'
        yield f'<section>{heading}<div class="shots">\n{cards}\n</div></section>'


def _card(page: _Page, shot: Shot) -> str:
    tasks = page.tasks[shot.id]
    slots = "".join(_slot(page, shot, role, list(takes)) for role, takes in groupby(tasks, key=lambda task: task.role))
    time = "" if shot.duration is None else f'<span class="time">{shot.duration:g} s</span>'
    name = f'<span class="id">{escape(shot.id.rsplit("_", 1)[-1])}</span>'
    title = f"<span>{_bilingual(shot.title)}</span>" if shot.title else ""
    words = [("motion", shot.motion), ("dialogue", shot.dialogue)]
    described = "".join(f'<p class="{kind}">{_bilingual(text)}</p>' for kind, text in words if text)
    return (
        f'<article class="n-{min(len(tasks), WIDEST)}" id="{escape(shot.id)}"><h3>{name}{title}{time}</h3>'
        f'<div class="slots">{slots}</div><div class="words">{described}</div>'
        f"{_findings(page.findings.get(shot.id, ()))}</article>"
    )


def _slot(page: _Page, shot: Shot, role: str, tasks: Sequence[FrameTask]) -> str:
    takes = "".join(_take(page, shot, task) for task in tasks)
    action = shot.last.get("action", shot.action) if role == "last" else shot.action
    described = f'<p class="action">{_bilingual(action)}</p>' if action else ""
    return (
        f'<div class="slot n-{min(len(tasks), WIDEST)}"><h4>{_both(f"sheet-role-{role}")}</h4>'
        f'<div class="takes">{takes}</div>{described}</div>'
    )


def _take(page: _Page, shot: Shot, task: FrameTask) -> str:
    result = page.result(task.key)
    picked = " picked" if result.picked else ""
    return (
        f'<figure class="{result.status}{picked}" data-key="{escape(task.key)}" '
        f'data-slot="{escape(frame_slot(task.shot, task.role))}">'
        f'<button type="button" class="take" aria-pressed="{str(result.picked).lower()}">{_picture(page, shot, result)}'
        f'<svg class="scribble" aria-hidden="true"><use href="#scribble"/></svg></button>'
        f"<figcaption>{_caption(page, task, result)}</figcaption>{_more(result)}</figure>"
    )


def _picture(page: _Page, shot: Shot, result: FrameResult) -> str:
    thumbnail = page.thumbnails.get(result.key)
    if thumbnail is None:
        return (
            f'<span class="state"><span class="sign">{SIGNS[result.status]}</span>'
            f"<span>{_both(f'sheet-{result.status}')}</span></span>"
        )
    data = base64.b64encode(thumbnail).decode()
    alternative = escape(f"{result.key}: {_plain(shot.action, 'en')}")
    return f'<img src="data:image/jpeg;base64,{data}" alt="{alternative}" loading="lazy" decoding="async">'


def _caption(page: _Page, task: FrameTask, result: FrameResult) -> str:
    size = f"{result.width}×{result.height}" if result.width and result.height else ""
    measured = " · ".join(part for part in (size, _costs([result])) if part)
    return (
        f'<b>v{task.take:02}</b><span class="picked-word">{_both("sheet-picked")}</span>{_link(page, result.path)}'
        f'<span class="size">{escape(measured)}</span>'
    )


def _more(result: FrameResult) -> str:
    """The prompt to unfold, with what made the picture; then what was noticed about it."""
    facts = " · ".join(escape(part) for part in (result.model, result.backend) if part)
    negative = f'<p class="more">{_both("sheet-negative")} {escape(result.negative)}</p>' if result.negative else ""
    prompt = (
        f"<details><summary>{_both('sheet-prompt')}</summary>"
        f'<p class="prompt">{escape(result.prompt)}</p>{negative}<p class="more">{facts}</p></details>'
        if result.prompt
        else ""
    )
    return prompt + _listed((found["severity"], found["message"]) for found in result.findings)


def _link(page: _Page, path: str | None) -> str:
    """A link to the picture on disk. The name is quoted whole, so that no path can become a script."""
    if path is None:
        return ""
    target = quote(Path(_relative(path, page.folder)).as_posix())
    return f'<a href="{escape(target)}">{_both("sheet-file")}</a>'


def _relative(path: str, folder: Path | None) -> str:
    try:
        return os.path.relpath(path, folder) if folder else path
    except ValueError:  # another drive of a Windows machine: there is no relative path
        return path


def _findings(findings: Iterable[BoardFinding]) -> str:
    return _listed((found["severity"], found["message"]) for found in map(BoardFinding.as_json, findings))


def _listed(findings: Iterable[tuple[str, Text | str]]) -> str:
    items = "".join(f'<li class="{escape(severity)}">{_bilingual(message)}</li>' for severity, message in findings)
    return f'<ul class="findings">{items}</ul>' if items else ""


def _bar(pick_command: str) -> str:
    return (
        f'<div class="bar" data-command="{escape(pick_command)}" hidden><span class="count">'
        f"{_both('sheet-picks-new')} <b>0</b></span>"
        f'<code></code><button type="button" data-do="copy">{_both("sheet-do-copy")}</button></div>'
    )


def _zoom() -> str:
    return '<dialog><img alt=""><p></p></dialog>'
