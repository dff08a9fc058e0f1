"""A worker: makes frames for as long as it lives, each a workflow of the engine.

    style    task → tool, arguments, price; nothing is sent          the same task gives the same words
    pay      the frame's one POST, through the studio                a step of the engine; kept in the payment record
    save     the file has the name of its frame                      kept by the disk
    end      the picture is recorded, who waited for it is queued    ids make that harmless to repeat

In: frames from the engine's queues. Out: pictures, and what became of each frame as its workflow's result. After a
crash a frame begins again at `style`; what was left behind is found, not done twice. The payment record gives a frame
one payment: who asks again waits for it, gets its picture, or hears that nobody knows.
Never in here: SQL, the library of the engine, a second payment that nobody asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from seedframe.catalog import Offer, Price, catalog
from seedframe.errors import (
    ApiError,
    BudgetExceeded,
    ConnectionFailed,
    EarlierOutcomeUnknown,
    NotConfigured,
    PaidAndLost,
    SeedreamError,
    StoreError,
)
from seedframe.geometry import Size
from seedframe.messages import LANGUAGES, Message
from seedframe.payments import BoardBudgetExceeded, BoardStopped, Entry, PaidFrame
from seedframe.payments.boards import FRAME_STATES
from seedframe.payments.records import EntryMoved
from seedframe.redaction import redact
from seedframe.service.request import check
from seedframe.settings import Settings
from seedframe.storyboard.board_plan import arguments_of
from seedframe.storyboard.folder_links import belongs_to
from seedframe.storyboard.frames import FrameTask
from seedframe.storyboard.names import file_name
from seedframe.storyboard.record.database import DatabaseFailed
from seedframe.storyboard.record.frame_payments import Begun, FramePayments
from seedframe.storyboard.record.frame_run import FrameRun
from seedframe.storyboard.record.state import State
from seedframe.storyboard.record.states import described, file_in, made_of, next_run
from seedframe.storyboard.remote_folder import SharedFolders
from seedframe.storyboard.run.engine import Engine, EngineClient
from seedframe.storyboard.run.worker_id import Machine, WorkerId
from seedframe.studio.pipeline import Studio
from seedframe.studio.preflight import Free, free_bytes
from seedframe.studio.store import Store
from seedframe.studio.types import Result

AT_ONCE = 32
"""The most frames one worker makes at once, and so the most calls that a crash can leave in doubt."""

BEATS = 6
BEAT_SECONDS = 3.0
"""In one lease a living worker is heard `BEATS` times, and at least so often."""

STRANDED_SECONDS = 10.0
"""A frame that the engine says is under way here needs so long at most to begin, or to be noted as ended."""

DROPS = 3
"""So often a frame that never began is queued again, before it is taken for one that cannot begin."""

PAUSES = (5.0, 15.0, 45.0)
"""Before another try of what certainly was not billed and may pass by itself: no connection, no capacity."""

DATABASE_PAUSE = 2.0
BREAKING = frozenset({"key", "account", "quota"})
"""Classes of the service's refusals that the next frame would meet as well."""

Outcome = Mapping[str, Any]
"""What a step came to, JSON-ready; with `end` when the frame ends there."""

OVER: Outcome = {"end": "cancelled"}
"""The board is stopped, or does not have this frame any more."""

log = logging.getLogger(__name__)


class Stopped(SeedreamError):
    """The worker stops; whoever goes on pays for the frame."""


class Worker:
    """One process's worker. `running` starts it; it makes frames of every board in the database."""

    def __init__(
        self,
        settings: Settings,
        payments: FramePayments,
        client: EngineClient,
        machine: Machine,
        worker_id: WorkerId,
        *,
        transport: httpx.AsyncBaseTransport | None,
        sleep: Callable[[float], Awaitable[Any]],
        taken_over: Callable[[str, int], None],
        lease: float,
        at_once: int,
        free: Free,
    ) -> None:
        self._settings = settings
        self._payments = payments
        self._calls = payments.calls
        self._client = client
        self._machine = machine
        self._id = worker_id
        self._transport = transport
        self._sleep = sleep
        self._folders = SharedFolders(settings, sleep)
        self._taken_over = taken_over
        self._lease = lease
        self._free = free
        self._at_once = asyncio.Semaphore(at_once)
        self._connections = at_once
        self._studios: dict[tuple[Path, str], Studio] = {}
        self._open = AsyncExitStack()
        self._making: dict[asyncio.Task[Any], FrameRun] = {}
        self._dropped: Counter[str] = Counter()
        self._left: dict[str, float] = {}
        self._opening = asyncio.Lock()
        self._kinds: dict[tuple[Any, ...], tuple[Size | None, Price]] = {}
        self._stopping = False
        self._engine: Engine

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls,
        settings: Settings,
        payments: FramePayments,
        client: EngineClient,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        taken_over: Callable[[str, int], None] = lambda _executor, _frames: None,
        lease: float,
        at_once: int = AT_ONCE,
        free: Free = free_bytes,
    ) -> AsyncIterator[Worker]:
        """A worker at work until the block ends. What has been sent by then is waited for, what has not is left."""
        machine = await asyncio.to_thread(Machine, settings.journal)
        given: dict[str, Any] = {"transport": transport, "sleep": sleep, "taken_over": taken_over, "lease": lease}
        with machine.worker_id() as worker_id:
            worker = cls(
                settings, payments, client, machine, worker_id, at_once=min(at_once, AT_ONCE), free=free, **given
            )
            await worker._payments.beat(worker.name, worker_id.machine, worker_id.slot)
            try:
                async with worker._at_work():
                    yield worker
            finally:
                # Where it fails, the others find out that this one is gone.
                with contextlib.suppress(DatabaseFailed):
                    await asyncio.to_thread(worker._hand_back)
                    await worker._payments.forget(worker.name)

    @contextlib.asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        url, journal = self._payments.database.url, self._settings.journal
        async with Engine.running(url, self.name, self._make, call_payments=journal) as self._engine:
            watching = asyncio.create_task(self._watch_over())
            try:
                yield
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                await self._stop()

    @property
    def name(self) -> str:
        """What the engine calls it."""
        return self._id.executor

    async def _stop(self) -> None:
        """Frames that were not sent stay begun and are gone on with later; paid calls are awaited by their studio."""
        self._stopping = True
        await self._engine.take_no_more()
        while self._making:
            for task in self._making:
                task.cancel()
            await asyncio.gather(*self._making, return_exceptions=True)
        await self._open.aclose()

    def _hand_back(self) -> None:
        """What was begun and not ended is for whoever comes next."""
        for status in self._client.of_worker(self.name):
            self._client.queue_again(status.run.id, self.name)

    # Other workers

    async def _watch_over(self) -> None:
        """Tell the others that this one lives, and go on with what the dead have left."""
        while True:
            try:
                await self._payments.beat(self.name, self._id.machine, self._id.slot)
                await self._take_over()
                await self._resume_own()
            except Exception as error:
                # Whatever it is, a worker that is no longer heard of would be taken for dead.
                log.warning("the other workers could not be seen: %s", error)
            await asyncio.sleep(min(self._lease / BEATS, BEAT_SECONDS))

    async def _take_over(self) -> None:
        """On this machine a free slot proves a death; anywhere a silence longer than the lease is taken for one.

        A slot may have been taken since by a run of another database.
        """
        for other in await self._payments.workers():
            if other["executor"] == self.name:
                continue
            with contextlib.ExitStack() as held:
                here = other["machine"] == self._id.machine
                gone = here and held.enter_context(self._machine.empty(other["slot"]))
                if gone or other["silent"] > self._lease:
                    frames = await self._engine.recover(other["executor"])
                    await self._payments.forget(other["executor"])
                    if frames:
                        self._taken_over(other["executor"], frames)

    async def _resume_own(self) -> None:
        """What the engine says is made here and is not, for a while: queued again.

        The engine drops a frame when its database fails at the moment the frame begins or ends, and whenever it cannot
        read the frame's row: one that was dropped again and again and never began is cancelled.
        """
        now, making = asyncio.get_running_loop().time(), {run.id for run in self._making.values()}
        begun = await asyncio.to_thread(self._client.of_worker, self.name)
        left = {status.run.id: status for status in begun if status.run.id not in making}
        self._left = {id: self._left.get(id, now) for id in left}
        for id in [id for id, since in self._left.items() if now - since >= STRANDED_SECONDS]:
            del self._left[id]
            self._dropped[id] += 1
            if self._dropped[id] > DROPS:
                await asyncio.to_thread(self._client.give_up, [left[id]])
            else:
                await asyncio.to_thread(self._client.queue_again, id, self.name)

    # A frame

    async def _make(self, run: FrameRun) -> Outcome:
        """One frame, from its task to its end: `{end, path, raw_path, error}`."""
        task = asyncio.current_task()
        if self._stopping or task is None:
            raise asyncio.CancelledError
        self._making[task] = run
        self._dropped.pop(run.id, None)
        try:
            outcome = await self._made(run)
            return {name: outcome.get(name) for name in ("end", "path", "raw_path", "error")}
        finally:
            del self._making[task]

    async def _made(self, run: FrameRun) -> Outcome:
        arguments = await self._safely(self._style, run)
        if "end" in arguments:
            return arguments
        paid = await self._engine.step("pay", self._safely, self._pay, run, arguments)
        if "end" in paid:
            return paid
        return await self._safely(self._save, run, arguments, paid)

    async def _safely(self, work: Callable[..., Awaitable[Outcome]], *values: Any) -> Outcome:
        """A step's end in words. What only says "not now" is no end: the engine would keep an error for ever."""
        while True:
            try:
                return await work(*values)
            except DatabaseFailed as error:
                log.warning("a frame waits for the database: %s", error)
                await self._sleep(DATABASE_PAUSE)
            except Stopped:
                raise asyncio.CancelledError from None
            except SeedreamError as error:
                return self._failed(error)
            except Exception as error:
                if self._stopping:
                    raise asyncio.CancelledError from error
                # A defect of ours ends one frame, not the board; its payment stays as it is and can be asked for.
                log.exception("a frame failed")
                why = f"{type(error).__name__}: {error}"[:200]
                return _ended("failed", Message("board_run.defect", why=why))

    async def _style(self, run: FrameRun) -> Outcome:
        """What will be asked, with its price; the frames it needs are there by now."""
        begun = await self._payments.begin(run)
        if begun is None:
            return OVER
        folder, asked = self._folders.local(begun.folder), begun.task
        task, made = await self._folders.inputs(asked, begun.made, folder)
        begun = replace(begun, task=task, made=made, folder=folder)
        if not self._folders.is_remote(folder) and not await asyncio.to_thread(belongs_to, begun.folder, run.board):
            why = Message("board_truth.folder-not-here", folder=begun.folder, worker=self.name)
            await self._break(run.board, why)
            return _ended("cancelled", why)
        tool, arguments = arguments_of(begun.task, made=begun.made)
        size, price = self._measured(begun, tool, arguments)
        name = file_name(begun.project, run.key, (size.width, size.height), "jpg") if size else run.key
        return {
            "task": asked,
            "tool": tool,
            "arguments": {**arguments, "save_as": name, "confirm_cost": True},
            "price": None if price.amount is None else f"{price.amount:f}",
            "currency": price.currency,
            "project": begun.project,
            "folder": str(begun.folder),
            "backend": begun.backend,
        }

    def _measured(self, begun: Begun, tool: str, arguments: Mapping[str, Any]) -> tuple[Size | None, Price]:
        """The size a frame will have and what it costs at most: the same for all frames that differ in words only."""
        kind = (begun.backend, tool, *map(arguments.get, ("model", "size", "ratio")), len(arguments.get("images", ())))
        if kind not in self._kinds:
            settings = self._settings_for(begun.folder, begun.backend)
            request = check(tool, arguments, catalog=catalog(), settings=settings)
            self._kinds[kind] = request.frame.frame or request.frame.expected, request.price
        return self._kinds[kind]

    async def _pay(self, run: FrameRun, arguments: Outcome) -> Outcome:
        """The picture of this frame: made now, or found. At most one POST that is billed, however often it is asked."""
        async with self._at_once:
            for pause in (*PAUSES, None):
                try:
                    return await self._paid(run, arguments)
                except BoardStopped:
                    return OVER
                except BoardBudgetExceeded as error:
                    why = Message("board_truth.over-budget", price=error.message.values["price"])
                    await self._break(run.board, why, finish=True)
                    return {**self._failed(error), "end": "cancelled"}
                except (Stopped, DatabaseFailed):
                    raise
                except SeedreamError as error:
                    end = await self._refused(run, error, last=pause is None)
                    if end is not None:
                        return end
                    await self._sleep(pause or 0.0)
        return OVER

    async def _paid(self, run: FrameRun, arguments: Outcome) -> Outcome:
        frame, folder = PaidFrame(run.board, run.key), Path(arguments["folder"])
        entry = await self._calls.of_frame(frame)
        if entry is not None and entry.finished and entry.result is not None:
            return await self._taken(run, entry, arguments)
        studio = await self._studio(folder, arguments["backend"])
        async with studio.make(arguments["tool"], arguments["arguments"], frame=frame) as result:
            return _kept(result)

    async def _taken(self, run: FrameRun, entry: Entry, arguments: Outcome) -> Outcome:
        """What was paid and saved before, by whichever worker; lost where its picture is not in the folder."""
        kept = _kept(Result.from_dict(entry.result or {}))
        folder = Path(arguments["folder"])
        path = file_in(Path(kept["path"]), folder)
        named = (path, _wanted(run, arguments, path, kept))
        raw = (file_in(Path(kept["raw_path"]), folder),) if kept["raw_path"] else ()
        await self._folders.brought((*named, *raw), folder)
        if not any(map(Path.exists, named)):
            return _ended("lost", Message("board_run.picture-gone", path=path))
        if entry.state == "saved":
            await self._calls.delivered(entry.id)
        return kept

    async def _refused(self, run: FrameRun, error: SeedreamError, *, last: bool) -> Outcome | None:
        """What a call that brought no picture came to; None when it was not billed and may be tried again."""
        frame = PaidFrame(run.board, run.key)
        entry = await self._calls.of_frame(frame)
        if _breaks(error):
            await self._break(run.board, Message("board_truth.broken", why=error.message))
        if isinstance(error, EarlierOutcomeUnknown):
            return _ended("unknown", Message("board_run.unknown"))
        if isinstance(error, PaidAndLost):
            return _ended("lost", Message("board_run.lost"))
        again = _goes_on(error, entry) if entry else not _breaks(error) and _passing(error)
        if again and not last:
            return None
        if entry is not None:
            return {**self._failed(error), "end": "lost" if FRAME_STATES[entry.state] == "lost" else "unknown"}
        await self._payments.asking(frame, asked=False)
        return self._failed(error)

    async def _admit(self, frame: PaidFrame | None, _offer: Offer, _outputs: int) -> None:
        """Asked by the studio before each POST."""
        assert frame is not None
        if self._stopping:
            raise Stopped(Message("board_run.stopped"))
        await self._payments.asking(frame, asked=True)

    async def _break(self, board: str, why: Message, *, finish: bool = False) -> None:
        """What stops one frame would stop them all: nothing more of this board is sent, what has left goes on.

        With `finish` what has its money reserved goes on as well.
        """
        reason = redact(described(why), self._settings.secrets, long_words=True)
        if await self._payments.stop(board, reason, finish=finish):
            await asyncio.to_thread(self._client.cancel, board)

    async def _save(self, run: FrameRun, arguments: Outcome, paid: Outcome) -> Outcome:
        """The file under the name that tells its size; recorded, and the frames that waited for it are queued."""
        folder = Path(arguments["folder"])
        path = file_in(Path(paid["path"]), folder)
        path, made = await asyncio.to_thread(_named, path, _wanted(run, arguments, path, paid), paid)
        raw = paid["raw_path"] and str(file_in(Path(paid["raw_path"]), folder))
        await self._folders.stored(path, [Path(raw)] if raw else [], folder)
        picture = {"path": str(path), "raw_path": raw, **made}
        task: FrameTask = arguments["task"]
        for key, queue in (await self._payments.made(run, task, picture)).items():
            await asyncio.to_thread(self._enqueue, queue, run.board, key)
        return {"end": "done", "path": str(path), "raw_path": raw}

    def _enqueue(self, queue: str, board: str, key: str) -> None:
        """Queue a frame that waits for nothing any more; what failed or is in doubt waits for a person.

        One whose newest making ended well has no picture where a person asked for a new one.
        """
        newest = self._client.newest_of(board, key)
        if newest is None or newest.status == "CANCELLED" or newest.outcome.get("end") in {"cancelled", "done"}:
            self._client.enqueue(queue, [next_run(board, key, newest)])

    def _failed(self, error: SeedreamError) -> Outcome:
        """The end of a frame as it is kept in the engine: without keys."""
        words = {language: error.text(language) for language in LANGUAGES}
        return {"end": "failed", "error": redact(words, self._settings.secrets, long_words=True)}

    # What frames share

    async def _studio(self, folder: Path, backend: str) -> Studio:
        """The studio that saves into this folder, opened once."""
        async with self._opening:
            key = (folder, backend)
            if key not in self._studios:
                settings = self._settings_for(folder, backend)
                studio = Studio.open(
                    settings,
                    transport=self._transport,
                    sleep=self._sleep,
                    admit=self._admit,
                    connections=self._connections,
                    free=self._free,
                    uploads=False,
                    payments=self._calls,
                )
                self._studios[key] = await self._open.enter_async_context(studio)
            return self._studios[key]

    def _settings_for(self, folder: Path, backend: str) -> Settings:
        return replace(self._settings, output_dir=folder, backend=backend)


def _passing(error: SeedreamError) -> bool:
    """Whether the same call may well succeed a little later."""
    passing = isinstance(error, ConnectionFailed | EntryMoved)
    return passing or (isinstance(error, ApiError) and error.retry == "later")


def _goes_on(error: SeedreamError, entry: Entry) -> bool:
    """Whether the payment only has to be asked for once more: somebody else's call, whose picture can be fetched."""
    return isinstance(error, EntryMoved) or (entry.state == "undelivered" and "earlier" in error.facts)


def _breaks(error: SeedreamError) -> bool:
    """Whether the next frame would meet the same: a full disk, a refused key, a budget or a record that is closed."""
    if isinstance(error, ApiError):
        return error.error_class in BREAKING
    return isinstance(error, StoreError | BudgetExceeded | NotConfigured) and not isinstance(error, EntryMoved)


def _ended(state: State, why: Message) -> Outcome:
    return {"end": state, "error": described(why)}


def _kept(result: Result) -> Outcome:
    """What later steps need of a result; the rest is in the sidecar."""
    picture = result.pictures[0]
    return {
        "path": str(picture.path),
        "raw_path": picture.original and str(picture.original),
        "size": [picture.width, picture.height],
        "sha256": picture.sha256,
    }


def _wanted(run: FrameRun, arguments: Outcome, path: Path, paid: Outcome) -> Path:
    """The name of the frame, which says the size of its picture."""
    return path.with_name(file_name(arguments["project"], run.key, tuple(paid["size"]), path.suffix))


def _named(path: Path, wanted: Path, paid: Outcome) -> tuple[Path, dict[str, Any]]:
    """The file under its frame's name, and what is recorded of it. StoreError when there is no file."""
    path = path if path == wanted else _renamed(path, wanted)
    try:
        return path, made_of(path, str(paid.get("sha256", "")))
    except OSError:
        raise StoreError(Message("board_run.picture-gone", path=path), facts={"path": str(path)}) from None


def _renamed(path: Path, wanted: Path) -> Path:
    """Give the file its frame's name where that is free. StoreError when there is no file."""
    if not path.exists():
        if wanted.exists():
            return wanted
        raise StoreError(Message("board_run.picture-gone", path=path), facts={"path": str(path)})
    if wanted.exists():
        return path
    sidecar = path.with_name(f"{path.name}.json")
    with contextlib.suppress(FileNotFoundError):
        record = json.loads(sidecar.read_text(encoding="utf-8"))
        record["picture"]["path"] = str(wanted)
        Store(path.parent).write_sidecar(wanted, record)
        sidecar.unlink()
    path.replace(wanted)
    return wanted
