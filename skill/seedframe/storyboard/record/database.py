"""The database of boards: a SQLite file or a PostgreSQL server, see `payments.sql`.

In: a URL. Out: a connection with the tables of boards. All work of a process goes through one connection and its commit
queue, so that many frames share one disk flush.
Never in here: money, the engine (it keeps its own tables), an event loop that waits for a disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from seedframe.errors import NotConfigured
from seedframe.messages import Message
from seedframe.payments.commit_queue import CommitQueue
from seedframe.payments.migrations import BUSY_SECONDS, set_up_server
from seedframe.payments.record_store import store_of
from seedframe.payments.sql import (
    Connection,
    DatabaseFailed,
    PostgresConnection,
    Row,
    SqliteConnection,
    Tx,
    add_clock,
    is_database_error,
    is_postgres,
    no_database,
    one,
    shown_postgres,
    translate_errors,
)
from seedframe.storyboard.record.engine_home import BoardHome
from seedframe.storyboard.record.older_record import OLDER_EDITIONS, bring_up_to_date, edition_on_server
from seedframe.storyboard.record.record_file import open_record_file

__all__ = ["Database", "DatabaseFailed", "Row", "Tx", "database_url", "is_postgres", "one", "read_now", "shown"]

T = TypeVar("T")

STATE_FOLDER = ".storyboard"
DATABASE_FILE = "book.sqlite3"
TABLES = (
    """CREATE TABLE IF NOT EXISTS boards (
        id       TEXT PRIMARY KEY,
        project  TEXT NOT NULL,
        folder   TEXT NOT NULL,
        backend  TEXT NOT NULL
    )""",
    # What a board asks for, and the pictures that were made: `made` is the file as it was saved, `made_for` its task.
    # `asked`: a POST may have left for it; what was paid is in the payment record, which does not come with a folder.
    """CREATE TABLE IF NOT EXISTS frames (
        board     TEXT NOT NULL REFERENCES boards (id),
        key       TEXT NOT NULL,
        place     INTEGER NOT NULL,
        task      TEXT NOT NULL,
        queue     TEXT NOT NULL,
        followers TEXT NOT NULL DEFAULT '[]',
        path      TEXT,
        raw_path  TEXT,
        made      TEXT,
        made_for  TEXT,
        asked     INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (board, key)
    )""",
    """CREATE TABLE IF NOT EXISTS workers (
        executor TEXT PRIMARY KEY,
        machine  TEXT NOT NULL,
        slot     INTEGER NOT NULL,
        beat     DOUBLE PRECISION NOT NULL
    )""",
)


class Database:
    """One process's connection. `run` gives work its transaction; when it raises, nothing of it is kept."""

    def __init__(self, connection: Connection, url: str) -> None:
        self.url = url
        self._connection = connection
        self._commits: CommitQueue[Tx] = CommitQueue("seedframe-board", connection.deciding)

    @classmethod
    async def open(cls, url: str, journal: Path, *, clock: Callable[[], float] = time.time) -> Database:
        """Connect and bring the tables up to date. NotConfigured when it cannot be used.

        `journal` is this machine's payment record: it takes over the money that an older edition kept here.
        """
        return cls(await asyncio.to_thread(_set_up, url, journal, clock), url)

    async def run(self, work: Callable[[Tx], T]) -> T:
        """What `work` gives, once it is on the disk. Asked-for work is done also when the asker is cancelled."""
        with translate_errors(shown(self.url)):
            return await self._commits.ask(work)

    async def close(self) -> None:
        """Finish what was asked for and disconnect."""
        await self._commits.ask_alone(self._connection.close)
        self._commits.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def read_now(url: str, work: Callable[[Tx], T]) -> T:
    """Look into a database that exists, at once, in this thread. FileNotFoundError for a SQLite file that does not."""
    if not is_postgres(url) and not sqlite_path(url).exists():
        raise FileNotFoundError(sqlite_path(url))
    with translate_errors(shown(url)):
        connection, _ = _connected(url, time.time, readonly=True)
        try:
            with connection.deciding() as tx:
                return work(tx)
        finally:
            connection.close()


def database_url(out: Path, database: str | None) -> str:
    """Where the run of this folder is kept: a file inside it, or the PostgreSQL that is named."""
    return database or f"sqlite:///{out.absolute() / STATE_FOLDER / DATABASE_FILE}"


def sqlite_path(url: str) -> Path:
    """The file of a `sqlite:///` URL, or of a plain path; a folder means the record of the board in it."""
    path = Path(url.removeprefix("sqlite:///"))
    return path / STATE_FOLDER / DATABASE_FILE if path.is_dir() else path


def shown(url: str) -> str:
    """A URL fit to be shown: no user, no password, no options."""
    if not is_postgres(url):
        return str(sqlite_path(url))
    return shown_postgres(url)


def _set_up(url: str, journal: Path, clock: Callable[[], float]) -> Connection:
    connection, edition = _connected(url, clock)
    with translate_errors(shown(url)), connection.deciding() as tx:
        if isinstance(connection, PostgresConnection):
            set_up_server(connection)
            if edition := edition_on_server(tx):
                bring_up_to_date(tx, TABLES, edition, connection, lambda _board: True)
        elif edition:
            home = BoardHome.of(journal, sqlite_path(url))
            with closing(store_of(journal, None, BUSY_SECONDS).open()) as record:
                bring_up_to_date(tx, TABLES, edition, record, home.knows)
        for statement in TABLES:
            tx.all(statement)
    return connection


def _connected(url: str, clock: Callable[[], float], *, readonly: bool = False) -> tuple[Connection, int]:
    """A connection, and which edition's tables its file has: 0 today's, else how many ago."""
    try:
        if is_postgres(url):
            return PostgresConnection(url), 0
        return _opened(sqlite_path(url), clock, readonly=readonly)
    except ImportError:
        raise no_engine() from None
    except Exception as error:
        if not is_database_error(error):
            raise
        raise no_database(shown(url), error) from error


def _opened(path: Path, clock: Callable[[], float], *, readonly: bool) -> tuple[Connection, int]:
    db, edition = open_record_file(path, (TABLES, *OLDER_EDITIONS), readonly=readonly)
    if readonly and edition:
        db.close()
        raise FileNotFoundError(path)
    db.row_factory = _as_dict
    add_clock(db, clock)
    db.execute("PRAGMA journal_mode = WAL")
    # Without it a power cut could forget which payment a frame has.
    db.execute("PRAGMA synchronous = FULL")
    return SqliteConnection(db), edition


def no_engine() -> NotConfigured:
    """The error where the extra is not installed."""
    return NotConfigured(Message("board_run.no-engine"), advice=Message("board_run.no-engine-advice"))


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
