"""The durable engine (DBOS), behind the few things a run needs of it. Only this file and `engine_rows` import it.

In: a URL, a private folder for its own file, the name of this process, what makes a frame. Out: frames are made, each
as a workflow whose steps are not repeated once they are done, also after a crash, here or elsewhere.
Never in here: money, pictures, a word on stdout, a connection to anything but the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from seedframe.errors import SeedreamError
from seedframe.messages import Message
from seedframe.private_files import make_private_file
from seedframe.storyboard.run.database import is_postgres, no_engine, shown, sqlite_path, translate_errors
from seedframe.storyboard.run.engine_home import BoardHome
from seedframe.storyboard.run.engine_rows import check_rows, json_only
from seedframe.storyboard.run.frame_payments import Ready

T = TypeVar("T")
MakeFrame = Callable[[Ready], Awaitable[str]]

APPLICATION = "seedframe"
VERSION = "boards-1"
"""Pinned, or every changed line of code would strand the frames that are under way."""

QUEUE = "frames"
SCHEMA = "seedframe_engine"
POLL_SECONDS = 0.2
THREADS = 4
POOL = 12
OLDEST_SQLITE = (3, 42)


class Engine:
    """A launched engine. One per process: the library underneath keeps it in a global."""

    _in_use: ClassVar[bool] = False

    def __init__(self, dbos: Any, workflow: Any, enqueue_as: Any) -> None:
        self._dbos = dbos
        self._workflow = workflow
        self._enqueue_as = enqueue_as

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, url: str, executor: str, make_frame: MakeFrame, at_once: int, *, call_payments: Path
    ) -> AsyncIterator[Engine]:
        """Run frames, also those this executor left behind, until the block ends.

        Beside `journal` lies the engine's own file where the run's database is a file. NotConfigured without the
        extra, or when the engine's tables hold rows that are not JSON.
        """
        if cls._in_use:
            raise SeedreamError(Message("board_run.engine-in-use"))
        cls._in_use = True
        try:
            engine = await cls._launch(url, executor, make_frame, at_once, call_payments)
            try:
                yield engine
            finally:
                await engine.stop()
        finally:
            cls._in_use = False

    @classmethod
    async def _launch(cls, url: str, executor: str, make_frame: MakeFrame, at_once: int, call_payments: Path) -> Engine:
        try:
            from dbos import DBOS, SetWorkflowID
        except ImportError:
            raise no_engine() from None
        _keep_quiet()

        # A plain name inside a function: the engine finds the workflow of a stored frame by it.
        @DBOS.workflow(name="frame")
        async def frame(board: str, key: str, round: int) -> str:
            # Whoever can write the engine's tables may have written anything here.
            if not (isinstance(board, str) and isinstance(key, str) and type(round) is int):
                return "over"
            return await make_frame(Ready(board, key, round))

        with translate_errors(url):
            config = await asyncio.to_thread(_config, url, executor, call_payments)
            await asyncio.to_thread(_prepare, config, at_once, shown(url))
            # Within the loop, so that frames run on it.
            DBOS(config=config)
            DBOS.launch()
        return cls(DBOS, frame, SetWorkflowID)

    async def enqueue(self, frames: Sequence[Ready]) -> None:
        """Let these frames be made by whichever worker is free; one that is known already is left alone."""
        for ready in frames:
            with self._enqueue_as(_name(ready)):
                await self._dbos.enqueue_workflow_async(QUEUE, self._workflow, ready.board, ready.key, ready.round)

    async def step(self, name: str, work: Callable[..., Awaitable[T]], *values: Any) -> T:
        """One step of a frame: its result is kept, and not worked out again."""
        result: T = await self._dbos.run_step_async({"name": name}, work, *values)
        return result

    async def take_over(self, executor: str) -> int:
        """Queue again what a dead worker had begun; how many frames."""
        left = await self._dbos.list_workflows_async(
            status="PENDING", executor_id=executor, load_input=False, load_output=False
        )
        names = [workflow.workflow_id for workflow in left]
        if names:
            await self._dbos.resume_workflows_async(names, queue_name=QUEUE)
        return len(names)

    async def stop(self) -> None:
        """End its threads; frames under way must have been cancelled before."""
        # It has put its own pool into the loop and closes it now; its threads need the loop while they end.
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(thread_name_prefix="seedframe")
        await loop.run_in_executor(pool, functools.partial(self._dbos.destroy, destroy_registry=True))
        loop.set_default_executor(pool)


def _name(ready: Ready) -> str:
    return f"{ready.board}.{ready.key}.{ready.round}"


def _config(url: str, executor: str, call_payments: Path) -> Any:
    config: dict[str, Any] = {
        "serializer": json_only(),
        "name": APPLICATION,
        "system_database_url": url,
        "dbos_system_schema": SCHEMA,
        "executor_id": executor,
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


def _prepare(config: Any, at_once: int, database: str) -> None:
    """Tables and the queue, before the launch: a queue that is declared later is noticed a second later."""
    from dbos import DBOS, DBOSClient

    DBOS.migrate(config["system_database_url"], schema=SCHEMA)
    _check_tables(config, database)
    client = DBOSClient(
        system_database_url=config["system_database_url"],
        system_database_engine=config.get("system_database_engine"),
        dbos_system_schema=SCHEMA,
        application_name=APPLICATION,
        serializer=config["serializer"],
    )
    try:
        client.register_queue(
            QUEUE, worker_concurrency=at_once, polling_interval_sec=POLL_SECONDS, on_conflict="always_update"
        )
    finally:
        client.destroy()


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
        # What a power cut may take from it, a step's last result, is worked out again: what was paid is in the book.
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
