"""A board is run: every frame a workflow of the engine, paid at most once, on one machine or many.

In: a Board, a folder, Settings, a database (a SQLite file in the folder unless a PostgreSQL URL is given).
Out: pictures named by `names`, sidecars, manifest.json, sheet.html, and a `BoardState`; events on the way.
Never in here: how a frame is paid (worker), what the engine does, what is known of a board (`storyboard.record`), an
entry point's format.

    engine   DBOS: queues, limits, order, recovery     queues   each one's limit, and each worker's share
    worker   makes a frame     worker_id   who works     paid_frames   what a worker goes on with when it starts
    watch   events     detached   a run in a process of its own
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedframe.catalog import Backend, catalog
from seedframe.errors import InvalidRequest, NotConfigured
from seedframe.messages import Message
from seedframe.object_places import portable_folder
from seedframe.payments import Payments
from seedframe.payments.boards import PaymentState
from seedframe.payments.records import PaymentRecords
from seedframe.payments.sql import translate_errors
from seedframe.settings import Money, Settings
from seedframe.storyboard.board_folder import MANIFEST_FILE, SHEET_FILE, publish, results_of
from seedframe.storyboard.folder_links import card_in
from seedframe.storyboard.frames import FrameTask, frames_of
from seedframe.storyboard.picks import read_picks
from seedframe.storyboard.record.database import Database, database_url, is_postgres, read_now, shown
from seedframe.storyboard.record.folder_board import board_id, enter_folder, no_board
from seedframe.storyboard.record.frame_payments import BoardRecord, FramePayments, record_of, rows_of
from seedframe.storyboard.record.origin import RecordOrigin, folder_errors, in_folder, state_by_files
from seedframe.storyboard.record.state import BoardState, Event, FrameState, State
from seedframe.storyboard.record.states import NO_RUNS, Runs, described, next_run, next_runs, runs_left, state_of
from seedframe.storyboard.remote_folder import bring_pictures
from seedframe.storyboard.run.engine import EngineClient
from seedframe.storyboard.run.paid_frames import queue_paid
from seedframe.storyboard.run.queues import MOST_AT_ONCE, queues_of, set_up_queues
from seedframe.storyboard.run.watch import Watch
from seedframe.storyboard.types import Board
from seedframe.studio.preflight import Free, free_bytes

if TYPE_CHECKING:
    import httpx

__all__ = [
    "BoardState",
    "Event",
    "FrameState",
    "board_state",
    "cancel_board",
    "check_budget",
    "redo_board",
    "retry_board",
    "run_board",
    "work",
]

LEASE_SECONDS = 60.0
"""A worker on another machine that was silent for so long is taken for dead."""

FINISHES = 3
"""How often a run goes on with calls that were sent and whose workers died before they came to an end."""

_WRITTEN_OFF: Mapping[State, tuple[PaymentState, ...]] = {
    "unknown": ("unknown",),
    "lost": ("lost", "paid"),
    "done": ("paid", "lost"),
}
"""What a person's word about a frame in that state writes off; nothing was billed for any other."""


async def run_board(
    board: Board,
    out: Path,
    settings: Settings,
    *,
    report: Callable[[Event], None],
    database: str | None = None,
    budget: Money | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    workers: bool = True,
    at_once: int | None = None,
    lease: float = LEASE_SECONDS,
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    free: Free = free_bytes,
) -> BoardState:
    """Start or resume a board and wait for its end; finished frames are never paid again.

    `workers=False` only enqueues and waits: processes of `work` on the same `database` make the frames. `at_once`:
    calls under way in one worker; `free`: the bytes a folder's disk has left. At the end, manifest.json and sheet.html
    are (re)written. A cancelled task leaves the board resumable. InvalidRequest: the folder holds another board.
    NotConfigured: the extra `storyboard` is missing, the database cannot be used, or there is no key.
    """
    out = _absolute(out)
    backend = catalog().backend(settings.backend)
    check_budget(budget, backend)
    if workers and transport is None:
        backend.key(settings)  # said once here, instead of by every frame
    id = await asyncio.to_thread(enter_folder, board, out, backend)
    async with _opened(out, database, settings) as (payments, client):
        origin = RecordOrigin(id, out, payments.database.url, settings)
        with folder_errors(out):
            watch = await _begin(
                board, budget, origin, payments, client, report=report, lease=lease, own=workers, at_once=at_once
            )
        watch.started()
        async with AsyncExitStack() as stack:
            if workers and await watch.is_active():
                options = {"transport": transport, "lease": lease, "sleep": sleep, "free": free}
                options["at_once"] = at_once or MOST_AT_ONCE
                await stack.enter_async_context(_worker(settings, payments, client, watch.taken_over, **options))
            await watch.until_end(None if workers else lease)
            for _ in range(FINISHES):
                if not await _queue_sent(payments, client, id, out):
                    break
                await watch.until_end(None if workers else lease)
        state = await _state(payments, client, id, out)
    await asyncio.to_thread(bring_pictures, out, settings)
    await asyncio.to_thread(publish, board, results_of(state), out, language=settings.language)
    state = _with_files(state, out)
    watch.report_end(state)
    return state


def board_state(out: Path, database: str | None = None, settings: Settings | None = None) -> BoardState:
    """The picture of the board in `out` at one moment. InvalidRequest when there is none.

    A folder without a record of its run is described by what its pictures and their sidecars prove.
    """
    out = _absolute(out)
    card = card_in(out)
    state = None
    if card is not None:
        with suppress(FileNotFoundError), folder_errors(out):
            state = _recorded_state(out, database_url(out, database), card.id, settings)
    if state is None and settings is not None:
        state = state_by_files(out, settings)
    if state is None:
        raise no_board(out)
    return _with_files(in_folder(state, out), out)


def _recorded_state(out: Path, url: str, id: str, settings: Settings | None) -> BoardState | None:
    rows = read_now(url, lambda tx: rows_of(tx, id))
    if rows is None:
        return None
    with (
        translate_errors(shown(url)),
        closing(PaymentRecords(_journal(settings), now=time.time, database=url)) as calls,
    ):
        record = record_of(rows, calls.board_money(id))
    client = EngineClient.existing(url, _journal(settings))
    if client is None:
        return state_of(record, NO_RUNS, out)
    try:
        return state_of(record, client.newest(id), out)
    finally:
        client.close()


async def cancel_board(out: Path, database: str | None = None, settings: Settings | None = None) -> BoardState:
    """Frames that wait or were begun become cancelled, those whose call has left come to their end.

    The next run of the board goes on with what was cancelled.
    """
    out = _absolute(out)
    id = await asyncio.to_thread(board_id, out)
    async with _opened(out, database, settings) as (payments, client):
        with folder_errors(out):
            await payments.stop(id, described(Message("board_truth.cancelled")))
            sending = await payments.sending(id)
            await asyncio.to_thread(client.cancel, id, but=sending, begun=True)
    return await asyncio.to_thread(board_state, out, database, settings)


async def retry_board(
    out: Path,
    *,
    database: str | None = None,
    settings: Settings | None = None,
    failed: bool = False,
    unknown: bool = False,
    lost: bool = False,
    cancelled: bool = False,
) -> BoardState:
    """Queue failed, unknown, lost or cancelled frames for the next run (or the workers that are at work).

    A lost frame was billed and is paid again that way, an unknown one perhaps: only a person says so.
    """
    wanted: dict[State, bool] = {"failed": failed, "unknown": unknown, "lost": lost, "cancelled": cancelled}
    states = {state for state, meant in wanted.items() if meant}
    return await _make_again(out, database, settings, lambda frame: frame.state in states)


async def redo_board(
    out: Path,
    keys: Collection[str] = (),
    *,
    stale: bool = False,
    database: str | None = None,
    settings: Settings | None = None,
) -> BoardState:
    """Pay for new pictures of frames that are done: those of these keys or shots, or all whose shot was edited since.

    The files that are there stay. InvalidRequest when no such frame is done or lost.
    """

    def meant(frame: FrameState) -> bool:
        named = frame.task in keys or frame.shot in keys
        return frame.state in {"done", "lost"} and (named or (stale and frame.stale))

    state = await asyncio.to_thread(board_state, out, database, settings)
    if not any(map(meant, state.frames)):
        raise InvalidRequest(Message("board_truth.redo-nothing"), field="frames", got=sorted(keys), allowed=None)
    return await _make_again(out, database, settings, meant)


async def _make_again(
    out: Path, database: str | None, settings: Settings | None, meant: Callable[[FrameState], bool]
) -> BoardState:
    """Write off what was paid for these frames, and queue the next making of each that waits for nothing."""
    out = _absolute(out)
    id = await asyncio.to_thread(board_id, out)
    async with _opened(out, database, settings) as (payments, client):
        with folder_errors(out):
            record = await payments.record(id)
            if record is None:
                raise no_board(out)
            runs = await asyncio.to_thread(client.newest, id)
            chosen = [frame for frame in state_of(record, runs, out).frames if meant(frame)]
            for state, written_off in _WRITTEN_OFF.items():
                await payments.write_off(
                    id, [frame.task for frame in chosen if frame.state == state], states=written_off
                )
            meant_keys = {frame.task for frame in chosen}
            record = await payments.record(id) or record  # a frame made again makes those wait that need it
            for frame in state_of(record, runs, out).frames:
                if frame.task in meant_keys and not frame.waits_for:
                    run = next_run(id, frame.task, runs.get(frame.task))
                    await asyncio.to_thread(client.enqueue, record.frames[frame.task].queue, [run])
    return await asyncio.to_thread(board_state, out, database, settings)


async def work(
    database: str,
    settings: Settings,
    *,
    report: Callable[[Event], None],
    at_once: int | None = None,
    lease: float = LEASE_SECONDS,
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> None:
    """Make frames of all boards in a database until cancelled. Their folders must be reachable from here.

    What is paid, or was sent, and came to no end is queued first; to bring it there costs nothing.
    NotConfigured without a key, or every frame that came here would fail.
    """
    if transport is None:
        catalog().backend(settings.backend).key(settings)

    def taken_over(executor: str, frames: int) -> None:
        report(Event("taken-over", None, Message("board_run.event-taken-over", worker=executor, frames=frames)))

    options = {"transport": transport, "lease": lease, "sleep": sleep, "at_once": at_once or MOST_AT_ONCE}
    async with _opened(None, database, settings) as (payments, client):
        await queue_paid(payments, client, settings)
        async with _worker(settings, payments, client, taken_over, **options) as worker:
            report(Event("started", None, Message("board_run.event-at-work", worker=worker.name)))
            await asyncio.Event().wait()


@asynccontextmanager
async def _opened(
    out: Path | None, database: str | None, settings: Settings | None
) -> AsyncIterator[tuple[FramePayments, EngineClient]]:
    """The board's database, the payment record of its frames, the engine."""
    url = database_url(out, database) if out is not None else str(database)
    journal, keys = _journal(settings), settings.secrets if settings else ()
    async with (
        await Database.open(url, journal) as opened,
        await Payments.open(journal, secrets=keys, database=url) as calls,
    ):
        client = await asyncio.to_thread(EngineClient.open, url, journal)
        try:
            yield FramePayments(opened, calls), client
        finally:
            await asyncio.to_thread(client.close)


async def _begin(
    board: Board,
    budget: Money | None,
    origin: RecordOrigin,
    payments: FramePayments,
    client: EngineClient,
    *,
    report: Callable[[Event], None],
    lease: float,
    own: bool,
    at_once: int | None,
) -> Watch:
    """Enter the board and queue what can be made now; what needs other frames is queued by their ends.

    `own`: this process makes frames too. Out: who watches what comes of it.
    """
    tasks = frames_of(board, await asyncio.to_thread(read_picks, origin.out))
    await _enter(board, tasks, budget, origin, payments)
    record, before, state = await _standing(payments, client, origin.board, origin.out)
    await asyncio.to_thread(
        set_up_queues,
        client,
        tasks,
        origin.settings,
        waiting=[frame.task for frame in state.frames if frame.state != "done"],
        workers=await _count_workers(payments, lease) + own,
        at_once=at_once,
    )
    for queue, chosen in next_runs(record, before, state).items():
        await asyncio.to_thread(client.enqueue, queue, chosen)
    return Watch(client, payments, state, before, report)


async def _enter(
    board: Board, tasks: Sequence[FrameTask], budget: Money | None, origin: RecordOrigin, payments: FramePayments
) -> None:
    backend = catalog().backend(origin.settings.backend)
    evidence = await origin.evidence(payments, tasks)
    await payments.start(
        origin.board,
        tasks,
        project=board.project,
        folder=portable_folder(origin.out, origin.settings.object_cache),
        backend=backend.name,
        currency=backend.currency,
        budget=budget.amount if budget else None,
        queues=queues_of(tasks, origin.settings),
        evidence=evidence,
    )
    await asyncio.to_thread(origin.remember)


async def _standing(
    payments: FramePayments, client: EngineClient, id: str, out: Path
) -> tuple[BoardRecord, Runs, BoardState]:
    """How a board that is recorded stands: what is recorded, what the engine makes, both together."""
    record = await payments.record(id)
    assert record is not None
    runs = await asyncio.to_thread(client.newest, id)
    return record, runs, await asyncio.to_thread(state_of, record, runs, out)


async def _state(payments: FramePayments, client: EngineClient, id: str, out: Path) -> BoardState:
    _, _, state = await _standing(payments, client, id, out)
    return state


async def _count_workers(payments: FramePayments, lease: float) -> int:
    """Workers elsewhere among which frames are shared. A file is one machine's: who was heard of there may be dead."""
    return await payments.count_workers(lease) if is_postgres(payments.database.url) else 0


async def _queue_sent(payments: FramePayments, client: EngineClient, id: str, out: Path) -> bool:
    """Queue what was sent or paid and came to no end; to bring it there costs nothing more. Whether there was any."""
    record, runs, state = await _standing(payments, client, id, out)
    if record.stopped:
        return False
    left = runs_left(record, runs, state, {"sent", "paid"})
    for queue, chosen in left.items():
        await asyncio.to_thread(client.enqueue, queue, chosen)
    return bool(left)


def _journal(settings: Settings | None) -> Path:
    return (settings or Settings.read({})).journal


def _worker(
    settings: Settings,
    payments: FramePayments,
    client: EngineClient,
    taken_over: Callable[[str, int], None],
    **options: Any,
) -> Any:
    from seedframe.storyboard.run.worker import Worker

    return Worker.running(settings, payments, client, taken_over=taken_over, **options)


def check_budget(budget: Money | None, backend: Backend) -> None:
    """NotConfigured when the backend is paid in another currency."""
    if budget is None or budget.currency in {None, backend.currency}:
        return
    raise NotConfigured(
        Message("board_run.other-currency", budget=budget.currency, backend=backend.title, currency=backend.currency),
        facts={"setting": "budget"},
    )


def _absolute(out: Path) -> Path:
    return out.absolute()


def _with_files(state: BoardState, out: Path) -> BoardState:
    manifest, sheet = out / MANIFEST_FILE, out / SHEET_FILE
    return replace(
        state,
        manifest=manifest if manifest.exists() else None,
        sheet=sheet if sheet.exists() else None,
    )
