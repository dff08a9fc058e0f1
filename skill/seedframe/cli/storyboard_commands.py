"""`storyboard` and `worker`: from a board file to keyframes, a manifest and a contact sheet.

In: options and files. Out: lines and paths, or JSON: one document, or one line per event and a last one with the state.
A bar on a terminal. Never in here: how a board is planned or run; the engine is imported only by what runs it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seedframe.api import in_process_backend
from seedframe.cli.common import EXIT_PARTIAL, fail, json_option, run, say
from seedframe.cli.export_command import export_command
from seedframe.cli.handoff_command import handoff_command
from seedframe.errors import InvalidRequest, SeedreamError
from seedframe.messages import Language, Message
from seedframe.settings import Settings

if TYPE_CHECKING:
    from seedframe.storyboard.board import Board
    from seedframe.storyboard.findings import BoardFinding
    from seedframe.storyboard.run.run import BoardState, Event

EXIT_UNKNOWN = 5
EXIT_BLOCKED = 2
INTERRUPTED = 130


def commands(language: Language) -> tuple[click.Command, ...]:
    """`storyboard` with its commands, and `worker`, with help in one language."""
    group = click.Group("storyboard", help=say("cli_storyboard.storyboard", language), no_args_is_help=True)
    for command in _of_files(language) + _of_runs(language) + _of_folders(language):
        group.add_command(command)
    database = click.Option(
        ["--database"], required=True, metavar="URL", help=say("cli_storyboard.option-database", language)
    )
    worker = _command("worker", _worker, language, database, _takeover(language), _at_once(language))
    return (group, worker)


def _of_files(language: Language) -> tuple[click.Command, ...]:
    manifest = click.Option(["--manifest"], is_flag=True, help=say("cli_storyboard.option-manifest", language))
    prompts = click.Option(["--prompts"], is_flag=True, help=say("cli_storyboard.option-prompts", language))
    return (
        _command("init", _init, language, click.Argument(["file"], type=click.Path(path_type=Path))),
        _command("schema", _schema, language, manifest),
        _command("plan", _plan, language, _board_file(), prompts),
    )


def _of_runs(language: Language) -> tuple[click.Command, ...]:
    out = click.Option(
        ["--out"],
        required=True,
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        help=say("cli_storyboard.option-out", language),
    )
    shared = [
        click.Option(["--budget"], metavar="MONEY", help=say("cli_storyboard.option-budget", language)),
        _database(language),
        click.Option(["--workers/--no-workers"], default=True, help=say("cli_storyboard.option-workers", language)),
        _takeover(language),
        _at_once(language),
    ]
    kinds = [
        click.Option([f"--{kind}"], is_flag=True, help=say(f"cli_storyboard.option-{kind}", language))
        for kind in ("failed", "unknown", "lost")
    ]
    stale = click.Option(["--stale"], is_flag=True, help=say("cli_storyboard.option-stale", language))
    frames = click.Argument(["frames"], nargs=-1, metavar="KEY | SHOT…")
    return (
        _command("run", _run, language, _board_file(), out, *shared),
        _command("resume", _resume, language, _folder(), *shared),
        _command("retry", _retry, language, _folder(), *kinds, *shared),
        _command("redo", _redo, language, _folder(), frames, stale, *shared),
    )


def _of_folders(language: Language) -> tuple[click.Command, ...]:
    choices = click.Argument(["choices"], nargs=-1, metavar="SHOT TAKE | SHOT none | KEY…")
    return (
        _command("status", _status, language, _folder(), _database(language)),
        _command("cancel", _cancel, language, _folder(), _database(language)),
        export_command(language, _folder(), _database(language)),
        _command("pick", _pick, language, _folder(), choices, _approvals(language), _database(language)),
        _command("sheet", _sheet, language, _folder(), _database(language)),
        handoff_command(language, _folder(), _database(language)),
    )


def _command(name: str, callback: Any, language: Language, *params: click.Parameter) -> click.Command:
    described = say(f"cli_storyboard.{name}", language)
    return click.Command(name, callback=callback, params=[*params, json_option(language)], help=described)


def _board_file() -> click.Argument:
    return click.Argument(["file"], type=click.Path(path_type=Path, allow_dash=True))


def _folder() -> click.Argument:
    return click.Argument(["folder"], metavar="DIR", type=click.Path(path_type=Path))


def _database(language: Language) -> click.Option:
    return click.Option(["--database"], metavar="URL", help=say("cli_storyboard.option-database", language))


def _approvals(language: Language) -> click.Option:
    return click.Option(
        ["--file", "approvals"], type=click.Path(path_type=Path), help=say("sheet.option-approvals", language)
    )


def _takeover(language: Language) -> click.Option:
    described = say("cli_storyboard.option-takeover", language)
    return click.Option(["--takeover"], is_flag=True, expose_value=False, help=described)


def _at_once(language: Language) -> click.Option:
    return click.Option(
        ["--at-once"], type=click.IntRange(1, 32), metavar="N", help=say("cli_storyboard.option-at-once", language)
    )


@click.pass_obj
def _init(settings: Settings, as_json: bool, file: Path) -> None:
    from seedframe.storyboard.actions import write_example

    with _translate_errors(settings, as_json=as_json):
        path = write_example(file)
    click.echo(_json({"path": str(path)}) if as_json else path)


@click.pass_obj
def _schema(_settings: Settings, as_json: bool, manifest: bool) -> None:
    from seedframe.storyboard.schema import schema_named

    schema = schema_named("manifest" if manifest else "board")
    click.echo(json.dumps(schema, ensure_ascii=False, indent=None if as_json else 2))


@click.pass_obj
def _plan(settings: Settings, as_json: bool, file: Path, prompts: bool) -> None:
    from seedframe.storyboard.actions import plan_of
    from seedframe.storyboard.reports import plan_lines

    with _translate_errors(settings, as_json=as_json):
        plan = plan_of(_read(file), settings)
    if as_json:
        click.echo(_json(plan.as_json()))
    else:
        for line in plan_lines(plan, settings.language, prompts=prompts):
            click.echo(line)
    sys.exit(EXIT_BLOCKED if plan.blocked else 0)


@click.pass_obj
def _run(settings: Settings, /, as_json: bool, file: Path, out: Path, **options: Any) -> None:
    with _translate_errors(settings, as_json=as_json):
        board, out = _read(file), _opened(out, settings)
    _go(settings, board, out, options, as_json=as_json)


@click.pass_obj
def _resume(settings: Settings, /, as_json: bool, folder: Path, **options: Any) -> None:
    from seedframe.storyboard.board_folder import board_in

    with _translate_errors(settings, as_json=as_json):
        out = _opened(folder, settings, whole=options["database"] is None)
        board = board_in(out)
    _go(settings, board, out, options, as_json=as_json)


@click.pass_obj
def _retry(
    settings: Settings, /, as_json: bool, folder: Path, failed: bool, unknown: bool, lost: bool, **options: Any
) -> None:
    from seedframe.storyboard.board_folder import board_in
    from seedframe.storyboard.run.run import retry_board

    with _translate_errors(settings, as_json=as_json):
        if not (failed or unknown or lost):
            allowed = ["--failed", "--unknown", "--lost"]
            raise InvalidRequest(Message("cli_storyboard.retry-what"), field="retry", got=None, allowed=allowed)
        out = _opened(folder, settings)
        board = board_in(out)

    def again() -> Coroutine[Any, Any, BoardState]:
        return retry_board(
            out, database=options["database"], settings=settings, failed=failed, unknown=unknown, lost=lost
        )

    _go(settings, board, out, options, as_json=as_json, first=again)


@click.pass_obj
def _redo(
    settings: Settings, /, as_json: bool, folder: Path, frames: tuple[str, ...], stale: bool, **options: Any
) -> None:
    from seedframe.storyboard.board_folder import board_in
    from seedframe.storyboard.run.run import redo_board

    out = folder.absolute()
    with _translate_errors(settings, as_json=as_json):
        if not (frames or stale):
            raise InvalidRequest(Message("board_truth.redo-what"), field="redo", got=None, allowed=["--stale", "KEY"])
        board = board_in(out)

    def again() -> Coroutine[Any, Any, BoardState]:
        return redo_board(out, frames, stale=stale, database=options["database"], settings=settings)

    _go(settings, board, out, options, as_json=as_json, first=again)


def _go(
    settings: Settings,
    board: Board,
    out: Path,
    options: dict[str, Any],
    *,
    as_json: bool,
    first: Callable[[], Coroutine[Any, Any, BoardState]] | None = None,
) -> None:
    """Plan, run and report; the exit code says how it ended. `first` runs once nothing can be refused any more."""
    from seedframe.storyboard.actions import budget_of, check_can_run, done_in, handoff_trouble, plan_of
    from seedframe.storyboard.folder_links import leftovers
    from seedframe.storyboard.remote_folder import with_references
    from seedframe.storyboard.reports import finding_lines, total_line

    with _translate_errors(settings, as_json=as_json):
        plan = plan_of(board, settings, out)
        done = done_in(out, options["database"], settings) if out.is_dir() else frozenset()
        check_can_run(plan, settings, out, paying=options["workers"], done=done)
        board = with_references(board, out, settings)
        budget = budget_of(options.pop("budget"), settings)
        trouble = handoff_trouble(out)
    if first is not None:
        run(first(), settings, as_json=as_json)
    noticed = (*plan.all_findings(), *trouble)
    if not as_json:
        found = (*finding_lines(noticed, settings.language), total_line(plan, settings.language))
        for line in (*(notice.text(settings.language) for notice in leftovers(out)), *found):
            click.echo(line, err=True)
    working = _made(settings, board, out, {"budget": budget, **options}, len(plan.frames), as_json=as_json)
    last = say("cli_storyboard.interrupted", settings.language, out=out)
    state = _until_interrupted(working, last, settings, as_json=as_json)
    _report_end(state, out, noticed, settings, as_json=as_json)
    sys.exit(_exit_code(state))


async def _made(
    settings: Settings, board: Board, out: Path, options: dict[str, Any], frames: int, *, as_json: bool
) -> BoardState:
    """The board's run with its events on the way; what it wrote is stored, however it ends."""
    from seedframe.storyboard.remote_folder import send_board
    from seedframe.storyboard.run.detached import only_run
    from seedframe.storyboard.run.run import run_board

    with only_run(out), _describing(settings, frames, as_json=as_json) as report:
        try:
            transport = in_process_backend(settings)
            return await run_board(board, out, settings, report=report, transport=transport, **options)
        finally:
            await asyncio.to_thread(send_board, out, settings)


def _report_end(
    state: BoardState, out: Path, noticed: Sequence[BoardFinding], settings: Settings, *, as_json: bool
) -> None:
    """How the board stands after a run, and the findings that were not among those `noticed` before it."""
    from seedframe.catalog import catalog
    from seedframe.storyboard.actions import handoff_trouble
    from seedframe.storyboard.reports import finding_lines, state_lines

    if as_json:
        click.echo(_json({"event": "state", **state.as_json()}))
        return
    now_found = (one for one in handoff_trouble(out) if one not in noticed)
    for line in finding_lines(now_found, settings.language):
        click.echo(line, err=True)
    for line in state_lines(state, settings.language):
        click.echo(line)
    if not catalog().backend(settings.backend).charges:
        click.echo(say("cli.not-charged", settings.language), err=True)


def _exit_code(state: BoardState) -> int:
    if state.count("unknown"):
        return EXIT_UNKNOWN
    if state.finished:
        return 0
    return EXIT_PARTIAL if state.count("done") else 1


def _until_interrupted(work: Coroutine[Any, Any, Any], last: str, settings: Settings, *, as_json: bool) -> Any:
    """Run to the end, or stop in order on Ctrl-C or SIGTERM: what has been sent is waited for; `last` is said then.

    A second Ctrl-C waits for nothing: what had been sent is then for the next run to find out.
    """
    try:
        return asyncio.run(_stoppable(work, last))
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo(last, err=True)
        sys.exit(INTERRUPTED)


async def _stoppable(work: Coroutine[Any, Any, Any], last: str) -> Any:
    """SIGTERM cancels as SIGINT does: it is how services and containers are stopped."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def stop() -> None:
        if task.cancelling():
            # As after a kill, which every record stands; an orderly end was what took too long.
            click.echo(last, err=True)
            sys.stdout.flush()
            os._exit(INTERRUPTED)
        task.cancel()

    with suppress(NotImplementedError, ValueError, RuntimeError):  # Windows, and threads that are not the main one
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        loop.add_signal_handler(signal.SIGINT, stop)
    return await work


@contextmanager
def _describing(settings: Settings, total: int, *, as_json: bool) -> Iterator[Callable[[Event], None]]:
    """The output of events: lines of JSON on stdout, a bar on a terminal, otherwise lines on stderr."""
    if as_json:
        yield lambda event: click.echo(_json(event.as_json()))
    elif sys.stderr.isatty():
        with click.progressbar(
            length=total, label=say("cli_storyboard.frames", settings.language), file=sys.stderr, item_show_func=str
        ) as bar:
            yield lambda event: bar.update(max(0, event.done - bar.pos), event.message.text(settings.language))
    else:
        yield lambda event: click.echo(_line(event, settings.language), err=True)


def _line(event: Event, language: Language) -> str:
    counted = f"[{event.done}/{event.total}] " if event.total else ""
    return f"{counted}{event.message.text(language)}"


@click.pass_obj
def _worker(settings: Settings, as_json: bool, database: str, at_once: int | None) -> None:
    from seedframe.storyboard.run.run import work

    def report(event: Event) -> None:
        click.echo(_json(event.as_json()) if as_json else _line(event, settings.language), err=not as_json)

    transport = in_process_backend(settings)
    working = work(database, settings, at_once=at_once, report=report, transport=transport)
    _until_interrupted(working, say("cli_storyboard.worker-ends", settings.language), settings, as_json=as_json)


@click.pass_obj
def _status(settings: Settings, as_json: bool, folder: Path, database: str | None) -> None:
    from seedframe.storyboard.run.run import board_state

    with _translate_errors(settings, as_json=as_json):
        state = board_state(_opened(folder, settings, whole=database is None), database, settings)
    _show(state, settings, as_json=as_json)


@click.pass_obj
def _cancel(settings: Settings, as_json: bool, folder: Path, database: str | None) -> None:
    from seedframe.storyboard.run.run import cancel_board

    with _translate_errors(settings, as_json=as_json):
        out = _opened(folder, settings)
    state = run(cancel_board(out, database, settings), settings, as_json=as_json)
    _show(state, settings, as_json=as_json)


def _show(state: BoardState, settings: Settings, *, as_json: bool) -> None:
    from seedframe.storyboard.reports import state_lines

    if as_json:
        click.echo(_json(state.as_json()))
        return
    for line in state_lines(state, settings.language):
        click.echo(line)


@click.pass_obj
def _pick(
    settings: Settings,
    as_json: bool,
    folder: Path,
    choices: tuple[str, ...],
    approvals: Path | None,
    database: str | None,
) -> None:
    from seedframe.storyboard.actions import pick
    from seedframe.storyboard.picks import read_approvals

    with _translate_errors(settings, as_json=as_json):
        words = [*(read_approvals(approvals) if approvals else ()), *choices]
        picked = pick(_opened(folder, settings, whole=database is None), words, database=database, settings=settings)
    if as_json:
        click.echo(_json({"picked": picked}))
        return
    for slot, key in picked.items():
        sentence = "sheet.unpicked" if key is None else "boards.picked"
        click.echo(say(sentence, settings.language, slot=slot, frame=key))


@click.pass_obj
def _sheet(settings: Settings, as_json: bool, folder: Path, database: str | None) -> None:
    from seedframe.storyboard.actions import draw_sheet

    with _translate_errors(settings, as_json=as_json):
        drawn = draw_sheet(_opened(folder, settings), database=database, settings=settings)
    if as_json:
        click.echo(_json({"sheet": str(drawn.sheet), "picture": str(drawn.picture), "manifest": str(drawn.manifest)}))
        return
    click.echo(drawn.sheet)
    click.echo(drawn.picture)


def _opened(folder: Path, settings: Settings, *, whole: bool = False) -> Path:
    """The folder to work in; what an object store knows of its board is brought there, `whole`: pictures too."""
    from seedframe.storyboard.remote_folder import opened_folder

    return opened_folder(folder, settings, whole=whole)


def _read(file: Path) -> Board:
    """The board of a file, or of stdin (`-`)."""
    from seedframe.storyboard.board import read_board

    if str(file) == "-":
        return read_board("stdin", text=sys.stdin.read())
    try:
        return read_board(file)
    except OSError:
        raise InvalidRequest(
            Message("cli.no-file", got=str(file)), field="file", got=str(file), allowed="FILE"
        ) from None


@contextmanager
def _translate_errors(settings: Settings, *, as_json: bool) -> Iterator[None]:
    """Errors become sentences and exit codes."""
    try:
        yield
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
