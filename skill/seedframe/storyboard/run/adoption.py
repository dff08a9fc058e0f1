"""A board whose run was recorded elsewhere, or nowhere, is taken in: the record says what the files prove.

In: a transaction after the board's frames were entered, the proofs of its folder, frames whose bill nobody knew.
Out: a record that may be gone on with. What is proven is done and is not paid again. What the record calls done without
proof is lost, and only a person's `retry` pays for it anew.
Never in here: a file being read, a payment.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

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


def take_in(tx: Tx, board: str, evidence: Evidence) -> None:
    """Bring the frames of this board in line with what its folder proves. ValueError for a record that is not ours."""
    for row in tx.all("SELECT key, path FROM frames WHERE board = :board AND place >= 0", board=board):
        _settle_frame(tx, board, row, evidence)
    _count_money(tx, board)
    if evidence.alone:
        tx.all("DELETE FROM workers")
        tx.all("UPDATE frames SET place = -1 WHERE board <> :board", board=board)


def _settle_frame(tx: Tx, board: str, row: Row, evidence: Evidence) -> None:
    key = row["key"]
    proof = evidence.proofs.get(key)
    if proof is not None:
        tx.all(
            """UPDATE frames SET path = :path, raw_path = :raw_path, made = :made, made_for = :made_for
                WHERE board = :board AND key = :key""",
            board=board,
            key=key,
            path=str(proof.path),
            raw_path=None if proof.raw_path is None else str(proof.raw_path),
            made=json.dumps(dict(proof.made)),
            made_for=proof.made_for,
        )
    elif row["path"] is not None:
        tx.all("UPDATE frames SET path = NULL, raw_path = NULL WHERE board = :board AND key = :key", **_of(row, board))
        _note(tx, board, row, "lost")
    elif key in evidence.unknown:
        _note(tx, board, row, "unknown")


def _note(tx: Tx, board: str, row: Row, state: str) -> None:
    """The frame's payment is in that state; one that nobody recorded is entered without an amount."""
    tx.all(
        "UPDATE tokens SET state = :state WHERE board = :board AND key = :key AND state = 'paid'",
        state=state,
        **_of(row, board),
    )
    if one(tx, "SELECT 1 AS one FROM tokens WHERE board = :board AND key = :key", **_of(row, board)) is None:
        tx.all(
            """INSERT INTO tokens (token, board, key, state, amount, machine, made)
                VALUES (:token, :board, :key, :state, 0, '', clock())""",
            token=secrets.token_hex(16),
            state=state,
            **_of(row, board),
        )


def _count_money(tx: Tx, board: str) -> None:
    """What was spent is what the payments say, or a budget could be widened by a number in a file."""
    rows = tx.all("SELECT amount FROM tokens WHERE board = :board AND state <> 'released'", board=board)
    if not all(type(row["amount"]) is int and row["amount"] >= 0 for row in rows):
        raise ValueError("amount")
    spent = sum(row["amount"] for row in rows)
    tx.all("UPDATE purses SET spent = :spent WHERE board = :board", board=board, spent=spent)


def _of(row: Row, board: str) -> dict[str, str]:
    return {"board": board, "key": row["key"]}
