"""A worker: makes frames for as long as it lives, each a durable workflow of five steps.

    style    task → tool, arguments, price; nothing is sent          kept nowhere: the same task gives the same words
    intent   the price is held back, a token is given                kept in the book: a frame has one token
    pay      the token's one POST, through the corridor              kept by the engine, the book and the journal
    save     the file has the name of its frame                      kept by the disk
    report   what became of the frame, and who may go on             kept in the book

In: frames from the engine's queue. Out: pictures, and the book kept. After a crash a frame begins again at `style`;
what a step left behind is found, not done twice. `pay` never posts again what may have been sent: it finds the answer
(engine, book, then this machine's journal) or says that it is unknown. Only `pay` is a step of the engine: what the
others leave is kept elsewhere already, and to keep it twice would double what a frame costs the machine.
Never in here: SQL, the engine's own words, a second payment that nobody asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path, PureWindowsPath
from typing import Any
from weakref import WeakValueDictionary

import httpx

from seedframe.catalog import Price, catalog
from seedframe.errors import ApiError, ConnectionFailed, SeedreamError, StoreError
from seedframe.geometry import Size
from seedframe.messages import LANGUAGES, Message
from seedframe.payments import Entry, Payments
from seedframe.payments.money import format_money
from seedframe.redaction import redact
from seedframe.service.request import check
from seedframe.settings import Settings
from seedframe.storyboard.board_plan import arguments_of
from seedframe.storyboard.names import file_name
from seedframe.storyboard.remote_folder import SharedFolders
from seedframe.storyboard.run.database import Database, DatabaseFailed
from seedframe.storyboard.run.engine import Engine
from seedframe.storyboard.run.frame_payments import Begun, Ending, FramePayments, Ready, Token
from seedframe.storyboard.run.rate_limit import Fenced, RateLimit, Stopped
from seedframe.storyboard.run.state import State
from seedframe.storyboard.run.worker_id import Machine, WorkerId
from seedframe.studio.pipeline import Studio
from seedframe.studio.plan import fingerprint_of_key
from seedframe.studio.store import Store
from seedframe.studio.types import Result

AT_ONCE = 256
"""Frames one worker makes at once: what 500 images a minute need while each takes half a minute."""

FEED_SECONDS = 0.5
FEED = 100
BEATS = 6
"""In one lease a living worker is heard so often."""

PAUSES = (5.0, 15.0, 45.0)
"""Before another try of what certainly was not billed and may pass by itself: no connection, no capacity."""

DATABASE_PAUSE = 2.0

Told = Mapping[str, Any]
"""What a step came to, JSON-ready; with `end` when the frame ends there."""

OVER: Told = {"end": "over"}
"""This round of the frame is nobody's business any more: it was cancelled, or begun anew."""

log = logging.getLogger(__name__)


class Worker:
    """One process's worker. `running` starts it; it makes frames of every board in the database."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        machine: Machine,
        worker_id: WorkerId,
        *,
        transport: httpx.AsyncBaseTransport | None,
        sleep: Callable[[float], Awaitable[Any]],
        taken_over: Callable[[str, int], None],
        takeover: bool,
        lease: float,
        at_once: int,
    ) -> None:
        self._settings = settings
        self._database = database
        self._payments = FramePayments(database)
        self._machine = machine
        self._seat = worker_id
        self._transport = transport
        self._sleep = sleep
        self._folders = SharedFolders(settings, sleep)
        self._taken_over = taken_over
        self._takeover = takeover
        self._lease = lease
        self._at_once = at_once
        self._rate_limit = RateLimit(self._payments, worker_id.machine, limit=settings.images_per_minute)
        self._studios: dict[tuple[Path, str], Studio] = {}
        self._open = AsyncExitStack()
        self._making: set[asyncio.Task[Any]] = set()
        self._frames: Counter[Ready] = Counter()
        self._free = asyncio.Event()
        self._opening = asyncio.Lock()
        self._tokens: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._kinds: dict[tuple[Any, ...], tuple[Size | None, Price]] = {}
        self._engine: Engine
        self._call_payments: Payments

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls,
        settings: Settings,
        database: Database,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        taken_over: Callable[[str, int], None] = lambda _executor, _frames: None,
        takeover: bool = False,
        lease: float,
        at_once: int = AT_ONCE,
    ) -> AsyncIterator[Worker]:
        """A worker at work until the block ends. What has been sent by then is waited for, what has not is left."""
        machine = await asyncio.to_thread(Machine, settings.journal)
        with machine.worker_id() as worker_id:
            worker = cls(
                settings,
                database,
                machine,
                worker_id,
                transport=transport,
                sleep=sleep,
                taken_over=taken_over,
                takeover=takeover,
                lease=lease,
                at_once=at_once,
            )
            await worker._payments.forget(worker_id.executor)
            await worker._payments.beat(worker_id.executor, worker_id.machine, worker_id.slot)
            async with (
                await Payments.open(settings.journal, secrets=settings.secrets) as worker._call_payments,
                Engine.open(
                    database.url, worker_id.executor, worker._make, at_once, call_payments=settings.journal
                ) as worker._engine,
            ):
                await worker._answer_open_questions()
                chores = [asyncio.create_task(worker._feed()), asyncio.create_task(worker._watch_over())]
                try:
                    yield worker
                finally:
                    for chore in chores:
                        chore.cancel()
                    await asyncio.gather(*chores, return_exceptions=True)
                    await worker._caller_left()

    @property
    def name(self) -> str:
        """What it is called in the book."""
        return self._seat.executor

    async def _caller_left(self) -> None:
        """Frames that were not sent stay begun and are gone on with later; paid calls are awaited by their studio."""
        await self._rate_limit.close()
        for task in self._making:
            task.cancel()
        await asyncio.gather(*self._making, return_exceptions=True)
        await self._open.aclose()

    # Chores

    async def _feed(self) -> None:
        """Hand frames that wait for nothing to the engine, soon after the frame they waited for."""
        while True:
            try:
                ready: Sequence[Ready] = await self._payments.ready(FEED)
                await self._engine.enqueue(ready)
            except SeedreamError as error:
                log.warning("no frames could be queued: %s", error)
                ready = []
            if len(ready) < FEED:
                self._free.clear()
                # Not `wait_for`: Python 3.11's loses a cancellation that comes together with the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FEED_SECONDS):
                        await self._free.wait()

    async def _watch_over(self) -> None:
        """Tell the others that this one lives, take over from those that do not, and see that nothing got stuck."""
        stranded: frozenset[Ready] = frozenset()
        while True:
            try:
                await self._payments.beat(self._seat.executor, self._seat.machine, self._seat.slot)
                await self._take_over()
                stranded = await self._begin_stranded_anew(stranded)
            except SeedreamError as error:
                log.warning("the other workers could not be seen: %s", error)
            await asyncio.sleep(self._lease / BEATS)

    async def _take_over(self) -> None:
        """On this machine a free seat proves a death; elsewhere a long silence does, where somebody allowed that."""
        for other in await self._payments.workers():
            if other["executor"] == self._seat.executor:
                continue
            with contextlib.ExitStack() as held:
                here = other["machine"] == self._seat.machine
                if here:
                    dead = held.enter_context(self._machine.empty(other["slot"]))
                else:
                    dead = self._takeover and other["silent"] > self._lease
                if dead:
                    frames = await self._engine.take_over(other["executor"])
                    await self._payments.forget(other["executor"])
                    if frames:
                        self._taken_over(other["executor"], frames)

    async def _begin_stranded_anew(self, before: frozenset[Ready]) -> frozenset[Ready]:
        """Frames the engine dropped with an error of its own would stay under way for ever; gives those seen now.

        Twice seen is stuck: after a start the engine needs a moment to come back to what it had begun.
        """
        known = await self._payments.made_by(self._seat.executor)
        now = frozenset(frame for frame in known if frame not in self._frames)
        await self._payments.begin_anew([*(now & before)])
        return now - before

    async def _answer_open_questions(self) -> None:
        """Calls whose end nobody knew, because another machine took over: this one's journal may know it."""
        for token in await self._payments.open_questions(self._seat.machine):
            entry = await self._entry(token)
            if entry is not None and entry.result is not None:
                result = Result.from_dict(entry.result)
                await self._payments.paid(token, _kept(result), result.cost.amount)

    # A frame

    async def _make(self, frame: Ready) -> str:
        """One frame, from its task to its end; gives the state it came to."""
        task = asyncio.current_task()
        assert task is not None
        self._making.add(task)
        self._frames[frame] += 1
        try:
            return await self._steps(frame)
        finally:
            self._making.discard(task)
            self._frames -= Counter([frame])
            self._free.set()

    async def _steps(self, frame: Ready) -> str:
        format_money = await self._made(frame)
        await self._safely(self._report, frame, format_money)
        return str(format_money["end"])

    async def _made(self, frame: Ready) -> Told:
        arguments = await self._safely(self._style, frame)
        if "end" in arguments:
            return arguments
        token = await self._safely(self._intent, frame, arguments)
        if "end" in token:
            return token
        paid = await self._engine.step("pay", self._safely, self._pay, arguments, token["token"])
        if "end" in paid:
            return paid
        return await self._safely(self._save, frame, arguments, paid)

    async def _safely(self, work: Callable[..., Awaitable[Told]], *values: Any) -> Told:
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
                # A defect of ours ends one frame, not the board; an open token stays as it is, and can be asked again.
                log.exception("a frame failed")
                why = f"{type(error).__name__}: {error}"[:200]
                return _ended("failed", Message("board_run.defect", why=why))

    async def _style(self, frame: Ready) -> Told:
        """What will be asked, with its price; the frames it needs are there by now."""
        begun = await self._payments.begin(frame, self._seat.executor)
        if begun is None:
            return OVER
        folder = self._folders.local(begun.folder)
        task, made = await self._folders.inputs(begun.task, begun.made, folder)
        begun = replace(begun, task=task, made=made, folder=folder)
        tool, arguments = arguments_of(begun.task, made=begun.made)
        size, price = self._measured(begun, tool, arguments)
        name = file_name(begun.project, frame.key, (size.width, size.height), "jpg") if size else frame.key
        return {
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

    async def _intent(self, frame: Ready, arguments: Told) -> Told:
        """The money is held back before anything is sent."""
        price = None if arguments["price"] is None else Decimal(arguments["price"])
        token = await self._payments.reserve(frame, uuid.uuid4().hex, price, self._seat.machine)
        if token is not None:
            return {"token": token.token}
        return _ended("cancelled", Message("board_run.over-budget", price=format_money(price, arguments["currency"])))

    async def _pay(self, arguments: Told, token: str) -> Told:
        """The picture of this token: made now, or found. At most one POST that is billed, however often it is asked."""
        # Two who make the same frame in one process would take each other's sending for their own.
        async with self._tokens.setdefault(token, asyncio.Lock()):
            try:
                return await self._paid(arguments, token)
            finally:
                self._rate_limit.done(token)

    async def _paid(self, arguments: Told, token: str) -> Told:
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
                continue  # somebody else has it: look again
            except (Stopped, DatabaseFailed):
                raise
            except SeedreamError as error:
                entry = await self._entry(token)
                unbilled = entry is None or entry.state == "failed"
                if unbilled and self._rate_limit.sent_here(token):
                    await self._payments.give_back(known)
                    self._rate_limit.done(token)
                if not (unbilled and pause is not None and _passing(error, entry)):
                    return await self._settled(token, entry, error)
                await self._sleep(pause)
        return OVER

    async def _bought(self, arguments: Told, token: str) -> Told:
        studio = await self._studio(Path(arguments["folder"]), arguments["backend"])
        async with studio.make(arguments["tool"], arguments["arguments"], key=token) as result:
            kept = _kept(result)
            await self._payments.paid(token, kept, result.cost.amount)
            return kept

    async def _after_sending(self, arguments: Told, token: Token) -> Token:
        """A token that was sent by somebody who may be dead: what the journal of this machine knows about it."""
        entry = await self._entry(token.token) if token.machine == self._seat.machine else None
        if entry is not None and not entry.finished:
            entry = await self._call_payments.finished(entry.id)
        if entry is None:  # sent from another machine, whose journal knows more
            await self._payments.settle(token.token, "unknown")
        elif entry.state == "failed":
            await self._payments.give_back(token)
        elif entry.state == "saved":
            # Paid, and nobody took it: to ask again hands it over, without a POST.
            await self._bought(arguments, token.token)
        elif entry.result is not None:
            result = Result.from_dict(entry.result)
            await self._payments.paid(token.token, _kept(result), result.cost.amount)
        elif entry.state == "lost":
            await self._payments.settle(token.token, "lost", entry.booked)
        else:
            await self._payments.settle(token.token, "unknown")
        return await self._payments.token(token.token)

    async def _settled(self, token: str, entry: Entry | None, error: SeedreamError) -> Told:
        """What became of the money is for the journal to say."""
        if entry is None or entry.state == "failed":
            await self._payments.settle(token, "released")
        elif entry.state == "lost":
            await self._payments.settle(token, "lost", entry.booked)
        else:
            await self._payments.settle(token, "unknown")
            return {**self._failed(error), "end": "unknown"}
        return self._failed(error)

    async def _save(self, frame: Ready, arguments: Told, paid: Told) -> Told:
        """The file under the name that tells its size, also where another size came than was asked for."""
        path = _in_folder(Path(paid["path"]), Path(arguments["folder"]))
        wanted = path.with_name(file_name(arguments["project"], frame.key, tuple(paid["size"]), path.suffix))
        if path != wanted:
            path = await asyncio.to_thread(_renamed, path, wanted)
        raw = paid["raw_path"] and _in_folder(Path(paid["raw_path"]), Path(arguments["folder"]))
        await self._folders.stored(path, [raw] if raw else [], Path(arguments["folder"]))
        return {"end": "done", "path": str(path), "raw_path": raw and str(raw)}

    async def _report(self, frame: Ready, format_money: Told) -> Told:
        if format_money["end"] != "over":
            await self._payments.end(
                frame,
                Ending(
                    format_money["end"],
                    format_money.get("path"),
                    format_money.get("raw_path"),
                    format_money.get("error"),
                ),
            )
        return {}

    def _failed(self, error: SeedreamError) -> Told:
        """The end of a frame as it is kept in the board's database: without keys."""
        words = {language: error.text(language) for language in LANGUAGES}
        return {"end": "failed", "error": redact(words, self._settings.secrets, long_words=True)}

    # What frames share

    async def _entry(self, token: str) -> Entry | None:
        """What this machine's journal knows of a token: the call that may have been billed, if there is one."""
        entries = await self._call_payments.entries(fingerprint=fingerprint_of_key(token))
        return next((entry for entry in entries if entry.state != "failed"), entries[0] if entries else None)

    async def _studio(self, folder: Path, backend: str) -> Studio:
        """The corridor that saves into this folder, opened once."""
        async with self._opening:
            key = (folder, backend)
            if key not in self._studios:
                settings = self._settings_for(folder, backend)
                studio = Studio.open(
                    settings,
                    transport=self._transport,
                    sleep=self._sleep,
                    admit=self._rate_limit.admit,
                    connections=self._at_once,
                    uploads=False,
                )
                self._studios[key] = await self._open.enter_async_context(studio)
            return self._studios[key]

    def _settings_for(self, folder: Path, backend: str) -> Settings:
        return replace(self._settings, output_dir=folder, backend=backend)


def _passing(error: SeedreamError, entry: Entry | None) -> bool:
    """Whether the same call may well succeed a little later; also where another process died before it sent it."""
    died = entry is not None and entry.error is not None and entry.error.get("kind") == ConnectionFailed.__name__
    return died or isinstance(error, ConnectionFailed) or (isinstance(error, ApiError) and error.retry == "later")


def _spent(token: Token) -> Told:
    """What a token that is no longer reserved came to."""
    if token.state == "paid":
        assert token.facts is not None
        return token.facts
    if token.state == "unknown":
        return _ended("unknown", Message("board_run.unknown"))
    return _ended("failed", Message("board_run.lost")) if token.state == "lost" else OVER


def _ended(state: State, why: Message) -> Told:
    return {"end": state, "error": {language: why.text(language) for language in LANGUAGES}}


def _kept(result: Result) -> Told:
    """What later steps need of a result; the rest is in the sidecar."""
    picture = result.pictures[0]
    raw = picture.original and str(picture.original)
    return {"path": str(picture.path), "raw_path": raw, "size": [picture.width, picture.height]}


def _in_folder(path: Path, folder: Path) -> Path:
    """The file of that name in the board's folder: records are shared, and may have come with the folder."""
    return path if path.parent == folder else folder / PureWindowsPath(path).name


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
        format_money = json.loads(sidecar.read_text(encoding="utf-8"))
        format_money["picture"]["path"] = str(wanted)
        Store(path.parent).write_sidecar(wanted, format_money)
        sidecar.unlink()
    path.replace(wanted)
    return wanted
