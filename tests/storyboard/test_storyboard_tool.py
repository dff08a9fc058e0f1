"""`run_storyboard` as a host meets it: planned for free, started apart, asked after, picked from, looked at."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from mcp import Client, StdioServerParameters
from PIL import Image
from starlette.applications import Starlette

from seedframe.emulator import emulator, running
from seedframe.mcp_server.app import build_server
from seedframe.storyboard.board import example
from seedframe.storyboard.handoff.manifest import check_manifest
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

BRIDGE = "一座石桥横在雾里的河面上，晨光从桥洞透过来"
BOAT = "一条小船停在桥下，船头的灯亮着，水面平静"
SMALL = f"""
project: river
shots:
  - {{id: E01_SC01_SH010, takes: 2, action: {BRIDGE}, motion: 镜头缓缓推近}}
  - {{id: E01_SC01_SH020, action: {BOAT}, motion: 小船轻轻摇晃}}
"""
PATIENCE = 90
OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def host(open_studio: OpenStudio, *, era: str = "auto", ask: Any = None, **options: Any) -> AsyncIterator[Client]:
    server = build_server(lambda: open_studio(**options), "en")
    async with Client(server, mode=era, elicitation_callback=ask) as client:
        yield client


async def call(client: Client, **arguments: Any) -> tuple[list[str], dict[str, Any], t.CallToolResult]:
    """The sentences, the JSON and the whole result."""
    result = await client.call_tool("run_storyboard", arguments)
    (text,) = [block.text for block in result.content if isinstance(block, t.TextContent)]
    *described, machine = text.splitlines()
    return described, json.loads(machine), result


@pytest.fixture(scope="module")
def socket_service() -> Iterator[tuple[Starlette, str]]:
    service = emulator(paint="instant")
    with running(service) as base:
        yield service, base


@pytest.fixture
def far(socket_service: tuple[Starlette, str]) -> tuple[Starlette, str]:
    """A service that processes of their own can reach, and its address."""
    service, base = socket_service
    service.state.service.reset()
    return service, base


async def finished(client: Client, id: str) -> dict[str, Any]:
    """Ask until nothing is under way."""
    deadline = time.monotonic() + PATIENCE
    while True:
        _, facts, _ = await call(client, action="status", id=id, wait=5)
        if facts["status"] not in {"running", "starting"} or time.monotonic() > deadline:
            return facts


async def test_the_tool_is_advertised_small_flat_and_closed(era: str, open_studio: OpenStudio):
    async with host(open_studio, era=era) as client:
        (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "run_storyboard"]
    shown = tool.model_dump(by_alias=True, include={"name", "description", "input_schema"})
    assert len(json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()) <= 2_048
    schema = tool.input_schema
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert not {"anyOf", "oneOf", "allOf", "not", "if", "enum"} & set(schema)
    assert all(isinstance(entry["type"], str) and entry["description"] for entry in schema["properties"].values())
    assert tool.annotations is not None
    assert tool.annotations.read_only_hint is False
    assert tool.annotations.open_world_hint is True


@pytest.mark.slow
async def test_a_plan_tells_price_time_and_every_prompt_and_pays_nothing(
    era: str, open_studio: OpenStudio, service: Any
):
    async with host(open_studio, era=era) as client:
        described, facts, result = await call(client, action="plan", board=example("yaml"))
    assert result.is_error is False
    assert described[0] == "12 shots, 17 frames in 3 waves; at most 3.74 CNY; about 1 s to 4 s."
    assert (facts["status"], facts["totals"]["cost"]) == ("planned", [{"amount": "3.74", "currency": "CNY"}])
    assert len(facts["frames"]) == 17
    assert facts["frames"][2]["references"] == ["E01_SC01_SH020_ff_v01"]
    assert service.app.state.request_log.posts == 0


@pytest.mark.parametrize("given", ["text", "object", "path", "name"])
async def test_a_board_comes_as_a_text_an_object_or_a_file(open_studio: OpenStudio, tmp_path: Path, given: str):
    plain = {"project": "river", "shots": [{"id": "E01_SC01_SH010", "action": BRIDGE}]}
    (tmp_path / "river.json").write_text(json.dumps(plain), encoding="utf-8")
    forms = {"text": json.dumps(plain), "object": plain, "path": str(tmp_path / "river.json"), "name": "river.json"}
    async with host(open_studio) as client:
        _, facts, _ = await call(client, action="plan", board=forms[given])
    assert (facts["project"], facts["totals"]["shots"]) == ("river", 1)


@pytest.mark.slow
async def test_a_long_board_is_told_in_short(open_studio: OpenStudio):
    shots = [{"id": f"E01_SC01_SH{number:04}", "action": BRIDGE} for number in range(10, 310)]
    async with host(open_studio) as client:
        _, facts, result = await call(client, action="plan", board=json.dumps({"project": "many", "shots": shots}))
    assert (facts["totals"]["frames"], len(facts["frames"]), facts["left_out"]) == (300, 40, 260)
    assert len(result.model_dump_json()) < 60_000


@pytest.mark.parametrize(
    ("arguments", "field", "described"),
    [
        ({"action": "plan"}, "board", "needs 'board'"),
        ({"action": "plan", "board": "project: x\nshots: []\n"}, "line 2", "shots"),
        ({"action": "plan", "board": "/etc/hostname"}, "board", "no board file inside"),
        ({"action": "plan", "board": "nothing.yaml"}, "board", "no board file inside"),
        ({"action": "status", "id": "nothing"}, "id", "There is no board"),
        ({"action": "status"}, "id", "needs 'id'"),
        ({"action": "pick", "id": "/etc"}, "id", "outside the output folder"),
        ({"action": "run", "board": SMALL, "id": "../elsewhere"}, "id", "outside the output folder"),
        ({"action": "run", "board": SMALL, "id": "/tmp"}, "id", "outside the output folder"),
        ({"action": "draw"}, "action", "There is no action"),
        ({}, "action", "There is no action"),
        ({"action": "plan", "bord": SMALL}, "bord", "Did you mean board?"),
        ({"action": "status", "id": "x", "wait": "soon"}, "wait", "whole number"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else None,
)
async def test_a_wrong_argument_is_answered_with_what_to_change(
    open_studio: OpenStudio, arguments: dict[str, Any], field: str, described: str
):
    async with host(open_studio) as client:
        words, facts, result = await call(client, **arguments)
    assert result.is_error is True
    assert facts["error"] == "InvalidRequest"
    assert field in facts["field"]
    assert described in "\n".join(words)


async def test_a_board_that_cannot_be_made_is_refused_before_a_process_is_started(
    open_studio: OpenStudio, tmp_path: Path
):
    async with host(open_studio) as client:
        words, _, result = await call(
            client, action="run", board=SMALL.replace("project", 'model: "4.5"\nstrict: true\nproject', 1)
        )
    assert result.is_error is True
    assert "Nothing was paid" in words[0]
    assert not (tmp_path / "pictures" / "river").exists()


async def test_a_price_above_the_limit_is_asked_for_and_a_no_is_kept(era: str, open_studio: OpenStudio, tmp_path: Path):
    asked: list[str] = []

    async def no(_context: Any, params: Any) -> t.ElicitResult:
        asked.append(params.message)
        return t.ElicitResult(action="decline")

    async with host(open_studio, era=era, ask=no, SEEDFRAME_CONFIRM_ABOVE="0.50 CNY") as client:
        _, facts, result = await call(client, action="run", board=SMALL)
    assert result.is_error is True
    assert (facts["error"], facts["price"]) == ("ConfirmationNeeded", "0.66 CNY")
    assert asked == ["This will cost 0.66 CNY. Go ahead?"]
    assert not (tmp_path / "pictures" / "river").exists()


@pytest.mark.slow
async def test_a_board_goes_from_text_to_manifest_pick_and_sheet(
    era: str, open_studio: OpenStudio, far: tuple[Starlette, str], tmp_path: Path
):
    service, base = far
    async with host(open_studio, era=era, SEEDFRAME_EMULATOR_BASE=base) as client:
        began = time.monotonic()
        described, started, _ = await call(client, action="run", board=SMALL)
        at_once = time.monotonic() - began
        facts = await finished(client, started["id"])
        _, picked, _ = await call(client, action="pick", id="river", picks=["E01_SC01_SH010_ff_v02"])
        _, drawn, sheet = await call(client, action="sheet", id="river")

    out = tmp_path / "pictures" / "river"
    assert at_once < 20
    assert (started["status"], started["id"], started["frames"]) == ("started", "river", 3)
    assert str(out) in described[0]
    assert (facts["status"], facts["counts"]["done"]) == ("done", 3), (out / "run.log").read_text()
    assert service.state.request_log.images == 3
    assert picked["picked"] == {"E01_SC01_SH010_ff": "E01_SC01_SH010_ff_v02"}
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert [finding for finding in check_manifest(manifest) if finding.severity == "error"] == []
    assert manifest["shots"][0]["job"]["images"][0]["key"] == "E01_SC01_SH010_ff_v02"
    assert drawn["sheet"] == str(out / "sheet.html")
    assert [block.type for block in sheet.content] == ["text", "image", "resource_link", "resource_link"]
    link = next(block for block in sheet.content if isinstance(block, t.ResourceLink))
    assert (link.uri, link.mime_type) == ((out / "sheet.html").as_uri(), "text/html")
    (shown,) = [block for block in sheet.content if isinstance(block, t.ImageContent)]
    with Image.open(io.BytesIO(base64.b64decode(shown.data))) as preview:
        assert preview.format == "JPEG"
    assert len(sheet.model_dump_json()) < 700_000


@pytest.mark.slow
async def test_a_run_under_way_is_not_started_a_second_time(open_studio: OpenStudio, far: tuple[Starlette, str]):
    service, base = far
    service.state.service.script.load({"always": "latency 3"})
    async with host(open_studio, SEEDFRAME_EMULATOR_BASE=base) as client:
        _, first, _ = await call(client, action="run", board=SMALL)
        deadline = time.monotonic() + PATIENCE
        while service.state.request_log.posts < 1 and time.monotonic() < deadline:
            await call(client, action="status", id="river", wait=1)
        _, second, _ = await call(client, action="run", board=SMALL)
        facts = await finished(client, "river")
    assert (first["status"], second["status"]) == ("started", "running")
    assert (facts["status"], service.state.request_log.images) == ("done", 3)


@pytest.mark.slow
async def test_status_tells_its_progress_while_the_host_waits(open_studio: OpenStudio, far: tuple[Starlette, str]):
    service, base = far
    service.state.service.script.load({"always": "latency 2"})
    described: list[str] = []

    async def hear(_progress: float, _total: float | None, message: str | None) -> None:
        described.append(message or "")

    async with host(open_studio, SEEDFRAME_EMULATOR_BASE=base) as client:
        await call(client, action="run", board=SMALL)
        await client.call_tool("run_storyboard", {"action": "status", "id": "river"}, progress_callback=hear)
    assert any("river" in line for line in described)


@pytest.mark.parametrize(
    ("variables", "given", "described"),
    [
        pytest.param({"SEEDFRAME_BACKEND": "ark"}, {}, "ARK_API_KEY", id="no key"),
        pytest.param({}, {"budget": "10 USD"}, "CNY", id="another currency"),
    ],
)
async def test_what_every_frame_would_fail_of_is_told_before_a_process_is_started(
    open_studio: OpenStudio, tmp_path: Path, variables: dict[str, str], given: dict[str, str], described: str
):
    async with host(open_studio, **variables) as client:
        lines, _, result = await call(client, action="run", board=SMALL, **given)
    assert result.is_error
    assert described in lines[0]
    assert not (tmp_path / "pictures" / "river" / "run.log").exists()


@pytest.mark.slow
async def test_a_run_that_ends_before_it_begins_is_told_with_its_last_words(open_studio: OpenStudio, tmp_path: Path):
    identity = tmp_path / "pictures" / "river" / ".storyboard" / "board.json"
    identity.parent.mkdir(parents=True)
    identity.write_text('{"id": "lake-1", "project": "lake"}', encoding="utf-8")
    async with host(open_studio) as client:
        await call(client, action="run", board=SMALL, id="river")
        deadline = time.monotonic() + PATIENCE
        facts: dict[str, Any] = {"status": "starting"}
        while facts["status"] == "starting" and time.monotonic() < deadline:
            described, facts, result = await call(client, action="status", id="river", wait=5)
    assert (facts["status"], result.is_error) == ("stopped", True)
    assert "lake" in described[0]


@pytest.mark.slow
async def test_a_folder_of_another_project_is_left_alone(
    open_studio: OpenStudio, far: tuple[Starlette, str], tmp_path: Path
):
    service, base = far
    async with host(open_studio, SEEDFRAME_EMULATOR_BASE=base) as client:
        await call(client, action="run", board=SMALL)
        await finished(client, "river")
        await call(client, action="run", board=SMALL.replace("project: river", "project: lake"), id="river")
        facts = await finished(client, "river")
    assert (facts["project"], facts["counts"]["done"], service.state.request_log.images) == ("river", 3, 3)
    assert "InvalidRequest" in (tmp_path / "pictures" / "river" / "run.log").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="process groups of POSIX")
async def test_the_board_outlives_the_host_that_started_it(
    environ: dict[str, str], far: tuple[Starlette, str], tmp_path: Path
):
    service, base = far
    service.state.service.script.load({"always": "latency 1"})
    whole = {**os.environ, **environ, "SEEDFRAME_EMULATOR_BASE": base}
    server = StdioServerParameters(command=sys.executable, args=["-m", "seedframe", "serve"], env=whole)
    async with Client(server) as client:
        _, started, _ = await call(client, action="run", board=SMALL)
    assert started["status"] == "started"
    async with Client(server) as later:
        facts = await finished(later, "river")
    assert (facts["status"], service.state.request_log.images) == ("done", 3)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="process groups of POSIX")
def test_killing_the_whole_group_of_the_host_leaves_the_board_alone(
    environ: dict[str, str], far: tuple[Starlette, str], tmp_path: Path
):
    service, base = far
    service.state.service.script.load({"always": "latency 1"})
    starter = f"""
import asyncio, os, sys
from mcp import Client, StdioServerParameters
async def main():
    server = StdioServerParameters(command=sys.executable, args=["-m", "seedframe", "serve"], env=dict(os.environ))
    async with Client(server) as client:
        await client.call_tool("run_storyboard", {{"action": "run", "board": {SMALL!r}}})
        print("started", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", starter],
        env={**os.environ, **environ, "SEEDFRAME_EMULATOR_BASE": base},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    manifest = tmp_path / "pictures" / "river" / "manifest.json"
    deadline = time.monotonic() + PATIENCE
    while not manifest.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert json.loads(manifest.read_text(encoding="utf-8"))["totals"]["frames"] == {"done": 3}
    assert service.state.request_log.images == 3
