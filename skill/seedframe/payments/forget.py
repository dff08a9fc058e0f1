"""Deletes texts and details of entries on request; the money stays.

In: an open record, which entries. Out: how many were cleared and which could not be cleared yet.
What keeps a call from being paid twice stays: its fingerprint (a SHA-256), its state, its day and its amounts. An entry
that is under way, or whose pictures no caller received yet, keeps its details until that has ended.
Never in here: a picture, a sidecar, a rule about money.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from seedframe.payments.sql import Connection, Row, Tx, listed

_SETTLED = "('delivered', 'failed', 'lost')"
_OPEN = "('unknown', 'partial-unknown')"
"""Its end is unknown: the kind of its error stays, because the next identical call is refused with it."""

_HAS_WORDS = "(request <> '{}' OR result IS NOT NULL OR request_id IS NOT NULL OR error IS NOT NULL)"
_CLEAR = f"""UPDATE entries SET request = '{{}}', result = NULL, request_id = NULL, error = NULL, delivery = NULL
    WHERE state IN {_SETTLED} AND {_HAS_WORDS}"""  # noqa: S608
_WITH_WORDS = f"SELECT id, error FROM entries WHERE state IN {_OPEN} AND (request <> '{{}}' OR result IS NOT NULL)"  # noqa: S608
_CLEAR_OPEN = "UPDATE entries SET request = '{}', result = NULL, delivery = NULL, error = :error WHERE id = :id"
_KEPT = """SELECT id FROM entries
    WHERE state NOT IN ('delivered', 'failed', 'lost', 'unknown', 'partial-unknown')"""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`cleared` entries lost their texts; `kept` are the ids of those whose details are still needed."""

    cleared: int
    kept: tuple[str, ...] = ()


def forget(db: Connection, *, ids: Collection[str] | None, before: float | None) -> Forgotten:
    """One transaction; both limits hold together, None is no limit."""
    chosen, values = "", dict[str, Any]()
    if ids is not None:
        names, values = listed(ids)
        chosen += f" AND id IN {names}"
    if before is not None:
        chosen += " AND changed < :before"
        values |= {"before": before}
    with db.deciding() as tx:
        cleared = len(tx.all(f"{_CLEAR}{chosen} RETURNING id", **values))
        cleared += _clear_open(tx, tx.all(f"{_WITH_WORDS}{chosen}", **values))
        kept = tx.all(f"{_KEPT}{chosen} ORDER BY number", **values)
    return Forgotten(cleared, tuple(str(row["id"]) for row in kept))


def _clear_open(tx: Tx, rows: Sequence[Row]) -> int:
    kinds = {row["id"]: json.loads(row["error"]).get("kind") if row["error"] else None for row in rows}
    errors = {id: None if kind is None else json.dumps({"kind": kind}) for id, kind in kinds.items()}
    tx.many(_CLEAR_OPEN, [{"id": id, "error": error} for id, error in errors.items()])
    return len(rows)
