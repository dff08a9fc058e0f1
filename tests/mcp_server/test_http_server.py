"""`seedframe serve --http`: who may call, what each caller has, what no caller sees, how it stops."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import mcp.types as t
import pytest
from click.testing import CliRunner
from PIL import Image

from http_host import MODERN, Remote, got, modern_call, posted, report, served, wait_until_busy
from seedframe.cli import program
from seedframe.emulator import emulator, running, scripted
from seedframe.mcp_server.http.links import LinkExpired, Links
from seedframe.settings import Settings

pytestmark = pytest.mark.anyio

PAGE = "https://app.example.com"
FOX = {"prompt": "一只红狐狸坐在雪地里，清晨逆光", "ratio": "1:1"}


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with running(emulator(paint="instant")) as base:
        yield base


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory, service: str) -> Iterator[Remote]:
    home = tmp_path_factory.mktemp("server")
    allowed = ("--allow-origin", PAGE)
    with served(home, "alice", "bob", arguments=allowed, SEEDFRAME_EMULATOR_BASE=service) as found:
        yield found


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (640, 640), colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_both_eras_get_a_link_that_gives_the_very_bytes_and_no_path_of_the_server(mode: str, remote: Remote):
    said: list[str] = []

    async def hear(_progress: float, _total: float | None, message: str | None) -> None:
        said.append(message or "")

    async with remote.client("alice", mode) as client:
        result = await client.call_tool("generate_image", {**FOX, "save_as": f"fox/{mode}"}, progress_callback=hear)

    described, facts = report(result)
    (made,) = facts["pictures"]
    (link,) = [block for block in result.content if isinstance(block, t.ResourceLink)]
    content = got(made["url"]).raise_for_status().content
    assert (facts["status"], result.is_error, link.uri) == ("done", False, made["url"])
    assert hashlib.sha256(content).hexdigest() == made["sha256"]
    assert made["url"] in described
    assert content == (remote.home / "pictures" / "callers" / "alice" / "fox" / f"{mode}.jpg").read_bytes()
    assert str(remote.home) not in json.dumps([block.model_dump(mode="json") for block in result.content])
    assert any("saved" in message for message in said)
    assert not any(str(remote.home) in message for message in said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (401, {"authorization": ""}),
        (401, {"authorization": "Bearer alice"}),
        (403, {"origin": "https://evil.example"}),
        (421, {"host": "rebound.example"}),
    ],
)
async def test_who_is_not_known_is_refused(status: int, headers: dict[str, str], remote: Remote):
    answer = posted(**remote.post("alice", {**FOX, "dry_run": True}, **headers))

    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.slow
async def test_a_page_that_is_allowed_may_call_and_read_the_answer(remote: Remote):
    asked = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "mcp-method"}
    preflight = await asyncio.to_thread(httpx.options, f"{remote.base}/mcp", headers=asked)
    answer = posted(**remote.post("alice", {**FOX, "dry_run": True}, origin=PAGE))

    assert (preflight.status_code, answer.status_code) == (200, 200)
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-origin"] == PAGE


async def test_a_request_above_the_limit_is_refused_unread(remote: Remote):
    answer = posted(f"{remote.base}/mcp", {**MODERN, **remote.bearer("alice")}, content=b" " * 16_000_001)

    assert answer.status_code == 413


async def test_a_get_has_nothing_to_stream(remote: Remote):
    answer = got(f"{remote.base}/mcp", **remote.bearer("alice"), accept="text/event-stream")

    assert answer.status_code == 405


@pytest.mark.slow
async def test_callers_share_neither_pictures_nor_payments_nor_links(remote: Remote):
    words = {"prompt": "一只纸船漂在池塘上，晨雾", "ratio": "1:1"}
    async with remote.client("alice") as alice, remote.client("bob") as bob:
        _, hers = report(await alice.call_tool("generate_image", words))
        _, his = report(await bob.call_tool("generate_image", words))
        stolen = await bob.call_tool("edit_image", {"prompt": "把船改成红色", "images": [hers["pictures"][0]["id"]]})

    assert hers["id"] != his["id"]
    assert "replayed" not in his
    assert stolen.is_error
    assert report(stolen)[1]["field"] == "images"
    link = hers["pictures"][0]["url"]
    assert got(link).status_code == 200
    assert got(link.replace("/alice/", "/bob/")).status_code == 403
    assert got(link.replace(".jpg", "-2.jpg")).status_code == 403
    records = remote.home / "state" / "callers"
    assert {path.name for path in records.glob("*.sqlite3")} == {"alice.sqlite3", "bob.sqlite3"}


async def test_a_link_ends(tmp_path: Path):
    clock = [1_000.0]
    links = Links("http://127.0.0.1", b"k" * 32, 60, lambda: clock[0])
    (tmp_path / "a.jpg").write_bytes(b"picture")
    _, caller, ticket, path = (
        links.to("alice", tmp_path, tmp_path / "a.jpg").removeprefix("http://127.0.0.1/").split("/")
    )

    assert links.file(caller, ticket, path, tmp_path) == tmp_path / "a.jpg"
    clock[0] += 61
    with pytest.raises(LinkExpired):
        links.file(caller, ticket, path, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("edit_image", {"prompt": "改成夜景", "images": ["/etc/hostname"]}, "images"),
        ("edit_image", {"prompt": "改成夜景", "images": ["file:///etc/hostname"]}, "images"),
        ("edit_image", {"prompt": "改成夜景", "images": '["tokens"]'}, "images"),
        ("edit_image", {"prompt": "改成夜景", "images": ["upload:../../tokens"]}, "images"),
        ("run_storyboard", {"action": "plan", "board": "/etc/hostname"}, "board"),
        ("run_storyboard", {"action": "status", "id": "../../bob"}, "id"),
        ("generate_image", {**FOX, "save_as": "../bob/fox"}, "save_as"),
        ("generate_image", {**FOX, "save_as": "/tmp/fox"}, "save_as"),
    ],
)
async def test_no_path_of_the_server_is_taken_or_told(tool: str, arguments: dict[str, Any], field: str, remote: Remote):
    async with remote.client("alice") as client:
        result = await client.call_tool(tool, arguments)

    described, facts = report(result)
    assert (result.is_error, facts["field"]) == (True, field)
    assert str(remote.home) not in described + json.dumps(facts)


@pytest.mark.slow
async def test_a_board_names_no_file_outside_its_callers_folder(remote: Remote):
    board = {
        "project": "spy",
        "ratio": "9:16",
        "characters": [{"id": "a", "text": "女孩", "images": ["/etc/hostname"]}],
        "shots": [{"action": "a 走过", "duration": 5}],
    }
    async with remote.client("alice") as client:
        there = await client.call_tool("run_storyboard", {"action": "plan", "board": json.dumps(board)})
        board["characters"][0]["images"] = ["/etc/no-such-file"]
        absent = await client.call_tool("run_storyboard", {"action": "plan", "board": json.dumps(board)})

    assert str(report(there)).replace("hostname", "no-such-file") == str(report(absent))
    assert str(remote.home) not in str(report(there))


@pytest.mark.slow
async def test_an_upload_becomes_a_reference_of_its_caller_only(remote: Remote):
    sent = posted(f"{remote.base}/uploads", remote.bearer("alice"), content=picture("teal"))
    id = sent.raise_for_status().json()["id"]
    edit = {"prompt": "把图1的背景改成雪地", "images": [id]}
    async with remote.client("alice") as alice, remote.client("bob") as bob:
        described, facts = report(await alice.call_tool("edit_image", edit))
        refused = await bob.call_tool("edit_image", edit)

    assert (sent.status_code, facts["status"]) == (201, "done")
    assert refused.is_error
    assert str(remote.home) not in described


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "name", "content"),
    [(401, None, b""), (415, "alice", b"no picture"), (413, "alice", b"\0" * 30_000_001)],
)
async def test_an_upload_that_cannot_be_used_is_not_kept(status: int, name: str | None, content: bytes, remote: Remote):
    headers = remote.bearer(name) if name else {}
    folder = remote.home / "pictures" / "callers" / "alice" / "uploads"
    before = set(folder.glob("*"))

    answer = posted(f"{remote.base}/uploads", headers, content=content)

    assert answer.status_code == status
    assert set(folder.glob("*")) == before


@pytest.mark.slow
async def test_a_board_is_run_in_its_callers_folder_and_its_sheet_finds_its_pictures(remote: Remote):
    board = {"project": "rain", "ratio": "9:16", "shots": [{"action": "阿雨在巷口停下，细雨", "duration": 5}]}
    async with remote.client("bob") as client:
        await client.call_tool("run_storyboard", {"action": "run", "board": json.dumps(board)})
        facts = {"status": "running"}
        while facts["status"] in {"starting", "running"}:
            _, facts = report(await client.call_tool("run_storyboard", {"action": "status", "id": "rain", "wait": 20}))
        sheet = await client.call_tool("run_storyboard", {"action": "sheet", "id": "rain"})

    page = next(block.uri for block in sheet.content if isinstance(block, t.ResourceLink) and ".html" in block.uri)
    (picture,) = (remote.home / "pictures" / "callers" / "bob" / "rain").glob("*_v01_*.jpg")
    assert facts["status"] == "done"
    assert "<html" in got(page).text
    assert got(page.rpartition("/")[0] + "/" + picture.name).content == picture.read_bytes()
    assert str(remote.home) not in str(report(sheet))


@pytest.mark.slow
async def test_without_tokens_on_loopback_the_pictures_are_the_persons_own(tmp_path: Path, service: str):
    with served(tmp_path / "own", SEEDFRAME_EMULATOR_BASE=service) as remote:
        call = modern_call("generate_image", {**FOX, "save_as": "fox"})
        headers = {**MODERN, "mcp-method": "tools/call", "mcp-name": "generate_image"}
        answer = posted(f"{remote.base}/mcp", headers, json=call)

    assert answer.status_code == 200
    assert (tmp_path / "own" / "pictures" / "fox.jpg").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["0.0.0.0:8000"], "callers need a token"),
        (["0.0.0.0:8000", "--issuer", "https://login.example"], "--public-url"),
        (["somewhere"], "HOST:PORT"),
        (["127.0.0.1:0", "--tokens", "absent"], "cannot be read"),
        (["127.0.0.1:0", "--public-url", "pictures.example.com"], "https://pictures.example.com"),
    ],
)
async def test_a_server_that_cannot_be_safe_does_not_start(
    arguments: list[str], says: str, environ: dict[str, str], tmp_path: Path
):
    done = CliRunner().invoke(program("en"), ["serve", "--http", *arguments], obj=Settings.read(environ))

    assert done.exit_code == 2
    assert says in done.output


async def test_a_short_token_is_not_taken_and_not_told(environ: dict[str, str], tmp_path: Path):
    file = tmp_path / "tokens"
    file.write_text("alice short-secret\n", encoding="ascii")

    done = CliRunner().invoke(
        program("en"), ["serve", "--http", "127.0.0.1:0", "--tokens", str(file)], obj=Settings.read(environ)
    )

    assert done.exit_code == 2
    assert "line 1" in done.output
    assert "short-secret" not in done.output


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM for processes")
async def test_a_stop_waits_for_paid_calls_and_their_answers(tmp_path: Path):
    slow = emulator(paint="instant", script=scripted({"name": "latency", "seconds": 2.0}))
    with running(slow) as service, served(tmp_path, "alice", SEEDFRAME_EMULATOR_BASE=service) as remote:
        async with httpx.AsyncClient(timeout=30) as client:
            call = asyncio.create_task(client.post(**remote.post("alice", FOX)))
            await asyncio.to_thread(wait_until_busy, remote)
            started = time.monotonic()
            remote.process.send_signal(signal.SIGTERM)
            answer = await call
        code = await asyncio.to_thread(remote.process.wait, 30)

    facts = json.loads(json.loads(_data(answer))["result"]["content"][0]["text"].rpartition("\n")[2])
    assert facts["status"] == "done"
    assert time.monotonic() - started < 15
    assert code in {0, -signal.SIGTERM}
    with pytest.raises(httpx.ConnectError):
        got(f"{remote.base}/healthz")


def _data(answer: httpx.Response) -> str:
    """The JSON of an answer, which may have come as a stream of events."""
    if answer.headers["content-type"].startswith("application/json"):
        return answer.text
    return [line for line in answer.text.splitlines() if line.startswith("data:")][-1].removeprefix("data:")
