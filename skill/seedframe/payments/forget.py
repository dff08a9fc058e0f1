"""Deletes texts and details of entries on request; the money stays.

In: an open record, which entries. Out: how many were cleared and which could not be cleared yet.
What keeps a call from being paid twice stays: its fingerprint (a SHA-256), its state, its day and its amounts. An entry
that is under way, or whose pictures no caller received yet, keeps its details until that has ended.
Never in here: a picture, a sidecar, a rule about money.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from seedframe.payments.migrations import immediate

_SETTLED = ("delivered", "failed", "lost")
_OPEN = ("unknown", "partial-unknown")
"""Its end is unknown: the kind of its error stays, because the next identical call is refused with it."""

_CHOSEN = """(:ids IS NULL OR id IN (SELECT value FROM json_each(:ids))) AND (:before IS NULL OR changed < :before)"""
_HAS_WORDS = "(request <> '{}' OR result IS NOT NULL OR request_id IS NOT NULL OR error IS NOT NULL)"
_CLEAR = f"""UPDATE entries SET request = '{{}}', result = NULL, request_id = NULL, error = NULL, delivery = NULL
    WHERE state IN (SELECT value FROM json_each(:states)) AND {_HAS_WORDS} AND {_CHOSEN}"""  # noqa: S608
_CLEAR_OPEN = f"""UPDATE entries SET request = '{{}}', result = NULL, delivery = NULL,
        error = CASE WHEN error IS NULL THEN NULL ELSE json_object('kind', json_extract(error, '$.kind')) END
    WHERE state IN (SELECT value FROM json_each(:states)) AND (request <> '{{}}' OR result IS NOT NULL)
        AND {_CHOSEN}"""  # noqa: S608
_KEPT = f"""SELECT id FROM entries WHERE state NOT IN (SELECT value FROM json_each(:states)) AND {_CHOSEN}
    ORDER BY number"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`cleared` entries lost their texts; `kept` are the ids of those whose details are still needed."""

    cleared: int
    kept: tuple[str, ...] = ()


def forget(db: sqlite3.Connection, *, ids: Collection[str] | None, before: float | None) -> Forgotten:
    """One transaction; both limits hold together, None is no limit."""
    chosen = {"ids": None if ids is None else json.dumps(sorted(ids)), "before": before}
    with immediate(db):
        cleared = db.execute(_CLEAR, {**chosen, "states": json.dumps(_SETTLED)}).rowcount
        cleared += db.execute(_CLEAR_OPEN, {**chosen, "states": json.dumps(_OPEN)}).rowcount
        kept = db.execute(_KEPT, {**chosen, "states": json.dumps((*_SETTLED, *_OPEN))}).fetchall()
    return Forgotten(cleared, tuple(str(row["id"]) for row in kept))


@contextlib.contextmanager
def erasing(db: sqlite3.Connection, *, thorough: bool) -> Iterator[None]:
    """Overwrite in the file whatever is deleted inside the block, and then empty the write-ahead log.

    `thorough`: also what was deleted earlier, which rewrites the file and waits for other writers.
    """
    before = db.execute("PRAGMA secure_delete").fetchone()[0]
    db.execute("PRAGMA secure_delete = ON")
    try:
        yield
        if thorough:
            db.execute("VACUUM")
        db.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if thorough else 'PASSIVE'})").fetchone()
    finally:
        db.execute(f"PRAGMA secure_delete = {before}")
