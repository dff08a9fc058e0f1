"""Opens the file of the payment record; its tables, and the migration of older files.

In: a path. Out: a connection to a checked SQLite file (3.38 or newer) in WAL mode, every commit on the disk.
Never in here: a rule about entries.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from seedframe.errors import StoreError
from seedframe.messages import Message
from seedframe.private_files import make_private_file

_APPLICATION = 0x5EEDF4A3
BUSY_SECONDS = 30.0

_COLUMNS = """
            number        INTEGER PRIMARY KEY,
            id            TEXT NOT NULL UNIQUE,
            fingerprint   TEXT NOT NULL,
            state         TEXT NOT NULL CHECK (state IN ({states})),
            owner         TEXT NOT NULL,
            backend       TEXT NOT NULL,
            model         TEXT NOT NULL,
            images        INTEGER NOT NULL,
            currency      TEXT NOT NULL,
            price         INTEGER CHECK (price >= 0),
            reserved      INTEGER NOT NULL CHECK (reserved >= 0),
            booked        INTEGER NOT NULL DEFAULT 0 CHECK (booked >= 0),
            day           TEXT NOT NULL,
            created       REAL NOT NULL,
            changed       REAL NOT NULL,
            tries         INTEGER NOT NULL DEFAULT 0,
            partial       INTEGER NOT NULL DEFAULT 0,
            billed_images INTEGER,
            request_id    TEXT,
            request       TEXT NOT NULL,
            result        TEXT,
            error         TEXT"""
_STATES = "'intent', 'sent', 'replied', 'saved', 'delivering', 'delivered', 'failed', 'unknown', 'lost'"
_NAMES = """number, id, fingerprint, state, owner, backend, model, images, currency, price, reserved, booked, day,
                created, changed, tries, partial, billed_images, request_id, request, result, error"""
_INDEXES = (
    # The file itself refuses a second identical call while one is under way.
    """CREATE UNIQUE INDEX one_in_flight ON entries (fingerprint)
            WHERE state IN ('intent', 'sent', 'replied')""",
    "CREATE INDEX by_fingerprint ON entries (fingerprint, number)",
    "CREATE INDEX by_day ON entries (day, currency)",
    """CREATE INDEX under_way ON entries (owner)
            WHERE state IN ('intent', 'sent', 'replied', 'delivering')""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"CREATE TABLE entries ({_COLUMNS.format(states=_STATES)})",
        *_INDEXES,
        """CREATE TABLE waiting (
            entry   TEXT NOT NULL REFERENCES entries (id),
            owner   TEXT NOT NULL,
            callers INTEGER NOT NULL,
            PRIMARY KEY (entry, owner)
        ) WITHOUT ROWID""",
    ),
    (
        # SQLite cannot change a CHECK, so the table is rebuilt with two more states.
        f"""CREATE TABLE entries_2 ({_COLUMNS.format(states=f"{_STATES}, 'partial-unknown', 'undelivered'")},
            settled       INTEGER NOT NULL DEFAULT 0,
            delivery      TEXT
        )""",
        # Payments that were lost before this version asked for no decision, and ask for none now.
        f"""INSERT INTO entries_2 ({_NAMES}, settled)
            SELECT {_NAMES}, state = 'lost'
            FROM entries""",  # noqa: S608
        "DROP TABLE entries",
        "ALTER TABLE entries_2 RENAME TO entries",
        *_INDEXES,
        "CREATE INDEX to_fetch ON entries (number) WHERE state = 'undelivered'",
        """CREATE TABLE slots (
            entry   TEXT NOT NULL REFERENCES entries (id),
            slot    INTEGER NOT NULL,
            state   TEXT NOT NULL CHECK (state IN ('kept', 'doubtful', 'billed', 'unbilled')),
            address TEXT,
            expires REAL,
            facts   TEXT,
            PRIMARY KEY (entry, slot)
        ) WITHOUT ROWID""",
        """CREATE VIEW calls AS SELECT entries.*,
            (SELECT json_group_array(slot) FROM slots WHERE slots.entry = entries.id AND slots.state = 'doubtful')
                AS doubtful,
            (SELECT json_group_array(slot) FROM slots WHERE slots.entry = entries.id AND slots.state = 'kept')
                AS fetchable,
            (SELECT min(expires) FROM slots WHERE slots.entry = entries.id AND slots.state = 'kept') AS fetch_until
            FROM entries""",
    ),
)


def open_database(path: Path, *, busy: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection for one thread. StoreError for another program's or a newer file; OSError, sqlite3.Error else.

    A record that another process has locked is waited for, `busy` seconds at most.
    """
    # Requests are private; WAL files take over the mode of the file.
    make_private_file(path.resolve())
    db = sqlite3.connect(path, timeout=busy, isolation_level=None)
    try:
        db.row_factory = sqlite3.Row
        _check(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        # Without it a power cut could lose an intent whose call was sent.
        db.execute("PRAGMA synchronous = FULL")
        # A used address does not stay in a free page.
        db.execute("PRAGMA secure_delete = ON")
        _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def immediate(db: sqlite3.Connection) -> Iterator[None]:
    """A transaction that excludes other writers from its first statement on; rolled back by any exception.

    Inside another transaction it is part of that one.
    """
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.commit()
    except BaseException:
        # A full disk may have ended it already.
        if db.in_transaction:
            db.rollback()
        raise


def _check(db: sqlite3.Connection, path: Path) -> None:
    application, version = _pragma(db, "application_id"), _pragma(db, "user_version")
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != _APPLICATION and (application or tables):
        raise StoreError(
            Message("journal.not-a-journal", path=str(path)), advice=Message("journal.not-a-journal-advice")
        )
    if version > len(MIGRATIONS):
        raise StoreError(
            Message("journal.newer", path=str(path), version=version, known=len(MIGRATIONS)),
            advice=Message("journal.newer-advice"),
        )


def _migrate(db: sqlite3.Connection) -> None:
    if _pragma(db, "user_version") == len(MIGRATIONS):
        return
    with immediate(db):
        for statements in MIGRATIONS[_pragma(db, "user_version") :]:
            for statement in statements:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])
