"""The single pictures of a call, where their state differs from the whole call's.

In: steps of `records`, inside its transactions. Out: where a paid picture can be fetched, which ones are in doubt.
Never in here: a download, a rule about money, an address in a text.

    kept       paid, at `address` until `expires`, not yet on the disk; the row is deleted when it is
    doubtful   perhaps billed          billed, unbilled   settled by a person
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping

from seedframe.payments.entries import Kept
from seedframe.payments.sql import Tx, one


class Slots:
    """The table `slots` of one open record."""

    def __init__(self, db: Tx, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def keep(self, entry: str, kept: Kept) -> None:
        """Note an address."""
        self._db.all(
            """INSERT INTO slots (entry, slot, state, address, expires, facts)
                VALUES (:entry, :slot, 'kept', :address, :expires, :facts)
                ON CONFLICT (entry, slot) DO UPDATE SET state = excluded.state, address = excluded.address,
                    expires = excluded.expires, facts = excluded.facts""",
            entry=entry,
            slot=kept.slot,
            address=kept.address,
            expires=kept.expires,
            facts=json.dumps(kept.facts),
        )

    def kept(self, entry: str) -> tuple[Kept, ...]:
        """What can be fetched, in order."""
        rows = self._db.all("SELECT * FROM slots WHERE entry = :entry AND state = 'kept' ORDER BY slot", entry=entry)
        return tuple(Kept(row["slot"], row["address"], row["expires"], json.loads(row["facts"])) for row in rows)

    def fetched(self, entry: str, *, but: Collection[int]) -> None:
        """Delete the addresses of saved pictures: all, except the slots in `but`."""
        gone = [slot for slot, state in self.said(entry).items() if state == "kept" and slot not in but]
        self._db.many(
            "DELETE FROM slots WHERE entry = :entry AND slot = :slot", [{"entry": entry, "slot": slot} for slot in gone]
        )

    def drop_addresses(self, entry: str) -> None:
        """Delete every address."""
        self.fetched(entry, but=())

    def doubt(self, entry: str, slots: Collection[int]) -> None:
        """Mark pictures that may or may not have been billed; those with an address are not in doubt."""
        self._db.many(
            "INSERT INTO slots (entry, slot, state) VALUES (:entry, :slot, 'doubtful') ON CONFLICT DO NOTHING",
            [{"entry": entry, "slot": slot} for slot in sorted(slots)],
        )

    def doubtful(self, entry: str) -> bool:
        """Whether any is in doubt."""
        return "doubtful" in self.said(entry).values()

    def said(self, entry: str) -> Mapping[int, str]:
        """The states of single pictures: slot → state."""
        rows = self._db.all("SELECT slot, state FROM slots WHERE entry = :entry ORDER BY slot", entry=entry)
        return {row["slot"]: row["state"] for row in rows}

    def settle(self, entry: str, chosen: Collection[int], left: Collection[int], *, billed: bool) -> None:
        """Settle `chosen`; those `left` are still in doubt, unless they have an address."""
        self.doubt(entry, left)
        said = "billed" if billed else "unbilled"
        self._db.many(
            """INSERT INTO slots (entry, slot, state) VALUES (:entry, :slot, :said)
                ON CONFLICT (entry, slot) DO UPDATE SET state = excluded.state, address = NULL, expires = NULL""",
            [{"entry": entry, "slot": slot, "said": said} for slot in sorted(chosen)],
        )

    def left_at_service(self, fingerprint: str) -> str | None:
        """The oldest call of that request whose pictures can still be fetched."""
        row = one(
            self._db,
            """SELECT id FROM entries WHERE fingerprint = :fingerprint AND state = 'undelivered' AND written_off = 0
                AND EXISTS (SELECT 1 FROM slots
                    WHERE slots.entry = entries.id AND slots.state = 'kept' AND slots.expires > :now)
                ORDER BY number LIMIT 1""",
            fingerprint=fingerprint,
            now=self._now(),
        )
        return None if row is None else str(row["id"])

    def overdue(self) -> list[str]:
        """Calls whose pictures can no longer be fetched, none of them."""
        rows = self._db.all(
            """SELECT id FROM entries WHERE state = 'undelivered' AND NOT EXISTS (SELECT 1 FROM slots
                WHERE slots.entry = entries.id AND slots.state = 'kept' AND slots.expires > :now)""",
            now=self._now(),
        )
        return [str(row["id"]) for row in rows]
