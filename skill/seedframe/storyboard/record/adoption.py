"""A board whose run was recorded elsewhere, or nowhere, is taken in: the record says what the files prove.

In: a transaction after the board's frames were entered, the proofs of its folder, frames whose bill nobody knew.
Out: a record that may be gone on with, and the frames whose payment is lost or in doubt. What is proven is done and is
not paid again. What the record calls done without proof is lost, what it says was asked for is unknown, and only a
person's `retry` pays for it anew.
Never in here: a file being read, a payment.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from seedframe.storyboard.record.database import Row, Tx
from seedframe.storyboard.record.proof import Proof


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a folder shows: proven frames, and those of which only its manifest knew that they may have been billed.

    `alone`: the record is the folder's own, so that nobody else's boards and workers are in it.
    """

    proofs: Mapping[str, Proof]
    unknown: Collection[str] = field(default=())
    alone: bool = True


Question = Literal["unknown", "lost"]


def take_in(tx: Tx, board: str, evidence: Evidence) -> dict[str, Question]:
    """Bring the frames of this board in line with what its folder proves; key → what its payment is then."""
    rows = tx.all("SELECT key, path, asked FROM frames WHERE board = :board AND place >= 0", board=board)
    questions: dict[str, Question] = {}
    for row in rows:
        proof = evidence.proofs.get(row["key"])
        if proof is not None:
            _note_proof(tx, board, row, proof)
        elif row["path"] is not None:
            questions[row["key"]] = "lost"
        elif row["asked"] or row["key"] in evidence.unknown:
            questions[row["key"]] = "unknown"
    if evidence.alone:
        tx.all("DELETE FROM workers")
        tx.all("UPDATE frames SET place = -1 WHERE board <> :board", board=board)
    return questions


def _note_proof(tx: Tx, board: str, row: Row, proof: Proof) -> None:
    tx.all(
        """UPDATE frames SET path = :path, raw_path = :raw_path, made = :made, made_for = :made_for
            WHERE board = :board AND key = :key""",
        board=board,
        key=row["key"],
        path=str(proof.path),
        raw_path=None if proof.raw_path is None else str(proof.raw_path),
        made=json.dumps(dict(proof.made)),
        made_for=proof.made_for,
    )
