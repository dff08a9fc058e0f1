"""The payment record may fail; what is said and kept of a paid call stays true, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from faults import CAT, GOOD, IMAGE, Place, Service, locked, page
from seedframe.errors import EarlierOutcomeUnknown, OutcomeUnknown, StoreError, Undelivered
from seedframe.payments import Payments
from seedframe.payments.migrations import MIGRATIONS
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio


async def at_once(_seconds: float) -> None:
    """Waits of the client take no time."""


class Locking:
    """Another program that locks the record when the POST has left, until it lets go."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._place = Place(Path(environ["SEEDFRAME_OUTPUT_DIR"]), Path(environ["SEEDFRAME_JOURNAL"]))
        self._hold = locked(self._place)
        self.held = False

    def lock(self) -> None:
        if not self.held:
            self._hold = locked(self._place)
            self._hold.__enter__()
            self.held = True

    def let_go(self) -> None:
        self._hold.__exit__(None, None, None)
        self.held = False


@asynccontextmanager
async def studio_of(environ: dict[str, str], carrier: Any, busy: float = 0.1) -> AsyncIterator[Studio]:
    async with Studio.open(Settings.read(environ), transport=carrier, sleep=at_once, busy=busy) as studio:
        yield studio


async def made(studio: Studio, **more: Any) -> dict[str, Any]:
    async with studio.make("generate_image", {**CAT, **more}) as result:
        return result.as_dict()


def spool(environ: dict[str, str]) -> list[Path]:
    record = Path(environ["SEEDFRAME_JOURNAL"])
    return sorted(record.with_name(f"{record.name}.spool").glob("*.json"))


@pytest.mark.slow
async def test_the_facts_wait_beside_the_record_and_are_entered_once_by_the_next_start(
    environ: dict[str, str],
) -> None:
    other = Locking(environ)
    async with studio_of(environ, Service([GOOD], [page(404)], other.lock)) as studio:
        with pytest.raises(Undelivered) as caught:
            await made(studio)
        (path,) = spool(environ)
        copy = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"kept in {path} and enters the record at the next start" in str(caught.value)
    assert "nothing was sent" not in str(caught.value).lower()
    other.let_go()
    for _ in range(2):  # the second time as if the first had died before it could remove the file
        async with await Payments.open(Path(environ["SEEDFRAME_JOURNAL"])) as journal:
            (entry,) = await journal.entries()
            assert (entry.state, str(entry.booked), entry.fetchable) == ("undelivered", "0.22", (0,))
            assert spool(environ) == []
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(copy)
    async with studio_of(environ, carrier := Service([GOOD], [IMAGE], lambda: None)) as studio:
        assert (await made(studio))["fetched"] is True
    assert carrier.posts == 0


@pytest.mark.slow
async def test_the_record_is_brought_up_to_date_by_the_same_process_as_soon_as_it_takes_it(
    environ: dict[str, str],
) -> None:
    other = Locking(environ)
    async with studio_of(environ, carrier := Service([GOOD], [IMAGE], other.lock)) as studio:
        facts = await made(studio)
        other.let_go()
        other.lock = lambda: None  # type: ignore[method-assign]
        assert any("could not be written (database is locked)" in warning for warning in facts["warnings"])
        second = Service([GOOD], [IMAGE], lambda: None)
        async with studio_of(environ, second) as elsewhere:
            assert [entry.state for entry in await elsewhere.payments.entries()] in (["sent"], ["delivered"])
        await studio.payments.finished(facts["id"], timeout=10)
        (entry,) = await studio.payments.entries()
        assert (entry.state, str(entry.booked), spool(environ)) == ("delivered", "0.22", [])
    assert carrier.posts == 1


@pytest.mark.slow
async def test_a_short_lock_is_waited_for(environ: dict[str, str]) -> None:
    other = Locking(environ)

    def lock_for_a_moment() -> None:
        other.lock()
        asyncio.get_running_loop().call_later(0.3, other.let_go)

    async with studio_of(environ, Service([GOOD], [IMAGE], lock_for_a_moment), busy=20) as studio:
        assert (await made(studio))["warnings"] == []
    assert spool(environ) == []


@pytest.mark.slow
async def test_nobody_waits_for_a_call_of_this_very_process_whose_end_could_not_be_written(
    environ: dict[str, str],
) -> None:
    other = Locking(environ)
    lost = Service([httpx.ReadError("reset")], [IMAGE], other.lock)
    async with studio_of(environ, lost) as studio:
        with pytest.raises(OutcomeUnknown):
            await made(studio)
        with pytest.raises(StoreError, match="nothing was sent"):  # still locked: true of this call
            await asyncio.wait_for(made(studio), 20)
        other.let_go()
        with pytest.raises(EarlierOutcomeUnknown):
            await asyncio.wait_for(made(studio), 20)
    assert lost.posts == 1


@pytest.mark.slow
async def test_where_the_records_folder_takes_no_file_either_the_facts_wait_in_the_temporary_folder(
    environ: dict[str, str],
) -> None:
    record = Path(environ["SEEDFRAME_JOURNAL"])
    record.with_name(f"{record.name}.spool").write_bytes(b"a file where a folder is wanted")
    other = Locking(environ)
    async with studio_of(environ, Service([httpx.ReadError("reset")], [IMAGE], other.lock)) as studio:
        with pytest.raises(OutcomeUnknown) as caught:
            await made(studio)
    path = Path(str(caught.value.facts["record"]).partition("kept in ")[2].partition(" and enters")[0])
    assert (path.exists(), stat.S_IMODE(path.parent.stat().st_mode)) == (True, 0o700)
    other.let_go()
    async with await Payments.open(record) as journal:
        assert [entry.state for entry in await journal.entries()] == ["unknown"]
    assert not path.exists()


async def test_a_spool_file_that_cannot_be_read_stands_in_nobodys_way(environ: dict[str, str]) -> None:
    record = Path(environ["SEEDFRAME_JOURNAL"])
    folder = record.with_name(f"{record.name}.spool")
    folder.mkdir(mode=0o700)
    row = {"id": "x", "fingerprint": None}
    (folder / "cut.json").write_text('{"id": "x", "own')
    (folder / "odd.json").write_text(json.dumps({"id": "x", "owner": "nobody", "row": row, "steps": []}))
    async with studio_of(environ, Service([GOOD], [IMAGE], lambda: None)) as studio:
        assert (await made(studio))["status"] == "done"
    assert [path.name for path in sorted(folder.iterdir())] == ["cut.json", "odd.refused"]


OLD_STATES = ("saved", "delivered", "failed", "unknown", "lost")


@pytest.fixture
def old_record(tmp_path: Path) -> Path:
    """A payment record as the first edition wrote it, with one entry in each lasting state."""
    path = tmp_path / "journal.sqlite3"
    db = sqlite3.connect(path)
    for statement in MIGRATIONS[0]:
        db.execute(statement)
    for number, state in enumerate(OLD_STATES, 1):
        result = json.dumps({"pictures": []}) if state in {"saved", "delivered"} else None
        reserved = 220_000 if state == "unknown" else 0
        booked = 220_000 if state in {"saved", "delivered", "lost"} else 0
        values = (number, f"e{number}", state, state, "1-dead", "ark", "5.0-lite", 1, "CNY", 220_000, reserved, booked)
        db.execute(
            f"INSERT INTO entries VALUES ({', '.join('?' * 22)})",
            (*values, "2026-11-20", 1.0, 2.0, 1, 0, 1, "02", '{"prompt": "a cat"}', result, '{"kind": "Old"}'),
        )
    db.execute("PRAGMA application_id = 0x5EEDF4A3")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    return path


async def test_a_record_of_the_first_edition_is_brought_up_to_date_without_losing_a_word(old_record: Path) -> None:
    async with await Payments.open(old_record) as journal:
        entries = {entry.state: entry for entry in await journal.entries()}
        assert list(entries) == [*reversed(OLD_STATES)]
        unknown = entries["unknown"]
        assert (unknown.id, unknown.fingerprint, str(unknown.reserved), unknown.error) == (
            "e4",
            "unknown",
            "0.22",
            {"kind": "Old"},
        )
        assert {(entry.doubtful, entry.fetchable, entry.fetch_until) for entry in entries.values()} == {((), (), None)}
        assert [entry.settled for entry in entries.values()] == [True, False, False, False, False]
        await journal.settle("e4", billed=False)
    db = sqlite3.connect(old_record)
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    names = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")}
    db.close()
    assert names == {
        "one_in_flight",
        "by_fingerprint",
        "by_day",
        "under_way",
        "to_fetch",
        "one_payment_of_frame",
        "by_board",
    }


async def test_an_upgrade_that_is_cut_off_leaves_the_old_record_whole(old_record: Path, tmp_path: Path) -> None:
    before = b"".join(path.read_bytes() for path in [old_record])
    db = sqlite3.connect(old_record, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        await Payments.open(old_record, busy=0.1)
    db.rollback()
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT count(*) FROM entries").fetchone() == (5,)
    db.close()
    assert (len(before) > 0, [path.name for path in tmp_path.glob("*.spool")]) == (True, [])
