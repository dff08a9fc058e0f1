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
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from seedframe.errors import NotConfigured
from seedframe.messages import Message
from seedframe.payments.commit_queue import CommitQueue
from seedframe.payments.sql import (
    SCHEMA,
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
    set_up_postgres,
    shown_postgres,
    translate_errors,
)
from seedframe.storyboard.run.older_record import OLDER_TABLES, bring_up_to_date
from seedframe.storyboard.run.record_file import open_book

__all__ = ["Database", "DatabaseFailed", "Row", "Tx", "database_url", "is_postgres", "one", "read_now", "shown"]

T = TypeVar("T")

STATE_FOLDER = ".storyboard"
BOOK = "book.sqlite3"
_OLDER_ON_POSTGRES = f"""SELECT 1 FROM information_schema.columns
    WHERE table_schema = '{SCHEMA}' AND table_name = 'frames' AND column_name = 'waits'"""  # noqa: S608

TABLES = (
    # `stopped` says why nothing more of the board is begun: a person's cancel, or what broke. JSON, text by language.
    # `finish`: what has its money reserved may still be sent.
    """CREATE TABLE IF NOT EXISTS boards (
        id       TEXT PRIMARY KEY,
        project  TEXT NOT NULL,
        folder   TEXT NOT NULL,
        backend  TEXT NOT NULL,
        stopped  TEXT,
        finish   INTEGER NOT NULL DEFAULT 0
    )""",
    # Apart from `boards`, because it is written all the time.
    """CREATE TABLE IF NOT EXISTS purses (
        board    TEXT PRIMARY KEY REFERENCES boards (id),
        currency TEXT,
        budget   BIGINT,
        spent    BIGINT NOT NULL DEFAULT 0
    )""",
    # What a board asks for, and the pictures that were made: `made` is the file as it was saved, `made_for` its task.
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
        PRIMARY KEY (board, key)
    )""",
    """CREATE TABLE IF NOT EXISTS tokens (
        token    TEXT PRIMARY KEY,
        board    TEXT NOT NULL,
        key      TEXT NOT NULL,
        state    TEXT NOT NULL,
        amount   BIGINT NOT NULL,
        tries    INTEGER NOT NULL DEFAULT 0,
        machine  TEXT NOT NULL,
        made     DOUBLE PRECISION NOT NULL,
        facts    TEXT
    )""",
    # The database itself refuses a second payment for a frame, unless a person has written the first one off.
    """CREATE UNIQUE INDEX IF NOT EXISTS one_payment ON tokens (board, key)
        WHERE state NOT IN ('released', 'written-off')""",
    "CREATE INDEX IF NOT EXISTS tokens_of ON tokens (board, key)",
    "CREATE INDEX IF NOT EXISTS tokens_unknown ON tokens (machine) WHERE state = 'unknown'",
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
    async def open(cls, url: str, *, clock: Callable[[], float] = time.time) -> Database:
        """Connect and bring the tables up to date. NotConfigured when it cannot be used."""
        return cls(await asyncio.to_thread(_set_up, url, clock), url)

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
    return database or f"sqlite:///{out.absolute() / STATE_FOLDER / BOOK}"


def sqlite_path(url: str) -> Path:
    """The file of a `sqlite:///` URL, or of a plain path; a folder means the record of the board in it."""
    path = Path(url.removeprefix("sqlite:///"))
    return path / STATE_FOLDER / BOOK if path.is_dir() else path


def shown(url: str) -> str:
    """A URL fit to be shown: no user, no password, no options."""
    if not is_postgres(url):
        return str(sqlite_path(url))
    return shown_postgres(url)


def _set_up(url: str, clock: Callable[[], float]) -> Connection:
    connection, older = _connected(url, clock)
    with translate_errors(shown(url)), connection.deciding() as tx:
        if isinstance(connection, PostgresConnection):
            set_up_postgres(connection)
            older = bool(tx.all(_OLDER_ON_POSTGRES))
        if older:
            bring_up_to_date(tx.all, TABLES)
        for statement in TABLES:
            tx.all(statement)
    return connection


def _connected(url: str, clock: Callable[[], float], *, readonly: bool = False) -> tuple[Connection, bool]:
    """A connection, and whether its file has the tables of an older edition."""
    try:
        if is_postgres(url):
            return PostgresConnection(url), False
        return _opened(sqlite_path(url), clock, readonly=readonly)
    except ImportError:
        raise no_engine() from None
    except Exception as error:
        if not is_database_error(error):
            raise
        raise no_database(shown(url), error) from error


def _opened(path: Path, clock: Callable[[], float], *, readonly: bool) -> tuple[Connection, bool]:
    db, older = open_book(path, (TABLES, OLDER_TABLES), readonly=readonly)
    if readonly and older:
        db.close()
        raise FileNotFoundError(path)
    db.row_factory = _as_dict
    add_clock(db, clock)
    db.execute("PRAGMA journal_mode = WAL")
    # Without it a power cut could forget which payment a frame has.
    db.execute("PRAGMA synchronous = FULL")
    return SqliteConnection(db), older


def no_engine() -> NotConfigured:
    """The error where the extra is not installed."""
    return NotConfigured(Message("board_run.no-engine"), advice=Message("board_run.no-engine-advice"))


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
