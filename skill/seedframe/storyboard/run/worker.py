"""A worker: makes frames for as long as it lives, each a workflow of the engine.

    style    task → tool, arguments, price; nothing is sent          the same task gives the same words
    reserve  the price is held back, a token is given                kept in the record: a frame has one token
    pay      the token's one POST, through the studio                a step of the engine; kept in the record as well
    save     the file has the name of its frame                      kept by the disk
    end      the picture is recorded, who waited for it is queued    ids make that harmless to repeat

In: frames from the engine's queues. Out: pictures, and what became of each frame as its workflow's result. After a
crash a frame begins again at `style`; what was left behind is found, not done twice. `pay` never posts again what may
have been sent: it finds the answer (engine, record, then this machine's payment record) or says that it is unknown.
Never in here: SQL, the library of the engine, a second payment that nobody asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path, PureWindowsPath
from typing import Any
from weakref import WeakValueDictionary

import httpx

from seedframe.catalog import Offer, Price, catalog
from seedframe.errors import (
    ApiError,
    BudgetExceeded,
    ConnectionFailed,
    NotConfigured,
    SeedreamError,
    StoreError,
)
from seedframe.geometry import Size
from seedframe.messages import LANGUAGES, Message
from seedframe.payments import Entry, Payments
from seedframe.payments.money import format_money
from seedframe.redaction import redact
from seedframe.service.request import check
from seedframe.settings import Settings
from seedframe.storyboard.board_plan import arguments_of
from seedframe.storyboard.folder_links import card_in
from seedframe.storyboard.frames import FrameTask
from seedframe.storyboard.names import file_name
from seedframe.storyboard.remote_folder import SharedFolders
from seedframe.storyboard.run.database import Database, DatabaseFailed
from seedframe.storyboard.run.engine import Engine, EngineClient, FrameRun
from seedframe.storyboard.run.frame_payments import Begun, FramePayments, Token
from seedframe.storyboard.run.state import State
from seedframe.storyboard.run.states import described, made_of, next_run
from seedframe.storyboard.run.worker_id import Machine, WorkerId
from seedframe.studio.pipeline import Studio
from seedframe.studio.plan import fingerprint_of_key
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


class Fenced(SeedreamError):
    """The token may not be spent: its board was stopped, or somebody else has sent it."""


class Stopped(SeedreamError):
    """The worker stops; the token stays reserved for whoever goes on."""


class Worker:
    """One process's worker. `running` starts it; it makes frames of every board in the database."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
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
        self._payments = FramePayments(database)
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
        self._sent: set[str] = set()
        self._dropped: Counter[str] = Counter()
        self._left: dict[str, float] = {}
        self._opening = asyncio.Lock()
        self._tokens: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._kinds: dict[tuple[Any, ...], tuple[Size | None, Price]] = {}
        self._stopping = False
        self._engine: Engine
        self._calls: Payments

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls,
        settings: Settings,
        database: Database,
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
                settings, database, client, machine, worker_id, at_once=min(at_once, AT_ONCE), free=free, **given
            )
            await worker._payments.beat(worker.name, worker_id.machine, worker_id.slot)
            try:
                async with worker._at_work(settings, database):
                    yield worker
            finally:
                # Where it fails, the others find out that this one is gone.
                with contextlib.suppress(DatabaseFailed):
                    await asyncio.to_thread(worker._hand_back)
                    await worker._payments.forget(worker.name)

    @contextlib.asynccontextmanager
    async def _at_work(self, settings: Settings, database: Database) -> AsyncIterator[None]:
        async with (
            await Payments.open(settings.journal, secrets=settings.secrets) as self._calls,
            Engine.running(database.url, self.name, self._make, call_payments=settings.journal) as self._engine,
        ):
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
        token = await self._safely(self._reserve, run, arguments)
        if "end" in token:
            return token
        paid = await self._engine.step("pay", self._safely, self._pay, run, arguments, token["token"])
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
                # A defect of ours ends one frame, not the board; an open token stays as it is, and can be asked again.
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
        if not self._folders.is_remote(folder) and not await asyncio.to_thread(_is_here, begun.folder, run.board):
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

    async def _reserve(self, run: FrameRun, arguments: Outcome) -> Outcome:
        """The money is held back before anything is sent."""
        price = None if arguments["price"] is None else Decimal(arguments["price"])
        token = await self._payments.reserve(run, uuid.uuid4().hex, price, self._id.machine)
        if token is not None:
            return {"token": token.token}
        if await self._payments.begin(run) is None:
            return OVER
        cost = format_money(price, arguments["currency"])
        await self._break(run.board, Message("board_truth.over-budget", price=cost), finish=True)
        return _ended("cancelled", Message("board_run.over-budget", price=cost))

    async def _pay(self, run: FrameRun, arguments: Outcome, token: str) -> Outcome:
        """The picture of this token: made now, or found. At most one POST that is billed, however often it is asked."""
        # Two who make the same frame in one process would take each other's sending for their own.
        async with self._tokens.setdefault(token, asyncio.Lock()), self._at_once:
            try:
                return await self._paid(run, arguments, token)
            finally:
                self._sent.discard(token)

    async def _paid(self, run: FrameRun, arguments: Outcome, token: str) -> Outcome:
        for pause in (*PAUSES, None):
            known = await self._payments.token(token)
            if known.state == "sent":
                known = await self._after_sending(arguments, known)
            if known.state == "sent":
                continue  # somebody else sent it once more meanwhile
            if known.state != "reserved":
                return _spent(known)
            try:
                return await self._bought(arguments, token)
            except Fenced:
                continue  # somebody else has it, or the board was stopped: look again
            except (Stopped, DatabaseFailed):
                raise
            except SeedreamError as error:
                end = await self._refused(run, known, error, last=pause is None)
                if end is not None:
                    return end
                await self._sleep(pause or 0.0)
        return OVER

    async def _refused(self, run: FrameRun, token: Token, error: SeedreamError, *, last: bool) -> Outcome | None:
        """What a call that brought no picture came to; None when it was not billed and may be tried again."""
        entry = await self._entry(token.token)
        # Without an entry nothing was asked for, unless the call was let out: then nobody knows.
        unbilled = entry.state == "failed" if entry else token.token not in self._sent
        if _breaks(error):
            await self._break(run.board, Message("board_truth.broken", why=error.message))
        if unbilled:
            await self._give_back(token)
        if unbilled and not last and not _breaks(error) and _passing(error, entry):
            return None
        return await self._settled(token.token, entry, error, unbilled=unbilled)

    async def _give_back(self, token: Token) -> None:
        """Nothing was billed: the token may be spent once more."""
        if token.token in self._sent:
            await self._payments.give_back(token)
            self._sent.discard(token.token)

    async def _bought(self, arguments: Outcome, token: str) -> Outcome:
        studio = await self._studio(Path(arguments["folder"]), arguments["backend"])
        async with studio.make(arguments["tool"], arguments["arguments"], key=token) as result:
            kept = _kept(result)
            await self._payments.paid(token, kept, result.cost.amount)
            return kept

    async def _admit(self, key: str | None, _offer: Offer, _outputs: int) -> None:
        """Asked by the studio before each POST: the token of the frame may be spent, once."""
        assert key is not None
        if self._stopping:
            raise Stopped(Message("board_run.stopped"))
        if key in self._sent:
            return
        if not await self._payments.send(key, self._id.machine):
            raise Fenced(Message("board_run.fenced"))
        self._sent.add(key)

    async def _break(self, board: str, why: Message, *, finish: bool = False) -> None:
        """What stops one frame would stop them all: nothing more of this board is sent, what has left goes on.

        With `finish` what has its money reserved goes on as well.
        """
        reason = redact(described(why), self._settings.secrets, long_words=True)
        if await self._payments.stop(board, reason, finish=finish):
            await asyncio.to_thread(self._client.cancel, board)

    async def _after_sending(self, arguments: Outcome, token: Token) -> Token:
        """A token that was sent by somebody who may be dead: what this machine's payment record knows about it."""
        entry = await self._entry(token.token) if token.machine == self._id.machine else None
        if entry is not None and not entry.finished:
            entry = await self._calls.finished(entry.id)
        if entry is None:  # sent from another machine, whose record knows more
            await self._payments.settle(token.token, "unknown")
        elif entry.state == "failed":
            await self._payments.give_back(token)
        elif entry.state in {"saved", "undelivered"}:
            await self._brought(arguments, token.token)
        elif entry.result is not None:
            result = Result.from_dict(entry.result)
            await self._payments.paid(token.token, _kept(result), result.cost.amount)
        elif entry.state == "lost":
            await self._payments.settle(token.token, "lost", entry.booked)
        else:
            await self._payments.settle(token.token, "unknown")
        return await self._payments.token(token.token)

    async def _brought(self, arguments: Outcome, token: str) -> None:
        """Paid, and nobody took it, or its picture still lies at the service: to ask again brings it, unbilled."""
        try:
            await self._bought(arguments, token)
        except (Stopped, DatabaseFailed):
            raise
        except SeedreamError as error:
            await self._settled(token, await self._entry(token), error, unbilled=False)

    async def _settled(self, token: str, entry: Entry | None, error: SeedreamError, *, unbilled: bool) -> Outcome:
        """What became of the money is for the payment record to say."""
        if unbilled:
            await self._payments.settle(token, "released")
            return self._failed(error)
        if entry is not None and entry.state == "lost":
            await self._payments.settle(token, "lost", entry.booked)
            return {**self._failed(error), "end": "lost"}
        await self._payments.settle(token, "unknown")
        return {**self._failed(error), "end": "unknown"}

    async def _save(self, run: FrameRun, arguments: Outcome, paid: Outcome) -> Outcome:
        """The file under the name that tells its size; recorded, and the frames that waited for it are queued."""
        folder = Path(arguments["folder"])
        path = _in_folder(Path(paid["path"]), folder)
        wanted = path.with_name(file_name(arguments["project"], run.key, tuple(paid["size"]), path.suffix))
        if path != wanted:
            path = await asyncio.to_thread(_renamed, path, wanted)
        raw = paid["raw_path"] and str(_in_folder(Path(paid["raw_path"]), folder))
        await self._folders.stored(path, [Path(raw)] if raw else [], folder)
        picture = {"path": str(path), "raw_path": raw, **await asyncio.to_thread(_file_made, path, paid)}
        task: FrameTask = arguments["task"]
        await self._payments.made(run, task, picture)
        for key, queue in (await self._payments.ready_after(run)).items():
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

    async def _entry(self, token: str) -> Entry | None:
        """What this machine's payment record knows of a token: the call that may have been billed, if there is one."""
        return await entry_of(self._calls, token)

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
                )
                self._studios[key] = await self._open.enter_async_context(studio)
            return self._studios[key]

    def _settings_for(self, folder: Path, backend: str) -> Settings:
        return replace(self._settings, output_dir=folder, backend=backend)


async def entry_of(calls: Payments, token: str) -> Entry | None:
    """The call of a token in this machine's payment record."""
    entries = await calls.entries(fingerprint=fingerprint_of_key(token))
    return next((entry for entry in entries if entry.state != "failed"), entries[0] if entries else None)


def _passing(error: SeedreamError, entry: Entry | None) -> bool:
    """Whether the same call may well succeed a little later; also where another process died before it sent it."""
    died = entry is not None and entry.error is not None and entry.error.get("kind") == ConnectionFailed.__name__
    return died or isinstance(error, ConnectionFailed) or (isinstance(error, ApiError) and error.retry == "later")


def _breaks(error: SeedreamError) -> bool:
    """Whether the next frame would meet the same: a full disk, a refused key, a budget or a record that is closed."""
    if isinstance(error, ApiError):
        return error.error_class in BREAKING
    return isinstance(error, StoreError | BudgetExceeded | NotConfigured)


def _spent(token: Token) -> Outcome:
    """What a token that is no longer reserved came to."""
    if token.state == "paid":
        assert token.facts is not None
        return token.facts
    if token.state == "unknown":
        return _ended("unknown", Message("board_run.unknown"))
    return _ended("lost", Message("board_run.lost")) if token.state == "lost" else OVER


def _is_here(folder: Path, board: str) -> bool:
    """Whether the board's folder is what this machine sees at that place, and not an empty place of that name."""
    card = card_in(folder)
    return card is not None and card.id == board


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


def _in_folder(path: Path, folder: Path) -> Path:
    """The file of that name in the board's folder: records are shared, and may have come with the folder."""
    return path if path.parent == folder else folder / PureWindowsPath(path).name


def _file_made(path: Path, paid: Outcome) -> dict[str, Any]:
    try:
        return made_of(path, str(paid.get("sha256", "")))
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
