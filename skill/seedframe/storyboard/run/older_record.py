"""Records of the first edition, which kept queues and states beside the engine: their tables, and how they become ours.

In: a transaction on such a record. Out: the same boards, payments and pictures in today's tables; what was waiting or
under way is begun anew, with the payment it had. Never in here: a decision about money.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

OLDER_TABLES = (
    """CREATE TABLE IF NOT EXISTS boards (
        id       TEXT PRIMARY KEY,
        project  TEXT NOT NULL,
        folder   TEXT NOT NULL,
        backend  TEXT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS purses (
        board    TEXT PRIMARY KEY REFERENCES boards (id),
        currency TEXT,
        budget   BIGINT,
        spent    BIGINT NOT NULL DEFAULT 0,
        tick     BIGINT NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE IF NOT EXISTS frames (
        board    TEXT NOT NULL REFERENCES boards (id),
        key      TEXT NOT NULL,
        place    INTEGER NOT NULL,
        task     TEXT NOT NULL,
        state    TEXT NOT NULL,
        round    INTEGER NOT NULL DEFAULT 1,
        waits    INTEGER NOT NULL DEFAULT 0,
        queued   DOUBLE PRECISION,
        path     TEXT,
        raw_path TEXT,
        cost     BIGINT,
        error    TEXT,
        worker   TEXT,
        changed  BIGINT NOT NULL,
        PRIMARY KEY (board, key)
    )""",
    "CREATE INDEX IF NOT EXISTS frames_changed ON frames (board, changed)",
    "CREATE INDEX IF NOT EXISTS frames_next ON frames (place) WHERE state = 'waiting' AND waits = 0 AND queued IS NULL",
    "CREATE INDEX IF NOT EXISTS frames_queued ON frames (queued) WHERE state = 'waiting' AND waits = 0",
    """CREATE TABLE IF NOT EXISTS needs (
        board    TEXT NOT NULL,
        key      TEXT NOT NULL,
        before   TEXT NOT NULL,
        PRIMARY KEY (board, key, before)
    )""",
    "CREATE INDEX IF NOT EXISTS needs_before ON needs (board, before)",
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
    """CREATE UNIQUE INDEX IF NOT EXISTS one_payment ON tokens (board, key)
        WHERE state NOT IN ('released', 'written-off')""",
    "CREATE INDEX IF NOT EXISTS tokens_of ON tokens (board, key)",
    "CREATE INDEX IF NOT EXISTS tokens_unknown ON tokens (machine) WHERE state = 'unknown'",
    """CREATE TABLE IF NOT EXISTS rates (
        name     TEXT PRIMARY KEY,
        next     DOUBLE PRECISION NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS workers (
        executor TEXT PRIMARY KEY,
        machine  TEXT NOT NULL,
        slot     INTEGER NOT NULL,
        beat     DOUBLE PRECISION NOT NULL
    )""",
)

_BEFORE = (
    "ALTER TABLE boards RENAME TO older_boards",
    "ALTER TABLE purses RENAME TO older_purses",
    "ALTER TABLE frames RENAME TO older_frames",
    "DROP INDEX frames_changed",
    "DROP INDEX frames_next",
    "DROP INDEX frames_queued",
    "DROP TABLE needs",
    "DROP TABLE rates",
    "DELETE FROM workers",
)
_AFTER = (
    "INSERT INTO boards SELECT id, project, folder, backend, NULL, 0 FROM older_boards",
    "INSERT INTO purses SELECT board, currency, budget, spent FROM older_purses",
    """INSERT INTO frames (board, key, place, task, queue, path, raw_path, made_for)
        SELECT board, key, place, task, '', CASE state WHEN 'done' THEN path END,
            CASE state WHEN 'done' THEN raw_path END, CASE state WHEN 'done' THEN task END FROM older_frames""",
    # A question that only the frame asked, since nobody had its payment.
    """INSERT INTO tokens (token, board, key, state, amount, machine, made)
        SELECT 'taken-in-' || board || '-' || key, board, key, 'unknown', 0, '', 0 FROM older_frames
            WHERE state = 'unknown' AND NOT EXISTS (SELECT 1 FROM tokens WHERE tokens.board = older_frames.board
                AND tokens.key = older_frames.key AND tokens.state NOT IN ('released', 'written-off'))""",
    "DROP TABLE older_frames",
    "DROP TABLE older_purses",
    "DROP TABLE older_boards",
)


def bring_up_to_date(execute: Callable[[str], Any], tables: Sequence[str]) -> None:
    """Run inside a transaction on a record with the older tables; `tables` make today's."""
    for statement in (*_BEFORE, *tables, *_AFTER):
        execute(statement)
