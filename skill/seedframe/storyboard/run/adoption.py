"""A board whose run was recorded elsewhere, or nowhere, is taken in: the record says what the files prove.

In: a transaction after the board's frames were entered, the proofs of its folder, frames whose bill nobody knew.
Out: rows that may be gone on with. What is proven is done and is not paid again. What the record calls done without
proof fails, and only a person's `retry` pays for it anew. Nothing that a worker of another machine held stays held.
Never in here: a file being read, a payment.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from seedframe.messages import LANGUAGES, Message
from seedframe.storyboard.run.database import Row, Tx, one
from seedframe.storyboard.run.proof import Proof


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a folder shows: proven frames, and those of which only its manifest knew that they may have been billed.

    `alone`: the record is the folder's own, so that nobody else's boards and workers are in it.
    """

    proofs: Mapping[str, Proof]
    unknown: Collection[str] = field(default=())
    alone: bool = True


def take_in(tx: Tx, board: str, tick: int, evidence: Evidence) -> None:
    """Bring the frames of this board in line with what its folder proves. ValueError for a record that is not ours."""
    rows = tx.all("SELECT key, state, path, raw_path FROM frames WHERE board = :board AND place >= 0", board=board)
    for row in rows:
        _settle_frame(tx, board, tick, row, evidence)
    _count_money(tx, board)
    if evidence.alone:
        tx.all("DELETE FROM workers")
        tx.all("UPDATE frames SET place = -1 WHERE board <> :board", board=board)


def _settle_frame(tx: Tx, board: str, tick: int, row: Row, evidence: Evidence) -> None:
    key, state = row["key"], row["state"]
    proof = evidence.proofs.get(key)
    if proof is not None:
        raw = None if proof.raw_path is None else str(proof.raw_path)
        if (state, row["path"], row["raw_path"]) != ("done", str(proof.path), raw):
            _set(tx, board, key, tick, "done", path=str(proof.path), raw_path=raw)
    elif state == "done":
        _set(tx, board, key, tick, "failed", error=Message("board_folder.not-proven"))
        tx.all(
            "UPDATE tokens SET state = 'lost' WHERE board = :board AND key = :key AND state = 'paid'",
            **_of(row, board),
        )
    elif state == "running":
        tx.all(
            """UPDATE frames SET state = 'waiting', round = round + 1, queued = NULL, worker = NULL, changed = :tick
                WHERE board = :board AND key = :key""",
            tick=tick,
            **_of(row, board),
        )
    elif key in evidence.unknown and state == "waiting" and not _has_token(tx, board, key):
        _set(tx, board, key, tick, "unknown", error=Message("board_folder.was-unknown"))


def _set(
    tx: Tx,
    board: str,
    key: str,
    tick: int,
    state: str,
    *,
    path: str | None = None,
    raw_path: str | None = None,
    error: Message | None = None,
) -> None:
    described = None if error is None else {language: error.text(language) for language in LANGUAGES}
    tx.all(
        """UPDATE frames SET state = :state, path = :path, raw_path = :raw_path, error = :error, changed = :tick
            WHERE board = :board AND key = :key""",
        board=board,
        key=key,
        tick=tick,
        state=state,
        path=path,
        raw_path=raw_path,
        error=None if described is None else json.dumps(described, ensure_ascii=False),
    )


def _count_money(tx: Tx, board: str) -> None:
    """What was spent is what the payments say, or a budget could be widened by a number in a file."""
    rows = tx.all("SELECT amount FROM tokens WHERE board = :board AND state <> 'released'", board=board)
    if not all(type(row["amount"]) is int and row["amount"] >= 0 for row in rows):
        raise ValueError("amount")
    spent = sum(row["amount"] for row in rows)
    tx.all("UPDATE purses SET spent = :spent WHERE board = :board", board=board, spent=spent)


def _has_token(tx: Tx, board: str, key: str) -> bool:
    return one(tx, "SELECT 1 AS one FROM tokens WHERE board = :board AND key = :key", board=board, key=key) is not None


def _of(row: Row, board: str) -> dict[str, str]:
    return {"board": board, "key": row["key"]}
