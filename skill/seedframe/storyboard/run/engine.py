"""The durable engine (DBOS): queues, image limits, order, states, cancel, resume, history and recovery of frames.

In: a URL, a private folder for its own file, the name of this process, what makes a frame. Out: every frame is a
workflow with an id of its own (`FrameRun`) on the queue of its backend and model; what became of it is read back as
`RunStatus`. Only this module and `engine_rows` import the library.
Never in here: money, pictures, a word on stdout, a connection to anything but the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from seedframe.errors import SeedreamError
from seedframe.messages import Message
from seedframe.payments.sql import is_postgres, translate_errors
from seedframe.private_files import make_private_file
from seedframe.storyboard.record.database import no_engine, shown, sqlite_path
from seedframe.storyboard.record.engine_home import BoardHome
from seedframe.storyboard.record.frame_run import ACTIVE, WAITING, FrameRun, RunStatus
from seedframe.storyboard.run.engine_rows import check_rows, json_only

T = TypeVar("T")

APPLICATION = "seedframe"
VERSION = "boards-2"
"""Pinned, or every changed line of code would strand the frames that are under way."""

WORKFLOW = "frame"
SCHEMA = "seedframe_engine"
POLL_SECONDS = 0.2
QUEUE_THREAD = "queue-worker-"
QUEUE_THREAD_SECONDS = 10.0
"""So long at most it is waited for a queue that is just asking its database."""

THREADS = 4
POOL = 12
OLDEST_SQLITE = (3, 42)
WINDOW = 61.0
"""Seconds in which no more than the limit may start; the service counts 60, a POST leaves within one of its start."""

WINDOWS = 2
"""Into so many equal parts the minute is divided, so that the limit is not spent in one burst; each loses a moment."""

OVERLAP_MS = 5_000
"""Transactions end in another order than their times say: what ended so shortly before is read again."""


MakeFrame = Callable[[FrameRun], Awaitable[Mapping[str, Any]]]


class EngineClient:
    """What any process may ask of the engine, whether or not it makes frames itself. Every method waits for the disk.

    StoreError when the database does not answer.
    """

    def __init__(self, client: Any, url: str, file: Any) -> None:
        self._client = client
        self._shown = shown(url)
        self._file = file

    @classmethod
    def open(cls, url: str, call_payments: Path) -> EngineClient:
        """Connect, bring the engine's tables up to date and see that all of its rows are JSON.

        NotConfigured without the extra, or when the tables hold anything else.
        """
        try:
            from dbos import DBOSClient
        except ImportError:
            raise no_engine() from None
        _keep_quiet()
        with translate_errors(shown(url)):
            config = engine_config(url, call_payments)
            client = DBOSClient(
                system_database_url=config["system_database_url"],
                system_database_engine=config.get("system_database_engine"),
                dbos_system_schema=SCHEMA,
                application_name=APPLICATION,
                serializer=config["serializer"],
                retry_connection_errors=False,
                lazy=True,
            )
            opened = cls(client, url, config.get("system_database_engine"))
            try:
                # Not `DBOS.migrate`, which would open the file with another SQLite library than ours.
                client._sys_db.run_migrations()  # noqa: SLF001
                _check_tables(config, shown(url))
            except BaseException:
                opened.close()
                raise
        return opened

    @classmethod
    def existing(cls, url: str, call_payments: Path) -> EngineClient | None:
        """As `open`; None where this machine has never run a board of that database."""
        if not is_postgres(url) and not BoardHome.of(call_payments, sqlite_path(url)).has_engine():
            return None
        return cls.open(url, call_payments)

    def close(self) -> None:
        """Disconnect."""
        self._client.destroy()
        if self._file is not None:
            self._file.dispose()

    def register(self, queue: str, images_per_minute: int, at_once: int) -> None:
        """Set up the queue of a backend's model: its limit holds for all workers together, `at_once` for each."""
        whole = images_per_minute
        parts = max(n for n in range(1, WINDOWS + 1) if n == 1 or whole // n * n >= 0.98 * whole)
        with translate_errors(self._shown):
            self._client.register_queue(
                queue,
                limiter={"limit": max(1, whole // parts), "period": WINDOW / parts},
                worker_concurrency=at_once,
                polling_interval_sec=POLL_SECONDS,
                on_conflict="always_update",
            )

    def enqueue(self, queue: str, runs: Iterable[FrameRun]) -> None:
        """Let these frames be made by whichever worker is free; one that is known already is left alone."""
        with translate_errors(self._shown):
            for run in runs:
                options = {"workflow_name": WORKFLOW, "queue_name": queue, "app_version": VERSION}
                self._client.enqueue({**options, "workflow_id": run.id}, run.board, run.key, run.round)

    def newest(self, board: str) -> dict[str, RunStatus]:
        """How the newest making of every frame stands, by frame key."""
        newest: dict[str, RunStatus] = {}
        for status in self._list(board):
            known = newest.get(status.run.key)
            if known is None or known.run.round < status.run.round:
                newest[status.run.key] = status
        return newest

    def newest_of(self, board: str, key: str) -> RunStatus | None:
        """How the newest making of one frame stands."""
        return max(self._list(board, prefix=f"{board}.{key}."), key=lambda status: status.run.round, default=None)

    def ended_since(self, board: str, completed: int) -> Sequence[RunStatus]:
        """What ended at that time (ms since the epoch) or later, and a little before, in order."""
        moment = datetime.fromtimestamp(max(0, completed - OVERLAP_MS) / 1000, UTC)
        found = self._list(board, completed_after=moment.isoformat())
        return sorted(found, key=lambda status: status.completed)

    def under_way(self, board: str) -> Sequence[RunStatus]:
        """What is being made now."""
        return self._list(board, status="PENDING", load_output=False)

    def is_active(self, board: str) -> bool:
        """Whether anything is queued or under way."""
        return bool(self._list(board, status=list(ACTIVE), limit=1, load_output=False))

    def count_active(self, queue: str, most: int) -> int:
        """How many frames of that queue, of any board, are queued or under way; `most` where there are more."""
        return len(self._list("", queue_name=queue, status=list(ACTIVE), limit=most, load_output=False))

    def of_worker(self, executor: str) -> Sequence[RunStatus]:
        """What that worker has begun and not ended, of any board."""
        return self._list("", executor_id=executor, status="PENDING", load_output=False)

    def cancel(self, board: str, *, but: Iterable[str] = (), begun: bool = False) -> None:
        """Cancel what is queued, and with `begun` what is under way too; frames in `but` come to their end."""
        kept = frozenset(but)
        statuses = list(ACTIVE if begun else WAITING)
        found = self._list(board, status=statuses, load_output=False)
        ids = [status.run.id for status in found if status.run.key not in kept]
        with translate_errors(self._shown):
            if ids:
                self._client.cancel_workflows(ids)

    def give_up(self, runs: Iterable[RunStatus]) -> None:
        """Cancel what cannot be begun."""
        ids = [status.run.id for status in runs]
        with translate_errors(self._shown):
            if ids:
                self._client.cancel_workflows(ids)

    def queue_again(self, id: str, executor: str) -> None:
        """What this worker had begun and does not make any more; no change where another one has it by now."""
        from dbos._utils import INTERNAL_QUEUE_NAME

        with translate_errors(self._shown):
            # As the engine recovers the frames of a worker, but one by one: the others are being made.
            self._client._sys_db.reenqueue_for_recovery(id, [executor], INTERNAL_QUEUE_NAME)  # noqa: SLF001

    def _list(self, board: str, *, prefix: str | None = None, **wanted: Any) -> list[RunStatus]:
        meant = {"workflow_id_prefix": prefix or f"{board}."} if board else {}
        with translate_errors(self._shown):
            found = self._client.list_workflows(load_input=False, **meant, **wanted)
        statuses = (_status(workflow) for workflow in found)
        return [status for status in statuses if status and board in {"", status.run.board}]


def _status(workflow: Any) -> RunStatus | None:
    run = FrameRun.of(workflow.workflow_id)
    if run is None or workflow.name != WORKFLOW:
        return None
    # Whoever can write the engine's tables may have written anything here.
    outcome = workflow.output if isinstance(workflow.output, dict) else {}
    completed = workflow.completed_at or 0
    return RunStatus(run, workflow.status, workflow.queue_name, workflow.executor_id, completed, outcome)


class Engine:
    """A launched engine: this process makes frames. One per process, since the library keeps it in a global."""

    _in_use: ClassVar[bool] = False

    def __init__(self, dbos: Any, file: Any) -> None:
        self._dbos = dbos
        self._file = file

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, url: str, executor: str, make_frame: MakeFrame, *, call_payments: Path
    ) -> AsyncIterator[Engine]:
        """Make frames, also those this executor left behind, until the block ends. The tables must be there."""
        if cls._in_use:
            raise SeedreamError(Message("board_run.engine-in-use"))
        cls._in_use = True
        try:
            engine = await cls._launch(url, executor, make_frame, call_payments)
            try:
                yield engine
            finally:
                await engine.stop()
        finally:
            cls._in_use = False

    @classmethod
    async def _launch(cls, url: str, executor: str, make_frame: MakeFrame, call_payments: Path) -> Engine:
        from dbos import DBOS

        # A plain name inside a function: the engine finds the workflow of a stored frame by it.
        @DBOS.workflow(name=WORKFLOW)
        async def frame(board: str, key: str, round: int) -> Mapping[str, Any]:
            # Whoever can write the engine's tables may have written anything here.
            if not (isinstance(board, str) and isinstance(key, str) and type(round) is int):
                return {"end": "cancelled"}
            return dict(await make_frame(FrameRun(board, key, round)))

        with translate_errors(shown(url)):
            config = await asyncio.to_thread(engine_config, url, call_payments)
            config["executor_id"] = executor
            # Within the loop, so that frames run on it.
            dbos = DBOS(config=config)
            DBOS.launch()
        return cls(dbos, config.get("system_database_engine"))

    async def step(self, name: str, work: Callable[..., Awaitable[T]], *values: Any) -> T:
        """One step of a frame: its result is kept, and not worked out again."""
        result: T = await self._dbos.run_step_async({"name": name}, work, *values)
        return result

    async def recover(self, executor: str) -> int:
        """Queue again what a dead worker had begun; how many frames. Several may ask: each frame goes on once."""
        # The one call that checks, in the statement itself, that the frame is still the dead worker's.
        return len(await asyncio.to_thread(self._dbos._recover_pending_workflows, [executor]))  # noqa: SLF001

    async def take_no_more(self) -> None:
        """Begin no further frame; those that were taken by then have begun when this returns."""
        for event in self._dbos.background_thread_stop_events:
            event.set()
        await asyncio.to_thread(_join_queues)

    async def stop(self) -> None:
        """End its threads; frames under way must have been cancelled before."""
        # A frame that was taken at the last moment: it has begun nothing.
        await _cancelled(self._dbos._workflow_tasks)  # noqa: SLF001
        # It has put its own pool into the loop and closes it now; its threads need the loop while they end.
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(thread_name_prefix="seedframe")
        try:
            await loop.run_in_executor(pool, functools.partial(self._dbos.destroy, destroy_registry=True))
        finally:
            loop.set_default_executor(pool)
            if self._file is not None:
                self._file.dispose()


def _join_queues() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith(QUEUE_THREAD):
            thread.join(QUEUE_THREAD_SECONDS)


async def _cancelled(tasks: set[asyncio.Task[Any]]) -> None:
    while left := tuple(tasks):
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def engine_config(url: str, call_payments: Path) -> Any:
    """The library's settings. Where the run's database is a file, the engine's own lies beside the payment record."""
    config: dict[str, Any] = {
        "serializer": json_only(),
        "name": APPLICATION,
        "system_database_url": url,
        "dbos_system_schema": SCHEMA,
        "application_version": VERSION,
        "log_level": "ERROR",
        "max_executor_threads": THREADS,
        "sys_db_pool_size": POOL,
        "enable_otlp": False,
        # Nothing here listens; it is how long its listener sleeps, also when it should end.
        "notification_listener_polling_interval_sec": 0.25,
    }
    if not is_postgres(url):
        path = make_private_file(BoardHome.of(call_payments, sqlite_path(url)).engine())
        config["system_database_url"] = f"sqlite:///{path}"
        config["system_database_engine"] = _sqlite_engine(path)
    return config


def _check_tables(config: Any, database: str) -> None:
    import sqlalchemy as sa

    engine = config.get("system_database_engine")
    if engine is not None:
        check_rows(engine, None, database)
        return
    address = sa.make_url(config["system_database_url"]).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    try:
        check_rows(engine, SCHEMA, database)
    finally:
        engine.dispose()


def _sqlite_engine(path: Path) -> Any:
    """An SQLAlchemy engine on the file, with a SQLite library that is new enough for the engine's statements."""
    import sqlalchemy as sa

    library = _sqlite_library()
    engine = sa.create_engine(f"sqlite:///{path}", module=library, pool_size=POOL, max_overflow=0, pool_timeout=60)

    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        # What a power cut may take from it, a step's last result, is worked out again: payments are kept elsewhere.
        connection.execute("PRAGMA synchronous = NORMAL")
        if library.sqlite_version_info < OLDEST_SQLITE:
            # Older ones know no unixepoch('subsec'), which is the only form that is used.
            connection.create_function("unixepoch", -1, lambda *_: time.time())

    sa.event.listen(engine, "connect", prepare)
    return engine


def _sqlite_library() -> ModuleType:
    """Python's own, or the one that comes along for older systems. Never both on one file in one process."""
    if sqlite3.sqlite_version_info >= OLDEST_SQLITE:
        return sqlite3
    try:
        import pysqlite3.dbapi2 as newer
    except ImportError:
        return sqlite3
    library: ModuleType = newer
    return library


def _keep_quiet() -> None:
    """Its own console handler and its advertisement stay away; what goes wrong reaches stderr."""
    log = logging.getLogger("dbos")
    if not log.handlers:
        log.addHandler(logging.StreamHandler(sys.stderr))
        log.propagate = False
