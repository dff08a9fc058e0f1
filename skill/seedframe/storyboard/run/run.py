"""A board is run: every frame a durable workflow, paid at most once, on one machine or many.

In: a Board, a folder, Settings, a database (a SQLite file in the folder unless a PostgreSQL URL is given).
Out: pictures named by `names`, sidecars, manifest.json, sheet.html, and a `BoardState`; events on the way.
Never in here: how a frame is paid (worker), the books (spending), a door's format.

    database   two kinds of SQL as one      engine   DBOS, behind four words     gate     one rate limit for all
    spending   the book: who may pay        worker   a frame in five steps       machine  who works here
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedframe.catalog import Backend, catalog
from seedframe.errors import InvalidRequest, NotConfigured
from seedframe.messages import Message
from seedframe.object_places import place_of, portable_folder
from seedframe.private_files import make_private_folder
from seedframe.settings import Money, Settings
from seedframe.storyboard.board_folder import MANIFEST_FILE, SHEET_FILE, keep_board, publish, results_of
from seedframe.storyboard.folder_links import CARD_FILE, Card, card_in
from seedframe.storyboard.frames import frames_of
from seedframe.storyboard.picks import read_picks
from seedframe.storyboard.remote_folder import bring_pictures
from seedframe.storyboard.run.database import STATE_FOLDER, Database, DatabaseFailed, Row, database_url, read_now
from seedframe.storyboard.run.frame_payments import FramePayments, state_of
from seedframe.storyboard.run.origin import RecordOrigin, folder_errors, in_folder, state_by_files
from seedframe.storyboard.run.state import BoardState, Event, FrameState, Kind, Sentence, State
from seedframe.storyboard.types import Board
from seedframe.studio.store import Store

if TYPE_CHECKING:
    import httpx

__all__ = [
    "BoardState",
    "Event",
    "FrameState",
    "board_state",
    "cancel_board",
    "check_backend",
    "check_budget",
    "retry_board",
    "run_board",
    "work",
]

Tell = Callable[[Event], None]

LOOK_SECONDS = 0.2
MISSED_LOOKS = 10
"""A minute without an answer of the database ends the run; what is being made goes on as soon as it answers."""

LEASE_SECONDS = 60.0
"""A worker on another machine that was silent for so long may be taken for dead, when somebody says so."""


async def run_board(
    board: Board,
    out: Path,
    settings: Settings,
    *,
    report: Tell,
    database: str | None = None,
    budget: Money | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    workers: bool = True,
    takeover: bool = False,
    lease: float = LEASE_SECONDS,
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> BoardState:
    """Start or resume a board and wait for its end; finished frames are never paid again.

    `workers=False` only enqueues and waits: processes of `work` on the same `database` make the frames. `takeover`
    takes the frames of workers on other machines whose lease ran out. At the end, manifest.json and sheet.html are
    (re)written. A cancelled task leaves the board resumable. InvalidRequest: the folder holds another board.
    NotConfigured: the extra `storyboard` is missing, the database cannot be used, or there is no key.
    """
    out = _absolute(out)
    backend = catalog().backend(settings.backend)
    check_budget(budget, backend)
    if workers and transport is None:
        backend.key(settings)  # said once here, instead of by every frame
    id = await asyncio.to_thread(_enter_folder, board, out, backend)
    tasks = frames_of(board, await asyncio.to_thread(read_picks, out))
    async with await Database.open(database_url(out, database)) as opened, AsyncExitStack() as stack:
        payments = FramePayments(opened)
        origin = RecordOrigin(id, out, opened.url, settings)
        with folder_errors(out):
            evidence = await origin.evidence(payments, tasks)
            await payments.start(
                id,
                tasks,
                project=board.project,
                folder=portable_folder(out, settings.object_cache),
                backend=backend.name,
                currency=backend.currency,
                budget=budget.amount if budget else None,
                evidence=evidence,
            )
        await asyncio.to_thread(origin.remember)
        watch = _Watch(payments, id, len(tasks), report)
        await watch.look()
        report(watch.event("started", None, Message("board_run.event-started", frames=len(tasks), done=watch.done)))
        if workers and not watch.ended:
            options = {"transport": transport, "takeover": takeover, "lease": lease, "sleep": sleep}
            await stack.enter_async_context(_worker(settings, opened, watch.taken_over, **options))
        while not watch.ended:
            await asyncio.sleep(LOOK_SECONDS)
            await watch.look_again()
        await stack.aclose()
        state = await payments.state(id)
    assert state is not None
    if place_of(out, settings.object_cache):
        state = in_folder(state, out)  # other machines made frames in folders of their own
        await asyncio.to_thread(bring_pictures, out, settings)
    await asyncio.to_thread(publish, board, results_of(state), out, language=settings.language)
    state = _with_files(state, out)
    watch.report_end(state)
    return state


def board_state(out: Path, database: str | None = None, settings: Settings | None = None) -> BoardState:
    """The frozen picture of the board in `out`; no engine needs to run. InvalidRequest when there is none.

    With `settings`, a folder without a record of its run tells what its pictures and their sidecars prove.
    """
    out = _absolute(out)
    card = card_in(out)
    state = None
    if card is not None:
        with suppress(FileNotFoundError), folder_errors(out):
            state = read_now(database_url(out, database), lambda tx: state_of(tx, card.id))
    if state is None and settings is not None:
        state = state_by_files(out, settings)
    if state is None:
        raise _no_board(out)
    return _with_files(in_folder(state, out), out)


async def cancel_board(out: Path, database: str | None = None) -> BoardState:
    """Frames that wait or were begun become cancelled, those whose call has left come to their end.

    The next run of the board goes on with what was cancelled.
    """
    out = _absolute(out)
    id = await asyncio.to_thread(_identity, out)
    async with await Database.open(database_url(out, database)) as opened:
        with folder_errors(out):
            await FramePayments(opened).cancel(id)
    return await asyncio.to_thread(board_state, out, database)


async def retry_board(
    out: Path, *, database: str | None = None, failed: bool = False, unknown: bool = False, cancelled: bool = False
) -> BoardState:
    """Let failed, unknown or cancelled frames wait for the next run (or the workers that are at work).

    An unknown frame may be paid twice that way, which is why only a person says so.
    """
    out = _absolute(out)
    wanted: dict[State, bool] = {"failed": failed, "unknown": unknown, "cancelled": cancelled}
    id = await asyncio.to_thread(_identity, out)
    async with await Database.open(database_url(out, database)) as opened:
        with folder_errors(out):
            await FramePayments(opened).retry(id, [state for state, meant in wanted.items() if meant])
    return await asyncio.to_thread(board_state, out, database)


async def work(
    database: str,
    settings: Settings,
    *,
    report: Tell,
    takeover: bool = False,
    lease: float = LEASE_SECONDS,
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> None:
    """Make frames of all boards in a database until cancelled. Their folders must be reachable from here.

    NotConfigured without a key, or every frame that came here would fail.
    """
    if transport is None:
        catalog().backend(settings.backend).key(settings)

    def taken_over(executor: str, frames: int) -> None:
        report(Event("taken-over", None, Message("board_run.event-taken-over", worker=executor, frames=frames)))

    async with (
        await Database.open(database) as opened,
        _worker(
            settings, opened, taken_over, transport=transport, takeover=takeover, lease=lease, sleep=sleep
        ) as worker,
    ):
        report(Event("started", None, Message("board_run.event-at-work", worker=worker.name)))
        await asyncio.Event().wait()


def _worker(settings: Settings, opened: Database, taken_over: Callable[[str, int], None], **options: Any) -> Any:
    from seedframe.storyboard.run.worker import Worker

    return Worker.running(settings, opened, taken_over=taken_over, **options)


class _Watch:
    """Sees what changes in the book, tells it, and notices the end."""

    def __init__(self, payments: FramePayments, board: str, total: int, report: Tell) -> None:
        self._payments = payments
        self._board = board
        self._total = total
        self._report = report
        self._seen = -1
        self._states: dict[str, State] = {}
        self._open: set[str] = set()
        self._missed = 0
        self.done = 0

    @property
    def ended(self) -> bool:
        """Whether nothing is being made and nothing can be begun: what still waits, waits for what will not come."""
        return not self._open

    async def look(self) -> None:
        """Take in what changed since the last look."""
        first = self._seen < 0
        for row in await self._payments.changes(self._board, self._seen):
            self._seen = row["changed"]
            key, state = row["key"], row["state"]
            moving = state == "running" or (state == "waiting" and row["waits"] <= 0)
            (self._open.add if moving else self._open.discard)(key)
            before = self._states.get(key)
            self._states[key] = state
            self.done += (state == "done") - (before == "done")
            if state not in {before, "waiting"} and not first:
                self._report(self._event_of(row))

    async def look_again(self) -> None:
        """Take in what changed; a database that does not answer for a moment is no reason to end a run."""
        try:
            await self.look()
            self._missed = 0
        except DatabaseFailed:
            self._missed += 1
            if self._missed > MISSED_LOOKS:
                raise
            await asyncio.sleep(self._missed)

    def taken_over(self, executor: str, frames: int) -> None:
        """Frames of a dead worker go on here."""
        message = Message("board_run.event-taken-over", worker=executor, frames=frames)
        self._report(self.event("taken-over", None, message))

    def report_end(self, state: BoardState) -> None:
        """The last words: what waits in vain, and the sum."""
        for frame in state.frames:
            if frame.state == "waiting":
                message = Message("board_run.event-blocked", task=frame.task, needs=list(frame.waits_for))
                self._report(self.event("blocked", frame.task, message))
        spent = f"{state.spent.normalize():f} {state.currency}"
        message = Message("board_run.event-ended", done=state.count("done"), frames=len(state.frames), spent=spent)
        self._report(self.event("ended", None, message))

    def event(self, kind: Kind, task: str | None, message: Message, path: Path | None = None) -> Event:
        """An event with the count so far."""
        return Event(kind, task, message, self.done, self._total, path)

    def _event_of(self, row: Row) -> Event:
        path = Path(row["path"]) if row["path"] else None
        why = Sentence.of(json.loads(row["error"]) if row["error"] else {})
        message = Message(f"board_run.event-{row['state']}", task=row["key"], why=why)
        return self.event(row["state"], row["key"], message, path)


def check_budget(budget: Money | None, backend: Backend) -> None:
    """NotConfigured when the backend is paid in another currency."""
    if budget is None or budget.currency in {None, backend.currency}:
        return
    raise NotConfigured(
        Message("board_run.other-currency", budget=budget.currency, backend=backend.title, currency=backend.currency),
        facts={"setting": "budget"},
    )


def check_backend(out: Path, backend: Backend) -> None:
    """InvalidRequest where the folder's board was begun on another backend: a rehearsal never goes on for money."""
    card = card_in(out)
    begun = card.backend if card and card.backend else backend.name
    if begun != backend.name:
        raise InvalidRequest(
            Message("board_run.other-backend", out=out, begun=begun, got=backend.name),
            field="backend",
            got=backend.name,
            allowed=begun,
            advice=Message("board_run.other-backend-advice", begun=begun),
        )


def _enter_folder(board: Board, out: Path, backend: Backend) -> str:
    """The board's name in the book, made once for a folder; the board itself is kept beside the pictures."""
    check_backend(out, backend)
    card = card_in(out)
    if card is None:
        card = Card(f"{board.project}-{secrets.token_hex(4)}", board.project, backend.name)
        make_private_folder(out / STATE_FOLDER)
        Store(out).write_json(out / STATE_FOLDER / CARD_FILE, asdict(card))
    id, project = card.id, card.project
    if project != board.project:
        raise InvalidRequest(
            Message("board_run.other-board", out=out, project=project, got=board.project),
            field="out",
            got=board.project,
            allowed=project,
            advice=Message("board_run.other-board-advice"),
        )
    keep_board(board, out)
    return id


def _identity(out: Path) -> str:
    card = card_in(out)
    if card is None:
        raise _no_board(out)
    return card.id


def _absolute(out: Path) -> Path:
    return out.absolute()


def _no_board(out: Path) -> InvalidRequest:
    return InvalidRequest(
        Message("board_run.no-board", out=out),
        field="out",
        got=str(out),
        allowed="DIR",
        advice=Message("board_run.no-board-advice"),
    )


def _with_files(state: BoardState, out: Path) -> BoardState:
    manifest, sheet = out / MANIFEST_FILE, out / SHEET_FILE
    return replace(
        state,
        manifest=manifest if manifest.exists() else None,
        sheet=sheet if sheet.exists() else None,
    )
