"""The run's own database: a SQLite file or a PostgreSQL server behind the same few words of SQL.

In: statements that both understand, with `:names`. Out: rows as dictionaries. All work of a process goes through one
connection and its scribe, so that many frames share one disk flush.
Never in here: a rule about money, the engine (it keeps its own tables), an event loop that waits for a disk.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from seedframe.errors import NotConfigured, StoreError
from seedframe.messages import Message
from seedframe.payments.commit_queue import CommitQueue
from seedframe.storyboard.run.older_record import OLDER_TABLES, bring_up_to_date
from seedframe.storyboard.run.record_file import open_book

T = TypeVar("T")
Row = Mapping[str, Any]

STATE_FOLDER = ".storyboard"
BOOK = "book.sqlite3"
SCHEMA = "seedframe"
_WRITER_LOCK = 5_390_117
_OLDER_ON_POSTGRES = f"""SELECT 1 FROM information_schema.columns
    WHERE table_schema = '{SCHEMA}' AND table_name = 'frames' AND column_name = 'waits'"""  # noqa: S608
_NAME = re.compile(r":(\w+)")

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


class DatabaseFailed(StoreError):
    """The database did not answer, or not as it should; the same may succeed later."""


class Tx(Protocol):
    """What work gets: statements of one transaction."""

    def all(self, sql: str, **values: Any) -> Sequence[Row]:
        """Run one statement; its rows, if it gives any."""

    def many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run one statement for each of the rows."""


def one(tx: Tx, sql: str, **values: Any) -> Row | None:
    """The first row of a statement, or None."""
    rows = tx.all(sql, **values)
    return rows[0] if rows else None


class _Sqlite:
    def __init__(self, path: Path, clock: Callable[[], float], *, readonly: bool) -> None:
        self._db, self._older = open_book(path, (TABLES, OLDER_TABLES), readonly=readonly)
        if readonly and self._older:
            self._db.close()
            raise FileNotFoundError(path)
        self._db.row_factory = _as_dict
        self._db.create_function("clock", 0, clock)
        self._db.execute("PRAGMA journal_mode = WAL")
        # Without it a power cut could forget that a call has left.
        self._db.execute("PRAGMA synchronous = FULL")

    def set_up(self) -> None:
        with self:
            if self._older:
                bring_up_to_date(self._db.execute, TABLES)
            for statement in TABLES:
                self._db.execute(statement)

    def all(self, sql: str, **values: Any) -> Sequence[Row]:
        return self._db.execute(sql, values).fetchall()

    def many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:
        self._db.executemany(sql, rows)

    def __enter__(self) -> Self:
        self._db.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK" if kind else "COMMIT")

    def close(self) -> None:
        self._db.close()


class _Postgres:
    def __init__(self, url: str) -> None:
        self._url = url
        self._db = self._connected()

    def _connected(self) -> Any:
        import psycopg
        from psycopg.rows import dict_row

        return psycopg.connect(
            self._url, autocommit=True, row_factory=dict_row, options=f"-c search_path={SCHEMA}", connect_timeout=15
        )

    def set_up(self) -> None:
        with self:
            self.all(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            self.all(
                "CREATE OR REPLACE FUNCTION clock() RETURNS double precision LANGUAGE sql VOLATILE AS "
                "'SELECT extract(epoch FROM clock_timestamp())::double precision'"
            )
            if self.all(_OLDER_ON_POSTGRES):
                bring_up_to_date(self.all, TABLES)
            for statement in TABLES:
                self.all(statement)

    def all(self, sql: str, **values: Any) -> Sequence[Row]:
        cursor = self._db.execute(_as_psycopg(sql) if values else sql, values or None)
        return cursor.fetchall() if cursor.description else ()

    def many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:
        with self._db.cursor() as cursor:
            cursor.executemany(_as_psycopg(sql), list(rows))

    def __enter__(self) -> Self:
        if self._db.closed:  # the server went away; it may be back
            self._db = self._connected()
        self._db.execute("BEGIN")
        # One writer at a time, as in SQLite: what is committed together touches rows in no common order.
        self._db.execute(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._db.closed:
            self._db.execute("ROLLBACK" if kind else "COMMIT")

    def close(self) -> None:
        self._db.close()


class Database:
    """One process's connection. `run` gives work its transaction; when it raises, nothing of it is kept."""

    def __init__(self, connection: _Sqlite | _Postgres, url: str) -> None:
        self.url = url
        self._connection = connection
        self._commits: CommitQueue[Tx] = CommitQueue("seedframe-book", lambda: connection)

    @classmethod
    async def open(cls, url: str, *, clock: Callable[[], float] = time.time) -> Database:
        """Connect and bring the tables up to date. NotConfigured when it cannot be used."""
        return cls(await asyncio.to_thread(cls._open, url, clock), url)

    @classmethod
    def _open(cls, url: str, clock: Callable[[], float]) -> _Sqlite | _Postgres:
        connection = _connected(url, clock)
        with translate_errors(url):
            connection.set_up()
        return connection

    async def run(self, work: Callable[[Tx], T]) -> T:
        """What `work` gives, once it is on the disk. Asked-for work is done also when the asker is cancelled."""
        with translate_errors(self.url):
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


class translate_errors:  # noqa: N801 - reads as a word where it is used
    """Database errors in words, without the password of the address."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None or not _is_database_error(error):
            return
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise DatabaseFailed(
            Message("board_run.database-failed", database=shown(self._url), why=why),
            advice=Message("board_run.database-advice"),
        ) from error


def read_now(url: str, work: Callable[[Tx], T]) -> T:
    """Look into a database that exists, at once, in this thread. FileNotFoundError for a SQLite file that does not."""
    if not is_postgres(url) and not sqlite_path(url).exists():
        raise FileNotFoundError(sqlite_path(url))
    with translate_errors(url):
        connection = _connected(url, time.time, readonly=True)
        try:
            with connection as tx:
                return work(tx)
        finally:
            connection.close()


def database_url(out: Path, database: str | None) -> str:
    """Where the run of this folder is kept: a file inside it, or the PostgreSQL that is named."""
    return database or f"sqlite:///{out.absolute() / STATE_FOLDER / BOOK}"


def is_postgres(url: str) -> bool:
    """Whether the URL means a PostgreSQL server."""
    return url.startswith(("postgresql://", "postgres://"))


def sqlite_path(url: str) -> Path:
    """The file of a `sqlite:///` URL, or of a plain path; a folder means the record of the board in it."""
    path = Path(url.removeprefix("sqlite:///"))
    return path / STATE_FOLDER / BOOK if path.is_dir() else path


def shown(url: str) -> str:
    """A URL fit to be shown: no user, no password, no options."""
    if not is_postgres(url):
        return str(sqlite_path(url))
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def _connected(url: str, clock: Callable[[], float], *, readonly: bool = False) -> _Sqlite | _Postgres:
    try:
        if is_postgres(url):
            return _Postgres(url)
        return _Sqlite(sqlite_path(url), clock, readonly=readonly)
    except ImportError:
        raise no_engine() from None
    except Exception as error:
        if not _is_database_error(error):
            raise
        why = " ".join(str(error).split())[:200]
        raise NotConfigured(
            Message("board_run.no-database", database=shown(url), why=why),
            advice=Message("board_run.no-database-advice"),
            facts={"setting": "database"},
        ) from error


def no_engine() -> NotConfigured:
    """The error where the extra is not installed."""
    return NotConfigured(Message("board_run.no-engine"), advice=Message("board_run.no-engine-advice"))


def _is_database_error(error: BaseException) -> bool:
    """Of either kind, except a broken rule of ours, which no waiting mends. psycopg need not have been imported."""
    kinds = type(error).__mro__
    if any(kind.__name__ in {"IntegrityError", "DataError"} for kind in kinds):
        return False
    return isinstance(error, sqlite3.Error | OSError) or any(
        kind.__module__.startswith(("psycopg", "sqlalchemy.exc")) for kind in kinds
    )


@cache
def _as_psycopg(sql: str) -> str:
    return _NAME.sub(r"%(\1)s", sql)


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
