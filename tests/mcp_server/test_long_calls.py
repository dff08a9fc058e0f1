"""A host that cuts long calls off gets a ticket before it does, and the same call brings the picture, paid once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from mcp import Client

from held_calls import CAT, Gate
from seedframe.emulator import InProcess, scripted, transport
from seedframe.mcp_server.app import build_server
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio


def told(result: Any) -> tuple[str, dict[str, Any]]:
    """Sentence and machine text of a result."""
    text = "".join(block.text for block in result.content if isinstance(block, t.TextContent))
    sentence, _, machine = text.rpartition("\n")
    return sentence, json.loads(machine)


def held_service() -> tuple[InProcess, Gate]:
    gate = Gate()
    return transport(paint="instant", sleep=gate, script=scripted("latency")), gate


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_that_takes_longer_than_the_host_waits_ends_with_a_ticket_and_the_same_call_collects(
    environ: dict[str, str], mode: Any
):
    settings = Settings.read({**environ, "SEEDFRAME_ANSWER_WITHIN": "1.5"})
    carrier, gate = held_service()
    server = build_server(lambda: Studio.open(settings, transport=carrier), "en", settings)
    async with Client(server, mode=mode) as host:
        ticket = await host.call_tool("generate_image", CAT)
        still = await host.call_tool("generate_image", CAT)
        gate.open.set()
        collected = await collect(host)

    sentence, facts = told(ticket)
    _, made = told(collected)
    assert not ticket.is_error
    assert "exactly the same call again" in sentence
    assert facts == {"status": "under_way", "entry": made["id"], "seconds": facts["seconds"], "collect": "same_call"}
    assert told(still)[1]["entry"] == facts["entry"]
    assert (made["status"], Path(made["pictures"][0]["path"]).exists()) == ("done", True)
    assert (carrier.app.state.request_log.posts, carrier.app.state.request_log.images) == (1, 1)


async def collect(host: Client) -> Any:
    async with asyncio.timeout(30):
        while told(result := await host.call_tool("generate_image", CAT))[1]["status"] == "under_way":
            pass
    return result


@pytest.mark.anyio
async def test_a_call_that_is_in_time_is_answered_as_ever(environ: dict[str, str], service: InProcess):
    settings = Settings.read({**environ, "SEEDFRAME_ANSWER_WITHIN": "60"})
    server = build_server(lambda: Studio.open(settings, transport=service), "en", settings)
    async with Client(server) as host:
        made = told(await host.call_tool("generate_image", CAT))[1]
        refused = await host.call_tool("generate_image", {**CAT, "ratio": "20:1"})

    assert (made["status"], made.get("replayed")) == ("done", None)
    assert refused.is_error


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "seconds"), [("codex-mcp-client", 52), ("claude-ai", 232), ("somebody", None)])
async def test_the_hosts_that_cut_are_known_by_name(environ: dict[str, str], name: str, seconds: float | None):
    from mcp.server.lowlevel import Server

    from seedframe.mcp_server.hosts import seconds_to_answer

    known: list[float | None] = []

    async def call(ctx: Any, _params: Any) -> t.CallToolResult:
        known.append(seconds_to_answer(ctx, Settings.read(environ)))
        return t.CallToolResult(content=[])

    async def tools(_ctx: Any, _params: Any) -> t.ListToolsResult:
        return t.ListToolsResult(tools=[t.Tool(name="any", input_schema={"type": "object"})])

    server = Server("host", on_call_tool=call, on_list_tools=tools)
    for mode in ("auto", "legacy"):
        async with Client(server, mode=mode, client_info=t.Implementation(name=name, version="1")) as host:
            await host.call_tool("any", {})

    assert known == [seconds, seconds]


@pytest.mark.anyio
@pytest.mark.parametrize("asked", [{}, {"preview": "large"}])
async def test_a_user_whose_model_takes_no_pictures_gets_none_whatever_is_asked(
    environ: dict[str, str], service: InProcess, asked: dict[str, str]
):
    settings = Settings.read({**environ, "SEEDFRAME_PREVIEW": "none"})
    server = build_server(lambda: Studio.open(settings, transport=service), "en", settings)
    async with Client(server) as host:
        made = await host.call_tool("generate_image", {**CAT, **asked})
        tools = {tool.name: tool for tool in (await host.list_tools()).tools}

    assert [block.type for block in made.content] == ["text", "resource_link"]
    assert "none" in tools["generate_image"].input_schema["properties"]["preview"]["description"]


@pytest.mark.slow
@pytest.mark.anyio
async def test_previews_have_the_size_that_is_set_where_a_call_names_none(environ: dict[str, str], service: InProcess):
    settings = Settings.read({**environ, "SEEDFRAME_PREVIEW": "large"})
    async with Studio.open(settings, transport=service) as studio:
        async with studio.make("generate_image", CAT) as large:
            pass
        async with studio.make("generate_image", {**CAT, "preview": "small"}) as small:
            pass

    assert len(large.previews[0]) > len(small.previews[0])
