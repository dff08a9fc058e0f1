"""The single pictures of a call, where their state differs from the whole call's.

In: steps of `records`, inside its transactions. Out: where a paid picture can be fetched, which ones are in doubt.
Never in here: a download, a rule about money, an address in a text.

    kept       paid, at `address` until `expires`, not yet on the disk; the row is deleted when it is
    doubtful   perhaps billed          billed, unbilled   settled by a person
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping

from seedframe.payments.entries import Kept


class Slots:
    """The table `slots` of one open record."""

    def __init__(self, db: sqlite3.Connection, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def keep(self, entry: str, kept: Kept) -> None:
        """Note an address."""
        self._db.execute(
            """INSERT INTO slots VALUES (?, ?, 'kept', ?, ?, ?) ON CONFLICT (entry, slot) DO UPDATE SET
                state = excluded.state, address = excluded.address, expires = excluded.expires,
                facts = excluded.facts""",
            (entry, kept.slot, kept.address, kept.expires, json.dumps(kept.facts)),
        )

    def kept(self, entry: str) -> tuple[Kept, ...]:
        """What can be fetched, in order."""
        rows = self._db.execute("SELECT * FROM slots WHERE entry = ? AND state = 'kept' ORDER BY slot", (entry,))
        return tuple(Kept(row["slot"], row["address"], row["expires"], json.loads(row["facts"])) for row in rows)

    def fetched(self, entry: str, *, but: Collection[int]) -> None:
        """Delete the addresses of saved pictures: all, except the slots in `but`."""
        self._db.execute(
            """DELETE FROM slots WHERE entry = ? AND state = 'kept'
                AND slot NOT IN (SELECT value FROM json_each(?))""",
            (entry, json.dumps(sorted(but))),
        )

    def drop_addresses(self, entry: str) -> None:
        """Delete every address."""
        self.fetched(entry, but=())

    def doubt(self, entry: str, slots: Collection[int]) -> None:
        """Mark pictures that may or may not have been billed; those with an address are not in doubt."""
        self._db.executemany(
            "INSERT INTO slots (entry, slot, state) VALUES (?, ?, 'doubtful') ON CONFLICT DO NOTHING",
            [(entry, slot) for slot in sorted(slots)],
        )

    def doubtful(self, entry: str) -> bool:
        """Whether any is in doubt."""
        return "doubtful" in self.said(entry).values()

    def said(self, entry: str) -> Mapping[int, str]:
        """The states of single pictures: slot → state."""
        rows = self._db.execute("SELECT slot, state FROM slots WHERE entry = ? ORDER BY slot", (entry,))
        return {row["slot"]: row["state"] for row in rows}

    def settle(self, entry: str, chosen: Collection[int], left: Collection[int], *, billed: bool) -> None:
        """Settle `chosen`; those `left` are still in doubt, unless they have an address."""
        self.doubt(entry, left)
        said = "billed" if billed else "unbilled"
        self._db.executemany(
            """INSERT INTO slots (entry, slot, state) VALUES (?, ?, ?) ON CONFLICT (entry, slot) DO UPDATE SET
                state = excluded.state, address = NULL, expires = NULL""",
            [(entry, slot, said) for slot in sorted(chosen)],
        )

    def left_at_service(self, fingerprint: str) -> str | None:
        """The oldest call of that request whose pictures can still be fetched."""
        row = self._db.execute(
            """SELECT id FROM entries WHERE fingerprint = ? AND state = 'undelivered' AND EXISTS (
                SELECT 1 FROM slots WHERE slots.entry = entries.id AND slots.state = 'kept' AND slots.expires > ?)
                ORDER BY number LIMIT 1""",
            (fingerprint, self._now()),
        ).fetchone()
        return row and str(row["id"])

    def overdue(self) -> list[str]:
        """Calls whose pictures can no longer be fetched, none of them."""
        rows = self._db.execute(
            """SELECT id FROM entries WHERE state = 'undelivered' AND NOT EXISTS (
                SELECT 1 FROM slots WHERE slots.entry = entries.id AND slots.state = 'kept' AND slots.expires > ?)""",
            (self._now(),),
        )
        return [str(row["id"]) for row in rows]
