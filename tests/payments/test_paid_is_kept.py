"""What is paid is kept: a picture that could not be brought is fetched free, by whoever asks, for a day."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from click.testing import CliRunner, Result
from mcp import Client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from canned import SIZE, URL, Answer, completed, jpeg
from conftest import OpenStudio
from faults import GOOD, IMAGE, Service, breaking, came, page, streamed
from seedframe.cli import program
from seedframe.emulator import InProcess, running
from seedframe.errors import (
    EarlierOutcomeUnknown,
    InvalidRequest,
    PaidAndLost,
    SpendingRefused,
    StoreError,
    Undelivered,
)
from seedframe.mcp_server.app import build_server
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}
THREE = {"prompt": "一组三张图：同一只猫在窗台、屋顶和花园", "ratio": "1:1", "count": 3, "related": True}
DAY = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.time = 1_795_000_000.0

    def __call__(self) -> float:
        return self.time


async def at_once(_seconds: float) -> None:
    """Waits of the client take no time."""


def service(*gets: Any, posts: Any = (GOOD,)) -> Service:
    return Service(posts, gets, lambda: None)


@asynccontextmanager
async def studio_of(environ: dict[str, str], carrier: Any, **options: Any) -> AsyncIterator[Studio]:
    async with Studio.open(Settings.read(environ), transport=carrier, sleep=at_once, **options) as studio:
        yield studio


async def made(studio: Studio, arguments: dict[str, Any] = CAT, **more: Any) -> dict[str, Any]:
    async with studio.make("generate_image", {**arguments, **more}) as result:
        return result.as_dict()


async def states(studio: Studio) -> list[str]:
    return [entry.state for entry in await studio.payments.entries()]


@pytest.mark.anyio
async def test_the_same_tool_call_fetches_what_the_first_one_could_not_and_pays_nothing(
    environ: dict[str, str],
) -> None:
    carrier = service(page(403), IMAGE)
    server = build_server(lambda: Studio.open(Settings.read(environ), transport=carrier, sleep=at_once), "en")
    async with Client(server) as host:
        first = await host.call_tool("generate_image", CAT)
        again = await host.call_tool("generate_image", CAT)
        third = await host.call_tool("generate_image", CAT)
    texts = ["".join(block.text for block in one.content if isinstance(block, t.TextContent)) for one in (first, again)]
    lost, had = (json.loads(text.rpartition("\n")[2]) for text in texts)
    assert (first.is_error, lost["error"], lost["billed"], lost["cost"]["amount"]) == (
        True,
        "Undelivered",
        "yes",
        "0.22",
    )
    assert (lost["fetchable"], lost["fetch"]) == ([1], f"seedframe fetch {lost['entry']}")
    assert "HTTP 403" in texts[0]
    assert (again.is_error, had["status"], had["fetched"], had["id"]) == (False, "done", True, lost["entry"])
    assert "(fetched: paid for earlier, nothing was paid now)" in texts[1]
    assert (Path(had["pictures"][0]["path"]).read_bytes(), had["cost"]["amount"]) == (jpeg(), "0.22")
    assert [block.type for block in again.content] == ["text", "image", "resource_link"]
    assert (third.is_error, carrier.posts) == (False, 2)


@pytest.mark.slow
@pytest.mark.anyio
async def test_another_process_can_fetch_it_and_writes_the_same_record_beside_it(environ: dict[str, str]) -> None:
    arguments = {**CAT, "save_as": "cats/cat", "size": "1920x1920", "frame": "900x1600"}
    del arguments["ratio"]
    async with studio_of(environ, service(page(404))) as studio:
        with pytest.raises(Undelivered) as caught:
            await made(studio, arguments)
    entry = caught.value.facts["entry"]
    async with studio_of(environ, carrier := service(IMAGE)) as other, other.fetch(entry) as result:
        facts = result.as_dict()
    (picture,) = facts["pictures"]
    path = Path(environ["SEEDFRAME_OUTPUT_DIR"]) / "cats" / "cat.jpg"
    record = json.loads(path.with_name("cat.jpg.json").read_text(encoding="utf-8"))
    assert (picture["path"], picture["width"], picture["height"]) == (str(path), 900, 1600)
    assert (record["prompt"], record["request"]["size"], record["id"]) == (CAT["prompt"], "1920x1920", entry)
    assert (facts["status"], facts["fetched"], facts["frame"]["asked"]) == ("done", True, "1920x1920")
    assert carrier.posts == 0
    async with studio_of(environ, service(IMAGE)) as studio:
        with pytest.raises(InvalidRequest, match="only one that is 'undelivered' has pictures left to fetch"):
            async with studio.fetch(entry):
                pass


@pytest.mark.anyio
async def test_the_address_is_in_the_record_alone_and_only_until_the_picture_is_saved(
    environ: dict[str, str], tmp_path: Path
) -> None:
    async with studio_of(environ, service(page(404), IMAGE)) as studio:
        with pytest.raises(Undelivered) as caught:
            await made(studio)
        entry = caught.value.facts["entry"]
        (kept,) = await studio.payments.kept(entry)
        shown = repr(await studio.payments.entry(entry)) + repr(caught.value.facts) + str(caught.value)
        assert (kept.address, "X-Tos-Signature=5ec2e7" in shown) == (URL, False)
        await made(studio)
        assert await studio.payments.kept(entry) == ()
    record = Path(environ["SEEDFRAME_JOURNAL"])
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    others = [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(record.name)]
    assert [path for path in others if b"5ec2e7" in path.read_bytes()] == []
    assert b"5ec2e7" not in record.read_bytes(), "checkpointed at the end, and overwritten"


@pytest.mark.anyio
async def test_of_a_set_only_the_missing_one_is_fetched(environ: dict[str, str]) -> None:
    answer = streamed(came(0), came(1), came(2), completed(3))
    carrier = service(IMAGE, page(404), IMAGE, posts=(answer,))
    async with studio_of(environ, carrier) as studio:
        first = await made(studio, THREE)
        assert await states(studio) == ["undelivered"]
        (missing,) = first["missing"]
        again = await made(studio, THREE)
        assert await states(studio) == ["delivered"]
        (entry,) = await studio.payments.entries()
    assert (first["status"], len(first["pictures"]), missing["billed"]) == ("partial", 2, "yes")
    assert {"fetch_until", "advice"} <= set(missing)
    assert (again["status"], again["missing"], again["cost"]["amount"]) == ("done", [], "0.66")
    assert [picture["id"][-1] for picture in again["pictures"]] == ["1", "2", "3"]
    assert [picture for picture in again["pictures"] if picture in first["pictures"]] == first["pictures"]
    assert (carrier.posts, entry.partial, len({picture["path"] for picture in again["pictures"]})) == (1, False, 3)


@pytest.mark.anyio
async def test_what_is_fetchable_and_what_is_in_doubt_are_two_questions_and_both_guard_the_call(
    environ: dict[str, str],
) -> None:
    carrier = service(page(404), IMAGE, posts=(breaking(came(0)),))
    async with studio_of(environ, carrier) as studio:
        with pytest.raises(Undelivered):
            await made(studio, THREE)
        (entry,) = await studio.payments.entries()
        assert (entry.state, entry.fetchable, entry.doubtful) == ("undelivered", (0,), (1, 2))
        had = await made(studio, THREE)
        assert (had["status"], [one["billed"] for one in had["missing"]]) == ("partial", ["unknown", "unknown"])
        assert await states(studio) == ["partial-unknown"]
        with pytest.raises(EarlierOutcomeUnknown, match="whether number 2, 3 was made and billed is not known"):
            await made(studio, THREE)
    assert carrier.posts == 1


@pytest.mark.anyio
async def test_after_a_day_it_is_said_plainly_that_it_is_paid_and_lost_and_only_fresh_pays_again(
    environ: dict[str, str],
) -> None:
    clock, carrier = Clock(), service(page(404), page(404), IMAGE)
    async with studio_of(environ, carrier, now=clock) as studio:
        with pytest.raises(Undelivered) as caught:
            await made(studio)
        clock.time += DAY - 60
        with pytest.raises(Undelivered):
            await made(studio)
        clock.time += 61
        with pytest.raises(PaidAndLost) as refused:
            await made(studio)
        entry = await studio.payments.entry(caught.value.facts["entry"])
        assert entry is not None
        assert (entry.state, str(entry.booked), await studio.payments.kept(entry.id)) == ("lost", "0.22", ())
        assert carrier.posts == 1
        assert (await made(studio, fresh=True))["status"] == "done"
    words = str(refused.value)
    assert "it is paid and lost" in words
    assert "A new picture costs up to 0.22 CNY: ask again with fresh: true" in words
    assert (refused.value.facts["paid"], refused.value.facts["price"]) == ("0.22", "0.22 CNY")
    assert carrier.posts == 2


@pytest.mark.anyio
async def test_fresh_pays_for_a_new_one_and_the_old_one_can_be_fetched_still(environ: dict[str, str]) -> None:
    carrier = service(page(404), IMAGE)
    async with studio_of(environ, carrier) as studio:
        with pytest.raises(Undelivered) as caught:
            await made(studio)
        new = await made(studio, fresh=True)
        async with studio.fetch(caught.value.facts["entry"]) as old:
            assert {new["id"], old.id} == {entry.id for entry in await studio.payments.entries()}
    assert carrier.posts == 2


@pytest.mark.anyio
async def test_fetching_needs_no_consent_and_no_budget_since_nothing_is_paid(environ: dict[str, str]) -> None:
    carrier = service(page(404), IMAGE)
    limits = {"SEEDFRAME_CONFIRM_ABOVE": "0.10 CNY", "SEEDFRAME_BUDGET": "0.22 CNY"}
    async with studio_of({**environ, **limits}, carrier) as studio:
        with pytest.raises(Undelivered):
            await made(studio, confirm_cost=True)
        with pytest.raises(SpendingRefused):
            await made(studio, fresh=True)
        assert (await made(studio))["fetched"] is True
    assert carrier.posts == 1


@pytest.mark.anyio
async def test_two_who_ask_for_the_same_lost_picture_fetch_it_once(environ: dict[str, str]) -> None:
    carrier = service(page(404), IMAGE)
    async with studio_of(environ, carrier) as studio:
        with pytest.raises(Undelivered):
            await made(studio)
        one, other = await asyncio.gather(made(studio), made(studio))
    assert (one["pictures"], carrier.posts) == (other["pictures"], 1)
    assert {bool(one.get("joined")), bool(other.get("joined"))} == {True, False}


class Flaky:
    """A service on a socket whose finished pictures cannot be had until it is well."""

    def __init__(self) -> None:
        self.well, self.posts = False, 0
        prefix = "/api/v3/images/generations"
        self.app = Starlette(routes=[Route(prefix, self.post, methods=["POST"]), Route("/picture.jpeg", self.picture)])

    async def post(self, request: Request) -> Response:
        self.posts += 1
        url = str(request.url.replace(path="/picture.jpeg", query="X-Tos-Signature=5ec2e7"))
        return JSONResponse({"data": [{"url": url, "size": SIZE}], "usage": {"generated_images": 1}})

    async def picture(self, _request: Request) -> Response:
        return Response(jpeg(), media_type="image/jpeg") if self.well else Response(status_code=404)


@pytest.fixture
def flaky() -> Iterator[tuple[Flaky, str]]:
    service = Flaky()
    with running(service.app) as base:
        yield service, base


def typed(environ: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(program("en"), list(words), obj=Settings.read(environ))


@pytest.mark.slow
def test_the_command_line_lists_explains_and_fetches(
    environ: dict[str, str], flaky: tuple[Flaky, str], tmp_path: Path
) -> None:
    service, base = flaky
    home = {**environ, "SEEDFRAME_EMULATOR_BASE": base}
    lost = typed(home, "generate", CAT["prompt"], "--ratio", "1:1", "--json")
    other = typed(home, "generate", "一只狗坐在门廊前，清晨薄雾", "--ratio", "1:1", "--save-as", "dog")
    entry = json.loads(lost.stdout)["entry"]
    explained = typed(home, "journal", "show", entry)
    still = typed(home, "fetch", entry, "--json")
    assert (lost.exit_code, other.exit_code, still.exit_code) == (6, 6, 6)
    assert f"`seedframe fetch {entry}` or the same request brings it free until " in explained.stdout
    assert json.loads(still.stdout)["error"] == "Undelivered"
    service.well = True
    had = typed(home, "fetch", entry, "--out", str(tmp_path / "elsewhere"), "--json")
    assert (had.exit_code, Path(json.loads(had.stdout)["pictures"][0]["path"]).parent) == (0, tmp_path / "elsewhere")
    rest = typed(home, "fetch", "--all")
    assert (rest.exit_code, (tmp_path / "pictures" / "dog.jpg").read_bytes()) == (0, jpeg())
    assert "(fetched: paid for earlier, nothing was paid now)" in rest.stdout
    nothing = typed(home, "fetch", "--all")
    assert (nothing.exit_code, nothing.stdout) == (0, "There is nothing to fetch.\n")
    assert [typed(home, *words).exit_code for words in (("fetch",), ("fetch", "nobody"), ("fetch", entry))] == [2, 2, 2]
    assert service.posts == 2


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("free", "arguments", "folder"),
    [
        pytest.param({"pictures": 1_000_000}, CAT, "pictures", id="for one picture"),
        pytest.param({"pictures": 20_000_000}, {**CAT, "count": 9}, "pictures", id="for nine"),
        pytest.param({"pictures": 9_000_000}, {**CAT, "output_format": "png"}, "pictures", id="for a large format"),
        pytest.param({"tmp": 10_000}, CAT, "", id="for the record"),
    ],
)
async def test_without_room_nothing_is_sent_and_it_is_said_how_much_is_needed(
    environ: dict[str, str], service: InProcess, free: dict[str, int], arguments: dict[str, Any], folder: str
) -> None:
    def room(place: Path) -> int:
        inside = place.is_relative_to(environ["SEEDFRAME_OUTPUT_DIR"])
        return free.get("pictures" if inside else "tmp", 10**12)

    async with studio_of(environ, service, free=room) as studio:
        with pytest.raises(StoreError, match="Nothing was sent, nothing was paid") as caught:
            await made(studio, arguments)
        assert await states(studio) == ["failed"]
    facts = caught.value.facts
    assert facts["billed"] == "no"
    assert facts["needed_bytes"] > facts["free_bytes"]
    assert folder in facts["path"]
    assert service.app.state.request_log.posts == 0


@pytest.mark.anyio
async def test_a_replay_needs_no_room(environ: dict[str, str], service: InProcess) -> None:
    left = [10**12]
    async with studio_of(environ, service, free=lambda _: left[0]) as studio:
        with pytest.raises(ZeroDivisionError):
            async with studio.make("generate_image", CAT):
                raise ZeroDivisionError("the host is gone")
        left[0] = 0
        assert (await made(studio))["replayed"] is True


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_shutdown_in_the_middle_of_a_download_leaves_the_picture_fetchable(environ: dict[str, str]) -> None:
    reached, never = asyncio.Event(), asyncio.Event()

    async def stalled() -> Any:
        reached.set()
        await never.wait()
        yield b""

    async with studio_of(environ, service(Answer(stalled, kind="image/jpeg")), grace=0.01) as studio:
        caller = asyncio.create_task(made(studio))
        await asyncio.wait_for(reached.wait(), 20)
    with pytest.raises(asyncio.CancelledError):
        await caller
    async with studio_of(environ, carrier := service(IMAGE)) as studio:
        assert await states(studio) == ["undelivered"]
        assert (await made(studio))["fetched"] is True
    assert carrier.posts == 0


@pytest.mark.anyio
async def test_a_paid_picture_that_came_damaged_inline_is_not_paid_again_unasked(open_studio: OpenStudio) -> None:
    carrier = service(IMAGE, posts=(Answer.says({"data": [{"b64_json": "@@"}]}), GOOD))
    async with open_studio(transport=carrier) as studio:
        with pytest.raises(Exception, match="base64 is damaged"):
            await made(studio)
        with pytest.raises(PaidAndLost, match="what came was no usable picture"):
            await made(studio)
        (entry,) = await studio.payments.entries()
        await studio.payments.settle(entry.id, billed=True)
        assert (await made(studio))["status"] == "done"
    assert carrier.posts == 2
