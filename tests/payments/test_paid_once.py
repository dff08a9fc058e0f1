"""Paid once: joining, replaying, refusing, budgets, retries and shutdown, seen from hosts, processes and callers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import mcp.types as t
import pytest
from mcp import Client, MCPError
from PIL import Image

from conftest import OpenStudio
from held_calls import CAT, Gate
from seedframe.emulator import InProcess, emulator, running, scripted, transport
from seedframe.errors import (
    ApiError,
    BudgetExceeded,
    ConnectionFailed,
    EarlierOutcomeUnknown,
    OutcomeUnknown,
    SeedreamError,
)
from seedframe.mcp_server.app import build_server
from seedframe.messages import Message
from seedframe.payments import Payments
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

DOG = {"prompt": "一只狗坐在门廊前，清晨薄雾", "ratio": "1:1"}


@asynccontextmanager
async def slow_service(*faults: object) -> AsyncIterator[tuple[InProcess, Gate]]:
    gate = Gate()
    yield transport(paint="instant", sleep=gate, script=scripted("latency", *faults)), gate


def books(carrier: InProcess) -> tuple[int, int]:
    """POSTs that arrived, pictures that were billed."""
    request_log = carrier.app.state.request_log
    return request_log.posts, request_log.images


async def made(studio: Studio, arguments: dict[str, Any] = CAT, **more: Any) -> dict[str, Any]:
    async with studio.make("generate_image", {**arguments, **more}) as result:
        return result.as_dict()


def remove_twice(path: Path) -> None:
    path.unlink()
    path.unlink()


async def states(studio: Studio) -> list[str]:
    return [entry.state for entry in await studio.payments.entries()]


@pytest.mark.anyio
async def test_an_identical_request_joins_the_one_under_way_and_both_get_the_same_picture(
    open_studio: OpenStudio,
) -> None:
    said: list[Message] = []

    async def report(message: Message) -> None:
        said.append(message)
        if message.key == "pipeline.joined":
            gate.open.set()

    async def join(studio: Studio) -> dict[str, Any]:
        await gate.awaited()
        async with studio.make("generate_image", CAT, report=report) as result:
            return result.as_dict()

    async with slow_service() as (carrier, gate), open_studio(transport=carrier) as studio:
        first, second = await asyncio.gather(made(studio), join(studio))
        assert await states(studio) == ["delivered"]
    assert books(carrier) == (1, 1)
    assert second.pop("joined") is True
    assert second == first


@pytest.mark.anyio
async def test_a_caller_who_leaves_does_not_end_what_is_paid_and_the_next_one_gets_it(
    open_studio: OpenStudio,
) -> None:
    async with slow_service() as (carrier, gate), open_studio(transport=carrier) as studio:
        caller = asyncio.create_task(made(studio))
        await gate.awaited()
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        gate.open.set()
        (entry,) = await studio.payments.entries()
        await studio.payments.finished(entry.id)
        assert await states(studio) == ["saved"]
        again = await made(studio)
        assert await states(studio) == ["delivered"]
    assert books(carrier) == (1, 1)
    assert (again["replayed"], again["id"], Path(again["pictures"][0]["path"]).exists()) == (True, entry.id, True)


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_host_that_gives_up_and_asks_again_gets_its_picture_paid_once_and_marked_replayed(
    environ: dict[str, str],
) -> None:
    settings = Settings.read(environ)
    async with slow_service() as (carrier, gate):
        server = build_server(lambda: Studio.open(settings, transport=carrier), "en")
        async with Client(server) as host, await Payments.open(settings.journal) as journal:
            with pytest.raises(MCPError):
                await host.call_tool("generate_image", CAT, read_timeout_seconds=1.0)
            gate.open.set()
            (entry,) = await journal.entries()
            await journal.finished(entry.id, poll=0.01)
            again = await host.call_tool("generate_image", CAT)
            (entry,) = await journal.entries()
    described = "".join(block.text for block in again.content if isinstance(block, t.TextContent))
    facts = json.loads(described.rpartition("\n")[2])
    assert not again.is_error
    assert (facts["replayed"], facts["status"], facts["id"]) == (True, "done", entry.id)
    assert "(replayed: paid for by an earlier call that nobody received)" in described
    assert [block.type for block in again.content] == ["text", "image", "resource_link"]
    assert (entry.state, books(carrier)) == ("delivered", (1, 1))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("preview", "sides"), [("none", []), ("small", [range(320, 641)]), ("large", [range(641, 1569)])]
)
async def test_a_replay_brings_the_previews_that_are_asked_for_now(
    open_studio: OpenStudio, preview: str, sides: list[range]
) -> None:
    async with open_studio() as studio:
        with pytest.raises(ZeroDivisionError):
            async with studio.make("generate_image", CAT):
                raise ZeroDivisionError("the host is gone")
        async with studio.make("generate_image", {**CAT, "preview": preview}) as result:
            assert result.as_dict()["replayed"] is True
            assert len(result.previews) == len(sides)
            for preview_bytes, wanted in zip(result.previews, sides, strict=True):
                assert max(Image.open(BytesIO(preview_bytes)).size) in wanted


@pytest.mark.anyio
async def test_what_was_delivered_is_never_replayed_unasked(open_studio: OpenStudio, service: InProcess) -> None:
    async with open_studio() as studio:
        first, second = await made(studio), await made(studio)
    assert books(service) == (2, 2)
    assert first["id"] != second["id"]
    assert first["pictures"][0]["path"] != second["pictures"][0]["path"]
    assert "replayed" not in second


@pytest.mark.anyio
async def test_a_result_whose_files_are_gone_is_not_called_a_success(open_studio: OpenStudio) -> None:
    async with open_studio() as studio:
        with pytest.raises(FileNotFoundError):  # whatever it is, the host has not got the result
            async with studio.make("generate_image", CAT) as result:
                remove_twice(Path(result.as_dict()["pictures"][0]["path"]))
        with pytest.raises(SeedreamError) as caught:
            await made(studio)
        assert caught.value.kind == "StoreError"
        assert (await made(studio))["status"] == "done"


@pytest.mark.anyio
async def test_an_unknown_outcome_refuses_the_same_request_until_fresh_is_said(open_studio: OpenStudio) -> None:
    carrier = transport(paint="instant", script=scripted("drop-before-answer"))
    async with open_studio(transport=carrier) as studio:
        with pytest.raises(OutcomeUnknown):
            await made(studio)
        with pytest.raises(EarlierOutcomeUnknown) as refused:
            await made(studio)
        assert (await made(studio, DOG))["status"] == "done"
        (other, unknown) = await studio.payments.entries()
        assert (await made(studio, fresh=True))["status"] == "done"
    assert books(carrier) == (3, 3)
    assert (other.state, unknown.state) == ("delivered", "unknown")
    assert {name: refused.value.facts[name] for name in ("entry", "at_stake", "currency")} == {
        "entry": unknown.id,
        "at_stake": "0.22",
        "currency": "CNY",
    }
    assert "fresh: true" in str(refused.value)


@pytest.mark.anyio
@pytest.mark.parametrize(("billed", "state"), [(True, "lost"), (False, "failed")])
async def test_a_settled_question_is_no_longer_in_the_way(open_studio: OpenStudio, billed: bool, state: str) -> None:
    carrier = transport(paint="instant", script=scripted("drop-before-answer"))
    async with open_studio(transport=carrier) as studio:
        with pytest.raises(OutcomeUnknown):
            await made(studio)
        (entry,) = await studio.payments.entries()
        await studio.payments.settle(entry.id, billed=billed)
        assert (await made(studio))["status"] == "done"
        assert await states(studio) == ["delivered", state]


RETRIES = [
    pytest.param(["rate-ipm"], [15], "done", (2, 1), id="429 once"),
    pytest.param([["rate-ipm", "retry-after: 7"]], [7], "done", (2, 1), id="Retry-After is honoured"),
    pytest.param([["rate-ipm", "retry-after: 60"]], [60], "done", (2, 1), id="up to a minute"),
    pytest.param([["rate-ipm", "retry-after: 61"]], [], "ApiError", (1, 0), id="and no longer"),
    pytest.param(["rate-rpm", "overloaded", "rate-ipm"], [5, 10], "ApiError", (3, 0), id="twice and no more"),
    pytest.param(["url-timeout"], [1], "done", (2, 1), id="reference not fetched"),
    pytest.param(["quota-trial"], [], "ApiError", (1, 0), id="a quota"),
    pytest.param(["key-unknown"], [], "ApiError", (1, 0), id="401"),
    pytest.param(["internal"], [], "ApiError", (1, 0), id="500"),
    pytest.param(["html-502"], [], "ApiError", (1, 0), id="502"),
    pytest.param(["drop-before-answer"], [], "OutcomeUnknown", (1, 1), id="a lost answer"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("faults", "waits", "end", "paid"), RETRIES)
async def test_a_call_is_repeated_only_where_nothing_was_billed_and_only_so_often(
    environ: dict[str, str], faults: list[object], waits: list[float], end: str, paid: tuple[int, int]
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    carrier = transport(paint="instant", script=scripted(*faults))
    async with Studio.open(Settings.read(environ), transport=carrier, sleep=sleep) as studio:
        try:
            facts = await made(studio)
            ended, notes = facts["status"], len(facts["warnings"])
        except (ApiError, OutcomeUnknown) as error:
            ended, notes = error.kind, 0
    assert (ended, books(carrier)) == (end, paid)
    assert notes == (len(waits) if end == "done" else 0)
    assert all(least <= seconds <= least * 1.5 for least, seconds in zip(waits, waited, strict=True))


class Refusing(httpx.AsyncBaseTransport):
    """No connection is made, so nothing leaves; after `times` the service is there."""

    def __init__(self, times: int, service: httpx.AsyncBaseTransport) -> None:
        self.left, self.service, self.tries = times, service, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.tries += 1
        if self.tries <= self.left:
            raise httpx.ConnectError("connection refused", request=request)
        return await self.service.handle_async_request(request)


@pytest.mark.anyio
async def test_a_refused_connection_is_tried_again_since_nothing_had_left(
    open_studio: OpenStudio, service: InProcess
) -> None:
    carrier = Refusing(2, service)
    async with open_studio(transport=carrier) as studio:
        facts = await made(studio)
    assert (facts["warnings"], books(service)) == ([Message("client.connected-again").text()], (1, 1))
    assert carrier.tries > 2


@pytest.mark.anyio
async def test_no_connection_at_all_costs_nothing_and_leaves_no_question(
    open_studio: OpenStudio, service: InProcess
) -> None:
    carrier = Refusing(99, service)
    async with open_studio(transport=carrier, SEEDFRAME_BUDGET="0.22") as studio:
        with pytest.raises(ConnectionFailed) as caught:
            await made(studio)
        assert await states(studio) == ["failed"]
        with pytest.raises(ConnectionFailed):
            await made(studio)
    assert (carrier.tries, books(service), caught.value.facts["billed"]) == (6, (0, 0), "no")


@pytest.mark.anyio
async def test_a_parameter_the_service_refuses_is_dropped_once_and_told(open_studio: OpenStudio) -> None:
    refusal = {"name": "parameter-not-supported", "param": "guidance_scale"}
    carrier = transport(paint="instant", script=scripted(refusal))
    cat = {"prompt": "a cat on a sill, soft afternoon light, medium shot", "model": "4.5", "guidance_scale": 3}
    async with open_studio(transport=carrier) as studio:
        facts = await made(studio, cat)
    entries = carrier.app.state.request_log.entries
    assert ["guidance_scale" in entry.keys for entry in entries if entry.method == "POST"] == [True, False]
    assert Message("client.dropped", parameter="guidance_scale").text() in facts["warnings"]


@pytest.mark.anyio
async def test_a_budget_is_reserved_before_the_call_and_released_when_nothing_was_billed(
    open_studio: OpenStudio,
) -> None:
    carrier = transport(paint="instant", script=scripted("internal", "key-unknown"))
    async with open_studio(transport=carrier, SEEDFRAME_BUDGET="0.50 CNY") as studio:
        with pytest.raises(ApiError):  # unknown: 0.22 stay reserved
            await made(studio)
        with pytest.raises(ApiError):  # refused: 0.22 are released
            await made(studio, DOG)
        assert (await made(studio, DOG))["status"] == "done"
        with pytest.raises(BudgetExceeded) as caught:
            await made(studio, DOG)
    assert books(carrier) == (3, 1)
    assert {name: caught.value.facts[name] for name in ("budget", "spent", "price", "currency")} == {
        "budget": "0.50",
        "spent": "0.44",
        "price": "0.22",
        "currency": "CNY",
    }


@pytest.mark.anyio
async def test_a_shutdown_waits_for_what_is_paid(environ: dict[str, str]) -> None:
    settings = Settings.read(environ)
    async with slow_service() as (carrier, gate):
        async with Studio.open(settings, transport=carrier) as studio:
            caller = asyncio.create_task(made(studio))
            await gate.awaited()
            caller.cancel()
            asyncio.get_running_loop().call_later(0.05, gate.open.set)
        async with await Payments.open(settings.journal) as journal:
            (entry,) = await journal.entries()
    assert (entry.state, str(entry.booked), books(carrier)) == ("saved", "0.22", (1, 1))
    assert entry.result is not None
    assert Path(entry.result["pictures"][0]["path"]).exists()


@pytest.mark.anyio
async def test_a_shutdown_does_not_wait_for_ever(environ: dict[str, str]) -> None:
    settings = Settings.read(environ)
    async with slow_service() as (carrier, gate):
        async with Studio.open(settings, transport=carrier, grace=0.01) as studio:
            caller = asyncio.create_task(made(studio))
            await gate.awaited()
        with pytest.raises(asyncio.CancelledError):
            await caller
        gate.open.set()
        async with await Payments.open(settings.journal) as journal:
            (entry,) = await journal.entries()
        await carrier.aclose()
    assert (entry.state, str(entry.reserved)) == ("unknown", "0.22")


@pytest.mark.slow
@pytest.mark.anyio
async def test_the_clients_own_rate_limit_waits_and_says_so_instead_of_being_refused(open_studio: OpenStudio) -> None:
    said: list[Message] = []

    async def report(message: Message) -> None:
        said.append(message)

    carrier = transport(paint="instant", scale=0.1)
    async with (
        open_studio(transport=carrier, SEEDFRAME_IPM="600") as studio,
        studio.make("generate_image", {**CAT, "count": 10}, report=report) as result,
    ):
        assert len(result.as_dict()["pictures"]) == 10
    assert Message("client.waiting-for-rate", model="5.0-lite") in said
    assert books(carrier) == (10, 10)


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_services_rate_limit_costs_nothing_and_leaves_what_came(open_studio: OpenStudio) -> None:
    carrier = transport(paint="instant", scale=0.1, ipm=4)
    async with open_studio(transport=carrier) as studio:
        facts = await made(studio, count=6)
    assert books(carrier) == (4 + 2 * 3, 4)
    assert (facts["status"], len(facts["pictures"]), facts["cost"]["amount"]) == ("partial", 4, "0.88")
    assert [(missing["billed"], missing["code"]) for missing in facts["missing"]] == [
        ("no", "ModelAccountIpmRateLimitExceeded")
    ] * 2


class Held:
    """The emulated service on a socket, for other processes: its latency lasts until `release`."""

    def __init__(self) -> None:
        self.reached, self.release = threading.Event(), threading.Event()

    async def sleep(self, _seconds: float) -> None:
        self.reached.set()
        await asyncio.to_thread(self.release.wait)


def process(environ: dict[str, str], base: str, prompt: str, **more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "seedframe", "generate", prompt, "--ratio", "1:1", "--json"]
    variables = {**os.environ, **environ, "SEEDFRAME_EMULATOR_BASE": base, **more}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=variables, stdout=pipe, stderr=pipe, text=True, encoding="utf-8")


def wait_until_it_says(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    assert any(words in line for line in process.stderr)


@pytest.mark.slow
def test_the_same_request_from_two_processes_joins_and_pays_once(environ: dict[str, str]) -> None:
    held = Held()
    app = emulator(paint="instant", sleep=held.sleep, script=scripted("latency"))
    with running(app) as base:
        payer = process(environ, base, CAT["prompt"])
        assert held.reached.wait(30)
        joiner = process(environ, base, CAT["prompt"])
        wait_until_it_says(joiner, Message("pipeline.joined").text())
        held.release.set()
        paid, joined = (json.loads(one.communicate(timeout=30)[0]) for one in (payer, joiner))
    assert joined.pop("joined") is True
    assert joined == paid
    assert Path(paid["pictures"][0]["path"]).exists()
    assert (app.state.request_log.posts, app.state.request_log.images) == (1, 1)
    assert (payer.returncode, joiner.returncode) == (0, 0)


@pytest.mark.slow
def test_one_yuan_lets_exactly_four_pictures_through_from_ten_processes_at_once(environ: dict[str, str]) -> None:
    app = emulator(paint="instant")
    with running(app) as base:
        processes = [
            process(environ, base, f"第{number}只猫坐在窗台上", SEEDFRAME_BUDGET="1.00 CNY") for number in range(10)
        ]
        described = [json.loads(one.communicate(timeout=60)[0]) for one in processes]
    made_or_not = sorted(facts.get("status") or facts["error"] for facts in described)
    assert made_or_not == ["BudgetExceeded"] * 6 + ["done"] * 4
    assert sorted(one.returncode for one in processes) == [0] * 4 + [4] * 6
    assert (app.state.request_log.posts, app.state.request_log.amount) == (4, Decimal("0.88"))
    paths = [Path(picture["path"]) for facts in described for picture in facts.get("pictures", ())]
    assert [path.exists() for path in paths] == [True] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ends", "code"),
    [
        pytest.param(["close"], 0, id="closes stdin"),
        pytest.param(["terminate"], -15, id="sends SIGTERM"),
        pytest.param(["close", "terminate"], -15, id="closes stdin, then sends SIGTERM"),
    ],
)
def test_what_is_paid_is_finished_however_its_host_ends_the_server(
    environ: dict[str, str], ends: list[str], code: int
) -> None:
    held = Held()
    app = emulator(paint="instant", sleep=held.sleep, script=scripted("latency"))
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}}
    words: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "generate_image", "arguments": CAT}},
    ]
    with running(app) as base:
        variables = {**os.environ, **environ, "SEEDFRAME_EMULATOR_BASE": base}
        command = [sys.executable, "-m", "seedframe", "serve"]
        with subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as server:
            assert server.stdin is not None
            server.stdin.write(b"".join(json.dumps({"jsonrpc": "2.0", **word}).encode() + b"\n" for word in words))
            server.stdin.flush()
            assert held.reached.wait(30)
            for number, end in enumerate(ends):
                threading.Timer(0.5 * number, {"close": server.stdin.close, "terminate": server.terminate}[end]).start()
            threading.Timer(1.0, held.release.set).start()
            assert server.wait(30) == code

        async def left() -> tuple[str, bool]:
            async with await Payments.open(Path(environ["SEEDFRAME_JOURNAL"])) as journal:
                (entry,) = await journal.entries()
                entry = await journal.finished(entry.id, timeout=30)
            assert entry.result is not None
            return entry.state, Path(entry.result["pictures"][0]["path"]).exists()

        assert asyncio.run(left()) == ("saved", True)
    assert (app.state.request_log.posts, app.state.request_log.images) == (1, 1)
