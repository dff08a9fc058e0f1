"""Money in doubt: a person's explicit word settles it, for a call or for one picture, and sees what that does first."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from conftest import OpenStudio
from faults import IMAGE, Service, breaking, came, page
from seedframe.cli import program
from seedframe.emulator import scripted, transport
from seedframe.errors import EarlierOutcomeUnknown, InvalidRequest, SeedreamError
from seedframe.payments import Entry, Payments
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}
THREE = {"prompt": "一组三张图：同一只猫在窗台、屋顶和花园", "ratio": "1:1", "count": 3, "related": True}


async def made(studio: Studio, arguments: dict[str, Any], **more: Any) -> None:
    async with studio.make("generate_image", {**arguments, **more}):
        pass


async def in_doubt(open_studio: OpenStudio, arguments: dict[str, Any], fault: object) -> str:
    """An entry whose answer was lost in some way; its id."""
    async with open_studio(transport=transport(paint="instant", script=scripted(fault))) as studio:
        with contextlib.suppress(SeedreamError):
            await made(studio, arguments)
        (entry,) = await studio.payments.entries()
    return entry.id


def money(entry: Entry) -> tuple[str, str, str]:
    return entry.state, str(entry.booked), str(entry.reserved)


@pytest.fixture
async def journal(environ: dict[str, str]) -> AsyncIterator[Payments]:
    async with await Payments.open(Path(environ["SEEDFRAME_JOURNAL"])) as opened:
        yield opened


def typed(environ: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(program("en"), list(words), obj=Settings.read(environ))


def test_without_a_word_nothing_is_settled_and_both_words_are_shown(
    open_studio: OpenStudio, environ: dict[str, str]
) -> None:
    id = asyncio.run(in_doubt(open_studio, CAT, "drop-before-answer"))
    asked = typed(environ, "journal", "settle", id)
    after = json.loads(typed(environ, "journal", "show", id, "--json").stdout)
    assert (asked.exit_code, after["state"], Decimal(after["reserved"])) == (2, "unknown", Decimal("0.22"))
    assert "Say what the service's console shows: --billed or --not-billed." in asked.stderr
    assert "--billed: booked 0 → 0.22, reserved 0.22 → 0 CNY, state unknown → lost;" in asked.stderr
    assert "--not-billed: booked 0 → 0, reserved 0.22 → 0 CNY, state unknown → failed." in asked.stderr


def test_a_preview_changes_nothing_and_a_word_shows_the_days_money_before_and_after(
    open_studio: OpenStudio, environ: dict[str, str]
) -> None:
    id = asyncio.run(in_doubt(open_studio, THREE, "cut-stream 1"))
    home = {**environ, "SEEDFRAME_BUDGET": "1.00 CNY"}
    looked = typed(home, "journal", "settle", id, "--not-billed", "--preview")
    said = typed(home, "journal", "settle", id, "--not-billed")
    described = "booked 0.22 → 0.22, reserved 0.44 → 0 CNY, state partial-unknown → delivered"
    assert looked.stdout.startswith(f"{id} would become: {described}; spent or reserved on ")
    assert looked.stdout.endswith(": 0.66 → 0.22 CNY, of a budget of 1.00. Nothing was changed.\n")
    assert said.stdout.startswith(f"{id}: {described}; spent or reserved on ")
    again = typed(home, "journal", "settle", id, "--billed")
    assert (again.exit_code, "there is no open question about its money" in again.stderr) == (2, True)


def test_the_machine_reads_both_sides_beside_the_entry(open_studio: OpenStudio, environ: dict[str, str]) -> None:
    id = asyncio.run(in_doubt(open_studio, CAT, "drop-before-answer"))
    described = json.loads(typed(environ, "journal", "settle", id, "--billed", "--json").stdout)
    assert (described["id"], described["state"], described["changed"]) == (id, "lost", True)
    assert described["before"] == {"state": "unknown", "booked": "0", "reserved": "0.22"}
    assert described["after"] == {"state": "lost", "booked": "0.22", "reserved": "0"}
    assert (described["spent"]["before"], described["spent"]["after"]) == ("0.22", "0.22")


SLOTS = [
    pytest.param([(1, True), (2, True)], ("delivered", "0.66", "0"), id="both billed"),
    pytest.param([(1, False), (2, False)], ("delivered", "0.22", "0"), id="neither"),
    pytest.param([(1, True), (2, False)], ("delivered", "0.44", "0"), id="one of them"),
    pytest.param([(2, False)], ("partial-unknown", "0.22", "0.22"), id="one is still open"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("words", "left"), SLOTS)
async def test_pictures_of_a_cut_set_are_settled_one_by_one(
    open_studio: OpenStudio, environ: dict[str, str], words: list[tuple[int, bool]], left: tuple[str, str, str]
) -> None:
    id = await in_doubt(open_studio, THREE, "cut-stream 1")
    async with open_studio() as studio:
        for slot, billed in words:
            with pytest.raises(EarlierOutcomeUnknown):
                await made(studio, THREE)
            await studio.payments.settle(id, billed=billed, slot=slot)
        entry = await studio.payments.entry(id)
        assert entry is not None
        assert money(entry) == left
        if entry.state == "delivered":
            await made(studio, THREE)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("words", "left"),
    [
        pytest.param([True, True, True], ("lost", "0.66", "0"), id="all billed"),
        pytest.param([False, False, False], ("failed", "0", "0"), id="none billed"),
        pytest.param([True, False, False], ("lost", "0.22", "0"), id="one billed"),
        pytest.param([False, True], ("unknown", "0.22", "0.22"), id="one still open"),
    ],
)
async def test_pictures_of_a_lost_set_are_settled_one_by_one(
    open_studio: OpenStudio, journal: Payments, words: list[bool], left: tuple[str, str, str]
) -> None:
    id = await in_doubt(open_studio, THREE, "drop-before-answer")
    for slot, billed in enumerate(words):
        await journal.settle(id, billed=billed, slot=slot)
    entry = await journal.entry(id)
    assert entry is not None
    assert money(entry) == left


@pytest.mark.anyio
@pytest.mark.parametrize(("billed", "left"), [(True, ("lost", "0.22", "0")), (False, ("failed", "0", "0"))])
async def test_a_picture_that_could_not_be_brought_can_be_given_up(
    open_studio: OpenStudio, journal: Payments, billed: bool, left: tuple[str, str, str]
) -> None:
    id = await in_doubt(open_studio, CAT, "download-404")
    assert [kept.slot for kept in await journal.kept(id)] == [0]
    done = await journal.settle(id, billed=billed)
    assert (money(done.before), money(done.after)) == (("undelivered", "0.22", "0"), left)
    assert await journal.kept(id) == ()
    async with open_studio() as studio:
        await made(studio, CAT)


@pytest.mark.anyio
async def test_a_set_with_a_picture_to_fetch_and_two_in_doubt_keeps_what_is_not_spoken_of(
    open_studio: OpenStudio, journal: Payments
) -> None:
    carrier = Service([breaking(came(0))], [page(404), IMAGE], lambda: None)
    async with open_studio(transport=carrier) as studio:
        with pytest.raises(SeedreamError):
            await made(studio, THREE)
        (entry,) = await studio.payments.entries()
        done = await journal.settle(entry.id, billed=False, slot=2)
        assert money(done.after) == ("undelivered", "0.22", "0.22")
        await made(studio, THREE)
        left = await studio.payments.entry(entry.id)
        assert left is not None
        assert (money(left), left.doubtful) == (("partial-unknown", "0.22", "0.22"), (1,))


@pytest.mark.anyio
async def test_a_picture_that_is_not_in_question_is_named_with_those_that_are(
    open_studio: OpenStudio, journal: Payments
) -> None:
    id = await in_doubt(open_studio, THREE, "cut-stream 1")
    with pytest.raises(InvalidRequest, match="open: 2, 3") as caught:
        await journal.settle(id, billed=True, slot=0)
    assert (caught.value.got, caught.value.allowed) == (1, [2, 3])
