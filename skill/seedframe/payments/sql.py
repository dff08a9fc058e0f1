"""Two databases behind the same few words of SQL: a SQLite file, or a PostgreSQL server.

In: statements that both understand, with `:names`. Out: rows by column name. In both one writer decides after the
other, and what is committed is on the disk.
Never in here: a rule about money, a table, an event loop.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from types import TracebackType
from typing import Any, Protocol

from seedframe.errors import NotConfigured, StoreError
from seedframe.messages import Message

Row = Mapping[str, Any]

SCHEMA = "seedframe"
"""Where our tables are in a PostgreSQL database."""

CONNECT_SECONDS = 15
_WRITER_LOCK = 5_390_117
_NAME = re.compile(r"(?<!:):(\w+)")
# A machine that vanished without a word is noticed after a minute.
_OPTIONS = (
    f"-c search_path={SCHEMA} -c synchronous_commit=on "
    "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
)


class DatabaseFailed(StoreError):
    """The database did not answer, or not as it should; the same may succeed later."""


class Tx(Protocol):
    """Statements of one transaction."""

    def all(self, sql: str, **values: Any) -> Sequence[Row]:
        """Run one statement; its rows, if it gives any."""

    def many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run one statement for each of the rows."""


class Connection(Tx, Protocol):
    """One connection, used by one thread at a time. Outside of `deciding` every statement stands alone."""

    def deciding(self) -> AbstractContextManager[Tx]:
        """A transaction that excludes other writers from its beginning on; rolled back by any exception.

        Inside another one it is part of that one.
        """

    def close(self) -> None:
        """Disconnect."""


def one(tx: Tx, sql: str, **values: Any) -> Row | None:
    """The first row of a statement, or None."""
    rows = tx.all(sql, **values)
    return rows[0] if rows else None


def listed(values: Collection[str], name: str = "item") -> tuple[str, dict[str, str]]:
    """What stands after IN for these values, and the values by name; an empty collection fits nothing."""
    given = {f"{name}{number}": value for number, value in enumerate(sorted(values))}
    return f"({', '.join(f':{key}' for key in given) or 'NULL'})", given


class SqliteConnection:
    """An open SQLite file without transactions of its own (`isolation_level=None`)."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def all(self, sql: str, **values: Any) -> Sequence[Any]:  # noqa: D102 - see Tx
        return self.db.execute(sql, values).fetchall()

    def many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:  # noqa: D102 - see Tx
        self.db.executemany(sql, rows)

    @contextlib.contextmanager
    def deciding(self) -> Iterator[Tx]:  # noqa: D102 - see Connection
        if self.db.in_transaction:
            yield self
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield self
            self.db.execute("COMMIT")
        except BaseException:
            # A full disk may have ended it already.
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def close(self) -> None:  # noqa: D102 - see Connection
        self.db.close()


class PostgresConnection:
    """A session on a PostgreSQL server, begun anew when the server went away.

    `began` is called with every new session, before anything else is asked of it.
    """

    def __init__(self, url: str, began: Callable[[PostgresConnection], None] | None = None) -> None:
        self._url = url
        self._began = began
        self._deciding = False
        self._db = self._connected()

    def all(self, sql: str, **values: Any) -> Sequence[Any]:  # noqa: D102 - see Tx
        cursor = self._execute(_as_psycopg(sql) if values else sql, values or None)
        return cursor.fetchall() if cursor.description else ()

    def many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:  # noqa: D102 - see Tx
        with self._session().cursor() as cursor:
            cursor.executemany(_as_psycopg(sql), list(rows))

    @contextlib.contextmanager
    def deciding(self) -> Iterator[Tx]:  # noqa: D102 - see Connection
        if self._deciding:
            yield self
            return
        self._execute("BEGIN")
        self._deciding, session = True, self._db
        try:
            # One writer at a time, as in SQLite: what is committed together touches rows in no common order.
            session.execute(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")
            yield self
            session.execute("COMMIT")
        except BaseException:
            # Where the server is gone, so is the transaction; the first error says why.
            with contextlib.suppress(*database_errors()):
                session.execute("ROLLBACK")
            raise
        finally:
            self._deciding = False

    def close(self) -> None:  # noqa: D102 - see Connection
        self._db.close()

    def began_with(self, began: Callable[[PostgresConnection], None]) -> None:
        """From now on call this with every new session, and with this one at once."""
        self._began = began
        began(self)

    def _execute(self, sql: str, values: Mapping[str, Any] | None = None) -> Any:
        """Run a statement; one that changes nothing is run anew where the session turns out to have ended meanwhile."""
        try:
            return self._session().execute(sql, values)
        except database_errors():
            if self._deciding or not self._db.closed or not sql.lstrip().startswith(("BEGIN", "SELECT")):
                raise
            return self._session().execute(sql, values)

    def _session(self) -> Any:
        if self._db.closed and not self._deciding:  # the server went away; it may be back
            self._db = self._connected()
            if self._began is not None:
                self._began(self)
        return self._db

    def _connected(self) -> Any:
        import psycopg
        from psycopg.rows import dict_row

        return psycopg.connect(
            self._url, autocommit=True, row_factory=dict_row, options=_OPTIONS, connect_timeout=CONNECT_SECONDS
        )


class translate_errors:  # noqa: N801 - reads as a word where it is used
    """Database errors in words, without the password of the address."""

    def __init__(self, database: str) -> None:
        self._database = database

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None or not is_database_error(error):
            return
        raise DatabaseFailed(
            Message("board_run.database-failed", database=self._database, why=why(error)),
            advice=Message("board_run.database-advice"),
        ) from error


def no_database(database: str, error: BaseException) -> NotConfigured:
    """The error where a database cannot be opened."""
    return NotConfigured(
        Message("board_run.no-database", database=database, why=why(error)),
        advice=Message("board_run.no-database-advice"),
        facts={"setting": "database"},
    )


def set_up_postgres(connection: PostgresConnection) -> None:
    """What every table of ours needs; inside a transaction."""
    connection.all(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    connection.all(
        "CREATE OR REPLACE FUNCTION clock() RETURNS double precision LANGUAGE sql VOLATILE AS "
        "'SELECT extract(epoch FROM clock_timestamp())::double precision'"
    )


def add_clock(db: sqlite3.Connection, clock: Callable[[], float] = time.time) -> None:
    """`clock()` in SQLite, as PostgreSQL has it."""
    db.create_function("clock", 0, clock)


def why(error: BaseException) -> str:
    """What a database said, in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def is_postgres(url: str) -> bool:
    """Whether the URL means a PostgreSQL server."""
    return url.startswith(("postgresql://", "postgres://"))


def shown_postgres(url: str) -> str:
    """The URL fit to be shown: no user, no password, no options."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def is_database_error(error: BaseException) -> bool:
    """Of either kind, except a broken rule of ours, which no waiting mends. psycopg need not have been imported."""
    kinds = type(error).__mro__
    if any(kind.__name__ in {"IntegrityError", "DataError"} for kind in kinds):
        return False
    return isinstance(error, sqlite3.Error | OSError) or any(
        kind.__module__.startswith(("psycopg", "sqlalchemy.exc")) for kind in kinds
    )


def database_errors() -> tuple[type[BaseException], ...]:
    """What a statement of either kind may raise, and a disk; nothing is imported for it."""
    psycopg = sys.modules.get("psycopg")
    return (sqlite3.Error, OSError, *((psycopg.Error,) if psycopg else ()))


def refused_rows() -> tuple[type[BaseException], ...]:
    """What either kind raises for values that its tables refuse."""
    psycopg = sys.modules.get("psycopg")
    ours = (sqlite3.IntegrityError, sqlite3.ProgrammingError)
    return (*ours, psycopg.IntegrityError, psycopg.DataError) if psycopg else ours


@lru_cache(maxsize=512)
def _as_psycopg(sql: str) -> str:
    return _NAME.sub(r"%(\1)s", sql)
