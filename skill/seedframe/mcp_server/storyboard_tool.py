"""`run_storyboard`: plans a board, starts its run in another process, reports it, sets picks, shows the sheet.

In: the tool's arguments. Out: a result with a sentence, compact JSON, and links to the sheet and the manifest.
A host may give up after a minute, so nothing here waits for pictures unless asked to, and then only briefly.
Never in here: the engine (the process that runs it is `seedframe storyboard run`), how a board is planned.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mcp.types as t

from seedframe.confined_files import NoFile, Outside, is_file, locate, real_path
from seedframe.errors import InvalidRequest
from seedframe.messages import Language, Message
from seedframe.service.request import coerced
from seedframe.settings import Settings
from seedframe.storyboard import actions, reports
from seedframe.storyboard.board import Board, read_board
from seedframe.storyboard.board_folder import BOARD_FILE, SHEET_FILE, board_in, keep_board
from seedframe.storyboard.board_plan import BoardPlan
from seedframe.storyboard.folder_links import leftovers
from seedframe.storyboard.run import detached
from seedframe.storyboard.run.run import BoardState, board_state, cancel_board
from seedframe.studio import render
from seedframe.studio.store import PARTS_FOLDER, Store

TOOL = "run_storyboard"
GIVEN = "given"
WAIT, LONGEST_WAIT = 20, 50
REFERENCE_OUTSIDE = "boards.reference-outside"
LOOK_SECONDS = 1.0
PREVIEW_SIDE, PREVIEW_BYTES = 1_568, 300_000

Report = Callable[[Message], Awaitable[None]]
Wider = Callable[[], Awaitable[Settings]]
"""Ask the host for further folders to read from: the settings with them, or the same settings."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: its arguments, checked for their types, and its progress."""

    given: Mapping[str, Any]
    settings: Settings
    language: Language
    report: Report
    wider: Wider


async def answer(
    arguments: Mapping[str, Any], settings: Settings, language: Language, report: Report, wider: Wider
) -> t.CallToolResult:
    """The result of one call; a SeedreamError says why there is none."""
    board = arguments.get("board")
    given = coerced(TOOL, {**arguments, **({"board": json.dumps(board)} if isinstance(board, (Mapping, list)) else {})})
    known = {
        "plan": _plan,
        "run": _run,
        "status": _status,
        "pick": _pick,
        "sheet": _sheet,
        "requests": _requests,
        "cancel": _cancel,
    }
    action = given.get("action")
    if action not in known:
        shown = action if action is None else str(action)[:80]
        raise InvalidRequest(
            Message("boards.action-unknown", got=shown), field="action", got=shown, allowed=list(known)
        )
    return await known[action](_Call(given, settings, language, report, wider))


async def _plan(call: _Call) -> t.CallToolResult:
    plan = await asyncio.to_thread(_planned, call)
    if any(finding.message.key == REFERENCE_OUTSIDE for finding in plan.all_findings()):
        plan = await asyncio.to_thread(_planned, replace(call, settings=await call.wider()))
    noticed = reports.finding_lines(plan.all_findings(), call.language)
    lines = [reports.total_line(plan, call.language), *list(noticed)[: reports.MOST_LINES]]
    return _tool_result(lines, reports.plan_facts(plan, call.language))


def _planned(call: _Call) -> BoardPlan:
    return actions.plan_of(_board(call), call.settings)


async def _run(call: _Call) -> t.CallToolResult:
    """Refuse everything that can be refused, then start the process."""
    out, board = await asyncio.to_thread(_prepared, call)
    if detached.is_running(out):
        return _tool_result([_say(call, "already-running", out=out)], {"status": "running", **_place(call, out)})
    log = await asyncio.to_thread(_start, call, out, board)
    facts = {"status": "started", **_place(call, out), "frames": _frames(board), "log": str(log)}
    lines = [_say(call, "started", out=out), *(notice.text(call.language) for notice in leftovers(out))]
    left_out = (notice for notice in board.notices if notice.severity == "warning")
    lines += reports.finding_lines(left_out, call.language)
    return _tool_result(lines[: reports.MOST_LINES], facts)


def _prepared(call: _Call) -> tuple[Path, Board]:
    if "board" in call.given:
        board = _board(call)
        out = _new_folder(call, board)
    else:
        out = _folder(call)
        board = board_in(out)
    plan = actions.plan_of(board, call.settings, out if out.is_dir() else None)
    done = actions.done_in(out, None, call.settings) if out.is_dir() else frozenset()
    actions.check_can_run(plan, call.settings, out, confirmed=bool(call.given.get("confirm_cost")), done=done)
    actions.budget_of(call.given.get("budget"), call.settings)
    return out, board


def _start(call: _Call, out: Path, board: Board) -> Path:
    kept = keep_board(board, Store(out).prepare(GIVEN))
    budget = ["--budget", call.given["budget"]] if "budget" in call.given else []
    retry = call.given.get("retry") if (out / BOARD_FILE).exists() else None
    command = ["retry", str(out), f"--{retry}"] if retry else ["run", str(kept), "--out", str(out)]
    return detached.start_detached([*command, *budget, "--json"], out, call.settings)


async def _status(call: _Call) -> t.CallToolResult:
    out = _folder(call)
    end = time.monotonic() + min(max(call.given.get("wait", WAIT), 0), LONGEST_WAIT)
    state, running = await asyncio.to_thread(_look, out, call.settings)
    while running and time.monotonic() < end:
        await call.report(reports.headline(state) if state else Message("boards.starting", out=out))
        await asyncio.sleep(min(LOOK_SECONDS, max(0.0, end - time.monotonic())))
        state, running = await asyncio.to_thread(_look, out, call.settings)
    if state is None:
        return _not_begun(call, out, running=running)
    lines = list(reports.state_lines(state, call.language))
    if not running and not state.finished:
        lines.append(_say(call, "stopped"))
    if not running and state.manifest:
        trouble = await asyncio.to_thread(actions.handoff_trouble, out)
        lines += list(reports.finding_lines(trouble, call.language))[: reports.MOST_LINES]
    status = "running" if running else ("done" if state.finished else "stopped")
    facts = {"status": status, **_place(call, out), **reports.state_facts(state, call.language)}
    return _tool_result(lines, facts, [path for path in (state.sheet, state.manifest) if path])


def _not_begun(call: _Call, out: Path, *, running: bool) -> t.CallToolResult:
    if running:
        return _tool_result([_say(call, "starting", out=out)], {"status": "starting", **_place(call, out)})
    sentence = _say(call, "stopped-early", log=detached.log_tail(out))
    return t.CallToolResult(
        is_error=True, content=_tool_result([sentence], {"status": "stopped", **_place(call, out)}).content
    )


def _look(out: Path, settings: Settings) -> tuple[BoardState | None, bool]:
    running = detached.is_running(out)
    return _state(out, settings), running


def _state(out: Path, settings: Settings) -> BoardState | None:
    try:
        return board_state(out, settings=settings)
    except InvalidRequest:
        return None


async def _pick(call: _Call) -> t.CallToolResult:
    out = _folder(call)
    settings = replace(call.settings, language=call.language)
    words = [word for line in _needed(call, "picks") for word in line.split()]
    picked = await asyncio.to_thread(actions.pick, out, words, database=None, settings=settings)
    lines = [
        Message("boards.picked" if key else "sheet.unpicked", slot=slot, frame=key).text(call.language)
        for slot, key in picked.items()
    ]
    return _tool_result(lines, {"status": "picked", **_place(call, out), "picked": picked}, [out / SHEET_FILE])


async def _sheet(call: _Call) -> t.CallToolResult:
    from seedframe.images import preview

    out, settings = _folder(call), replace(call.settings, language=call.language)
    drawn = await asyncio.to_thread(actions.draw_sheet, out, database=None, settings=settings)
    facts = {"status": "drawn", **_place(call, out), "sheet": str(drawn.sheet), "picture": str(drawn.picture)}
    lines = [_say(call, "sheet", sheet=drawn.sheet)]
    result = _tool_result(lines, facts, [drawn.sheet, drawn.manifest])
    if settings.preview == "none":
        return result
    small = await asyncio.to_thread(preview, drawn.picture, long_side=PREVIEW_SIDE, max_bytes=PREVIEW_BYTES)
    data = base64.b64encode(small).decode("ascii")
    result.content.insert(1, t.ImageContent(type="image", data=data, mime_type="image/jpeg"))
    return result


async def _requests(call: _Call) -> t.CallToolResult:
    """The bodies for Seedance as a file: with pictures inside they are too long for an answer."""
    out = _folder(call)
    written = await asyncio.to_thread(
        actions.draw_requests,
        out,
        actions.request_choices(call.settings),
        database=None,
        settings=replace(call.settings, language=call.language),
    )
    lines = [reports.requests_line(written, call.language), *reports.finding_lines(written.findings, call.language)]
    index = {name: value for name, value in written.as_json().items() if name != "findings"}
    facts = {"status": "written" if written.path else "blocked", **_place(call, out), **index}
    return _tool_result(lines[: reports.MOST_LINES], facts, [written.path] if written.path else [])


async def _cancel(call: _Call) -> t.CallToolResult:
    out = _folder(call)
    state = await cancel_board(out, settings=call.settings)
    facts = {"status": "cancelled", **_place(call, out), **reports.state_facts(state, call.language)}
    return _tool_result(list(reports.state_lines(state, call.language)), facts)


def _board(call: _Call) -> Board:
    """The board of a path inside the folders that may be read, or of the text itself."""
    given = str(_needed(call, "board"))
    if "\n" in given.strip() or given.lstrip().startswith(("{", "[")):
        # Paths in a board text start at the folder where pictures are saved.
        return read_board(call.settings.output_dir / "board", text=given)
    roots = (*call.settings.input_roots, call.settings.output_dir)
    try:
        place = locate(_first_there(given, call.settings), roots)
    except (Outside, NoFile):
        place = None
    if place is None or not is_file(place.path):
        raise InvalidRequest(
            Message("boards.board-outside", got=given[:200]),
            field="board",
            got=given[:200],
            allowed=[str(root) for root in call.settings.input_roots],
            advice=Message("boards.board-outside-advice"),
        )
    return read_board(place.path)


def _first_there(path: str, settings: Settings) -> Path:
    places = (Path.cwd(), settings.output_dir, *settings.input_roots)
    found = [real_path(path, place) for place in places]
    return next((path for path in found if is_file(path)), found[0])


def _folder(call: _Call) -> Path:
    """The folder of a board that was run: by its id, or by its path inside the folders that may be read."""
    wanted = str(_needed(call, "id"))
    path = _output_path(wanted, call.settings)
    if not _is_inside(path, call.settings.input_roots, call.settings):
        raise _outside(wanted, call.settings)
    if not any(os.path.lexists(path / name) for name in (BOARD_FILE, PARTS_FOLDER)):
        raise InvalidRequest(
            Message("boards.no-board", out=path),
            field="id",
            got=wanted,
            allowed=None,
            advice=Message("boards.no-board-advice"),
        )
    return path


def _new_folder(call: _Call, board: Board) -> Path:
    """Where a run may write: inside the output folder, or wherever a board was run before."""
    wanted = str(call.given.get("id") or board.project)
    path = _output_path(wanted, call.settings)
    root = call.settings.output_dir.resolve()
    begun = os.path.lexists(path / BOARD_FILE) and _is_inside(path, call.settings.input_roots, call.settings)
    if not begun and (path == root or not path.is_relative_to(root)):
        raise _outside(wanted, call.settings)
    return path


def _output_path(wanted: str, settings: Settings) -> Path:
    try:
        return real_path(wanted, settings.output_dir)
    except NoFile:
        raise _outside(wanted, settings) from None


def _outside(wanted: str, settings: Settings) -> InvalidRequest:
    return InvalidRequest(
        Message("boards.out-outside", got=wanted[:200]),
        field="id",
        got=wanted[:200],
        allowed=str(settings.output_dir),
    )


def _is_inside(path: Path, roots: tuple[Path, ...], settings: Settings) -> bool:
    return any(path.is_relative_to(root.resolve()) for root in (*roots, settings.output_dir))


def _needed(call: _Call, name: str) -> Any:
    if call.given.get(name) in (None, "", []):
        raise InvalidRequest(
            Message("boards.field-needed", action=call.given["action"], field=name),
            field=name,
            got=None,
            allowed=name,
        )
    return call.given[name]


def _place(call: _Call, out: Path) -> dict[str, str]:
    root = call.settings.output_dir.resolve()
    return {"id": out.relative_to(root).as_posix() if out.is_relative_to(root) else str(out), "folder": str(out)}


def _frames(board: Board) -> int:
    return sum(len(shot.frames) * shot.takes for shot in board.shots)


def _say(call: _Call, key: str, **values: Any) -> str:
    return Message(f"boards.{key}", **values).text(call.language)


def _tool_result(lines: list[str], facts: Mapping[str, Any], files: list[Path] | None = None) -> t.CallToolResult:
    """Sentences, then JSON, in one block; links for the user."""
    text = "\n".join([*lines, render.machine_text(facts)])
    blocks: list[t.ContentBlock] = [t.TextContent(type="text", text=text)]
    blocks += [_link(path) for path in files or [] if path.is_file()]
    return t.CallToolResult(content=blocks)


_MIME = {".html": "text/html", ".jsonl": "application/jsonl"}


def _link(path: Path) -> t.ResourceLink:
    return t.ResourceLink(
        type="resource_link",
        name=path.name,
        uri=path.as_uri(),
        mime_type=_MIME.get(path.suffix, "application/json"),
        size=path.stat().st_size,
        annotations=t.Annotations(audience=["user"]),
    )
