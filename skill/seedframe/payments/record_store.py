"""Where a payment record is kept: a SQLite file of this user's, or a PostgreSQL server that machines share.

In: a path, or the URL of a server. Out: a connection whose tables are up to date, who of the record's users is running,
and a way to erase for good. Never in here: a rule about entries.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from seedframe.errors import NotConfigured
from seedframe.messages import Message
from seedframe.payments.migrations import open_database, set_up_server
from seedframe.payments.owners import Life, Owners
from seedframe.payments.sql import (
    Connection,
    PostgresConnection,
    SqliteConnection,
    database_errors,
    is_postgres,
    no_database,
    shown_postgres,
)
from seedframe.private_files import make_private_folder


class Running(Protocol):
    """Who of a record's users is running."""

    def opening(self) -> AbstractContextManager[None]:
        """While the record is opened."""

    def enter(self) -> tuple[str, Life]:
        """A new name: its process counts as running until that is released, however the process ends."""

    def alive(self, name: str) -> bool:
        """Whether a running process has that name."""

    def sweep(self) -> None:
        """Remove what ended processes have left."""


class RecordStore(Protocol):
    """What a record stands on."""

    @property
    def owners(self) -> Running: ...  # noqa: D102 - see Running

    def open(self) -> Connection:
        """The connection, its tables up to date."""

    def beside(self, path: Path) -> Path:
        """The place of what cannot be written now: no other record's, where several have the same `path`."""

    def erasing(self, *, thorough: bool) -> AbstractContextManager[None]:
        """Erase for good whatever is deleted inside the block; `thorough`: also what was deleted earlier."""


class FileStore:
    """A SQLite file; its users hold file locks beside it."""

    def __init__(self, path: Path, busy: float) -> None:
        self._path = path
        self._busy = busy
        if not path.parent.exists():
            make_private_folder(path.parent)
        self.owners = Owners(path.with_name(f"{path.name}.owners"))
        self._db: sqlite3.Connection

    def open(self) -> Connection:
        """StoreError for another program's or a newer file."""
        self._db = open_database(self._path, busy=self._busy)
        return SqliteConnection(self._db)

    def beside(self, path: Path) -> Path:
        """The file's own."""
        return path

    @contextlib.contextmanager
    def erasing(self, *, thorough: bool) -> Iterator[None]:
        """Overwritten in the file, and then the write-ahead log is emptied.

        `thorough` rewrites the file and waits for other writers.
        """
        before = self._db.execute("PRAGMA secure_delete").fetchone()[0]
        self._db.execute("PRAGMA secure_delete = ON")
        try:
            yield
            if thorough:
                self._db.execute("VACUUM")
            self._db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if thorough else 'PASSIVE'})").fetchone()
        finally:
            self._db.execute(f"PRAGMA secure_delete = {before}")


class ServerStore:
    """A PostgreSQL server; its users hold advisory locks in their sessions, which end with them."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._connection = PostgresConnection(url)
        except ImportError:
            raise NotConfigured(Message("board_run.no-engine"), advice=Message("board_run.no-engine-advice")) from None
        except database_errors() as error:
            raise no_database(shown_postgres(url), error) from error
        self.owners = ServerOwners(self._connection)

    def open(self) -> Connection:
        """StoreError for the tables of a newer version."""
        set_up_server(self._connection)
        return self._connection

    def beside(self, path: Path) -> Path:
        """One for each server and database."""
        return path.with_name(f"{path.name}.{hashlib.sha256(shown_postgres(self._url).encode()).hexdigest()[:12]}")

    @contextlib.contextmanager
    def erasing(self, *, thorough: bool) -> Iterator[None]:
        """The server overwrites what is free when it needs the space; `thorough` rewrites the tables now."""
        yield
        if thorough:
            self._connection.all("VACUUM FULL entries")
            self._connection.all("VACUUM FULL slots")


class ServerOwners:
    """Each user's session holds a lock on a number made from its name; the server releases it when the session ends.

    Shared locks, so that a new session of the same process need not wait until the server notices the end of its old.
    """

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection

    def opening(self) -> AbstractContextManager[None]:
        """There is nothing to sweep, so nobody has to wait."""
        return contextlib.nullcontext()

    def enter(self) -> tuple[str, Life]:
        """A name no other process has."""
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        number = _lock_number(name)
        self._connection.began_with(lambda session: _hold(session, number))
        return name, self

    def release(self) -> None:
        """The end of the session releases it."""

    def alive(self, name: str) -> bool:
        """Whether a session holds the lock of that name."""
        number = _lock_number(name) % 2**64
        rows = self._connection.all(
            """SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
                WHERE locktype = 'advisory' AND datname = current_database() AND granted
                    AND CAST(classid AS BIGINT) = :high AND CAST(objid AS BIGINT) = :low AND objsubid = 1""",
            high=number >> 32,
            low=number % 2**32,
        )
        return bool(rows)

    def sweep(self) -> None:
        """Nothing is left behind."""


def store_of(path: Path, database: str | None, busy: float) -> RecordStore:
    """The server of a PostgreSQL URL; the file at `path` where none is given."""
    if database is None or not is_postgres(database):
        return FileStore(path, busy)
    return ServerStore(database)


def _hold(session: PostgresConnection, number: int) -> None:
    session.all("SELECT pg_advisory_lock_shared(:number)", number=number)


def _lock_number(name: str) -> int:
    """64 bits, signed, as the server wants them."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
