"""Records of earlier editions, which kept the money of frames themselves: their tables, and how they become ours.

In: a transaction on such a database, and on the payment record that takes over the money. Out: the same boards and
pictures in today's tables, and every payment an entry of its frame. What was waiting or under way is begun anew, with
the payment it had. A database that came with a folder is believed in what stands in the way of a payment, in no amount.
Done again after it was cut off, it changes nothing twice. Never in here: a decision about money.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from seedframe.payments.boards import PaidFrame
from seedframe.payments.entries import fingerprint, new_id
from seedframe.payments.sql import SCHEMA, Connection, Row, Tx, one

_TOKENS_OF_FRAMES = (
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
)
_WORKERS = """CREATE TABLE IF NOT EXISTS workers (
        executor TEXT PRIMARY KEY,
        machine  TEXT NOT NULL,
        slot     INTEGER NOT NULL,
        beat     DOUBLE PRECISION NOT NULL
    )"""
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
    *_TOKENS_OF_FRAMES,
    """CREATE TABLE IF NOT EXISTS rates (
        name     TEXT PRIMARY KEY,
        next     DOUBLE PRECISION NOT NULL
    )""",
    _WORKERS,
)
TOKEN_TABLES = (
    """CREATE TABLE IF NOT EXISTS boards (
        id       TEXT PRIMARY KEY,
        project  TEXT NOT NULL,
        folder   TEXT NOT NULL,
        backend  TEXT NOT NULL,
        stopped  TEXT,
        finish   INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE IF NOT EXISTS purses (
        board    TEXT PRIMARY KEY REFERENCES boards (id),
        currency TEXT,
        budget   BIGINT,
        spent    BIGINT NOT NULL DEFAULT 0
    )""",
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
    *_TOKENS_OF_FRAMES,
    _WORKERS,
)
OLDER_EDITIONS = (TOKEN_TABLES, OLDER_TABLES)
"""The newest first."""

_COLUMNS = f"""SELECT table_name AS name, column_name AS part FROM information_schema.columns
    WHERE table_schema = '{SCHEMA}' AND (table_name = 'tokens' OR column_name = 'waits')"""  # noqa: S608
_TOKENS = """SELECT tokens.*, boards.backend, purses.currency, frames.path FROM tokens
    JOIN boards ON boards.id = tokens.board JOIN purses ON purses.board = tokens.board
    LEFT JOIN frames ON frames.board = tokens.board AND frames.key = tokens.key"""
# A question that only the frame asked, since nobody had its payment.
_QUESTIONS = """INSERT INTO tokens (token, board, key, state, amount, machine, made)
    SELECT 'taken-in-' || board || '-' || key, board, key, 'unknown', 0, '', 0 FROM frames
        WHERE state = 'unknown' AND NOT EXISTS (SELECT 1 FROM tokens WHERE tokens.board = frames.board
            AND tokens.key = frames.key AND tokens.state NOT IN ('released', 'written-off'))"""
_BEFORE = (
    "ALTER TABLE boards RENAME TO older_boards",
    "ALTER TABLE frames RENAME TO older_frames",
    "DROP TABLE purses",
    "DROP TABLE tokens",
)
_BEFORE_FIRST = (
    *_BEFORE,
    "DROP INDEX frames_changed",
    "DROP INDEX frames_next",
    "DROP INDEX frames_queued",
    "DROP TABLE needs",
    "DROP TABLE rates",
    "DELETE FROM workers",
)
_BOARDS = "INSERT INTO boards SELECT id, project, folder, backend FROM older_boards"
_FRAMES = """INSERT INTO frames (board, key, place, task, queue, followers, path, raw_path, made, made_for)
    SELECT board, key, place, task, queue, followers, path, raw_path, made, made_for FROM older_frames"""
_FRAMES_OF_FIRST = """INSERT INTO frames (board, key, place, task, queue, path, raw_path, made_for)
    SELECT board, key, place, task, '', CASE state WHEN 'done' THEN path END,
        CASE state WHEN 'done' THEN raw_path END, CASE state WHEN 'done' THEN task END FROM older_frames"""
_AFTER = ("DROP TABLE older_frames", "DROP TABLE older_boards")
_BUDGET = """INSERT INTO budgets (board, currency, amount, stopped, finish)
    VALUES (:board, :currency, :budget, :stopped, :finish) ON CONFLICT (board) DO NOTHING"""
_ENTRY = """INSERT INTO entries (id, fingerprint, state, owner, backend, model, images, currency, price, reserved,
        booked, day, created, changed, request, board, frame, written_off)
    VALUES (:id, :fingerprint, :state, '', :backend, '', 1, :currency, NULL, :reserved, :booked,
        :day, :made, :made, '{}', :board, :frame, :written_off)"""
_STATES: Mapping[str, str] = {"paid": "delivered", "lost": "lost"}


def edition_on_server(tx: Tx) -> int:
    """Which edition's tables a PostgreSQL has: 0 today's or none."""
    found = {(row["name"], row["part"]) for row in tx.all(_COLUMNS)}
    if ("frames", "waits") in found:
        return 2
    return 1 if any(name == "tokens" for name, _ in found) else 0


def bring_up_to_date(
    tx: Tx, tables: Sequence[str], edition: int, record: Connection, believed: Callable[[str], bool]
) -> None:
    """Inside a transaction of a database with the tables of that edition; `tables` make today's.

    `record` is a connection of the payment record; `believed` says whether a board's database was made here.
    """
    first = edition == OLDER_EDITIONS.index(OLDER_TABLES) + 1
    if first:
        tx.all(_QUESTIONS)
    with record.deciding() as money:
        _take_over(tx, money, believed, first=first)
    for statement in (
        *(_BEFORE_FIRST if first else _BEFORE),
        *tables,
        _BOARDS,
        _FRAMES_OF_FIRST if first else _FRAMES,
        *_AFTER,
    ):
        tx.all(statement)


def _take_over(tx: Tx, money: Tx, believed: Callable[[str], bool], *, first: bool) -> None:
    none_stopped = "NULL AS stopped, 0 AS finish" if first else "stopped, finish"
    known: dict[str, bool] = {}
    for board in tx.all(f"SELECT id, currency, budget, {none_stopped} FROM boards JOIN purses ON board = id"):  # noqa: S608
        known[board["id"]] = believed(board["id"])
        if known[board["id"]]:
            values = {name: board[name] for name in ("currency", "budget", "stopped", "finish")}
            money.all(_BUDGET, board=board["id"], **values)
    for token in tx.all(_TOKENS):
        if token["state"] not in {"reserved", "released"}:
            _enter(money, token, believed=known[token["board"]])


def _enter(money: Tx, token: Row, *, believed: bool) -> None:
    """One payment: the call that this machine's record has, or else an entry of its own."""
    paid, written_off = PaidFrame(str(token["board"]), str(token["key"])), token["state"] == "written-off"
    of_token = fingerprint({"key": token["token"]})
    call = one(money, "SELECT id FROM entries WHERE fingerprint = :mark AND state <> 'failed'", mark=of_token)
    whose = {"board": paid.board, "frame": paid.frame, "written_off": int(written_off)}
    if call is not None:
        # What is written off keeps its mark, so that it is found again where this was cut off.
        mark = of_token if written_off else paid.fingerprint
        money.all(
            """UPDATE entries SET board = :board, frame = :frame, written_off = :written_off, fingerprint = :mark
                WHERE id = :id""",
            id=call["id"],
            mark=mark,
            **whose,
        )
    elif believed if written_off else not _is_paid(money, paid) and (believed or not token["path"]):
        money.all(_ENTRY, id=_next_id(money), fingerprint=of_token, **whose, **_facts(token, believed=believed))


def _facts(token: Row, *, believed: bool) -> dict[str, Any]:
    state = _STATES.get(token["state"], "unknown")
    if state == "delivered" and not token["path"]:
        state = "lost"
    amount = int(token["amount"]) if believed else 0
    held = amount if state == "unknown" else 0
    made = float(token["made"]) if believed else 0.0
    return {
        "state": state,
        "backend": str(token["backend"]),
        "currency": str(token["currency"] or ""),
        "reserved": held,
        "booked": amount - held,
        "day": datetime.fromtimestamp(made, UTC).astimezone().date().isoformat(),
        "made": made,
    }


def _is_paid(money: Tx, paid: PaidFrame) -> bool:
    found = one(
        money,
        """SELECT 1 AS one FROM entries
            WHERE board = :board AND frame = :frame AND state <> 'failed' AND written_off = 0""",
        board=paid.board,
        frame=paid.frame,
    )
    return found is not None


def _next_id(money: Tx) -> str:
    newest = one(money, "SELECT max(id) AS id FROM entries")
    return new_id(0.0, newest["id"] if newest else None)
