"""The run's SQLite file, opened as data of unknown origin: it may have come with a folder that somebody else made.

In: a path and the statements that make our tables. Out: a connection whose schema is ours and nothing else, or
`RecordRefused`. SQLite acts on what is in a file: triggers and views run, a WAL or journal behind a symbolic link is
written through, a journal may name a further file to delete. None of it is ours, so all of it is refused.
Never in here: a row, a rule about money.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from seedframe.errors import StoreError
from seedframe.messages import Message
from seedframe.private_files import make_private_file, make_private_folder

BUSY_SECONDS = 30.0
LONGEST_VALUE = 8 * 1024 * 1024
"""Bytes of one text or row: the task of a frame has some thousands."""

_SIDE_FILES = ("", "-wal", "-shm", "-journal")
_NAMES_ANOTHER_FILE = bytes.fromhex("d9d505f920a163d7")
"""The end of a rollback journal that names a further journal, which SQLite would delete."""


class RecordRefused(StoreError):
    """The file is no database of ours, or holds more than our tables. Nothing of it was used."""


def open_record_file(
    path: Path, editions: Sequence[Sequence[str]], *, readonly: bool
) -> tuple[sqlite3.Connection, int]:
    """A connection for any thread, without transactions of its own; and the edition of its tables, 0 for the newest.

    `editions` are the statements that make our tables, the newest first. RecordRefused, sqlite3.Error or OSError.
    """
    if not readonly:
        if not path.parent.exists():
            make_private_folder(path.parent)
        _check_files(path)
        make_private_file(path)
    _check_files(path)
    where = f"{path.absolute().as_uri()}?mode=rw"
    db = sqlite3.connect(where, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True)
    try:
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        edition = _check_schema(db, path, editions)
    except BaseException:
        db.close()
        raise
    return db, edition


def _check_files(path: Path) -> None:
    for name in (path.with_name(path.name + suffix) for suffix in _SIDE_FILES):
        try:
            mode = name.lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(mode):
            raise _refused(path, name.name)
    call_payments = path.with_name(f"{path.name}-journal")
    if call_payments.exists() and _end_of(call_payments) == _NAMES_ANOTHER_FILE:
        raise _refused(path, call_payments.name)


def _end_of(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(_NAMES_ANOTHER_FILE)))
        return file.read()


def _check_schema(db: sqlite3.Connection, path: Path, editions: Sequence[Sequence[str]]) -> int:
    """Every table and index letter by letter as one edition makes them, and nothing else is there; which edition."""
    found = db.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
    odd = [_odd(found, _known(tuple(tables))) for tables in editions]
    if None in odd:
        return odd.index(None)
    everything = {key: text for tables in reversed(editions) for key, text in _known(tuple(tables)).items()}
    raise _refused(path, _odd(found, everything) or str(odd[0]))


def _odd(found: Sequence[tuple[str, str, str | None]], known: Mapping[tuple[str, str], str | None]) -> str | None:
    """The first thing that is not ours."""
    for kind, name, text in found:
        if (kind, name) not in known or known[kind, name] != text:
            return f"{kind} {name}"[:80]
    return None


@cache
def _known(tables: tuple[str, ...]) -> dict[tuple[str, str], str | None]:
    """(kind, name) → text of whatever these statements make."""
    db = sqlite3.connect(":memory:")
    try:
        for statement in tables:
            db.execute(statement)
        return {(kind, name): text for kind, name, text in db.execute("SELECT type, name, sql FROM sqlite_schema")}
    finally:
        db.close()


def _refused(path: Path, what: str) -> RecordRefused:
    return RecordRefused(
        Message("board_folder.record-refused", path=path, what=what),
        advice=Message("board_folder.record-refused-advice", folder=path.parent),
        facts={"path": str(path), "found": what},
    )
