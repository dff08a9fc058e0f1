"""Whatever comes in, a call ends in a result or in an error that teaches; afterwards the server answers as before.

The tables are printed: `make slow`, or `pytest -m slow tests/studio/test_fuzz.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from mcp import Client, MCPError
from PIL import Image

from canned import Canned
from children import system
from hostile import calls, lines, pictures, replies
from seedframe.mcp_server.app import build_server
from seedframe.mcp_server.tools import PICTURE_TOOLS, tools
from seedframe.studio.pipeline import Studio

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(400)]

CALLS, LINES = 10_000, 2_000
PING_SECONDS = 0.1
GROWTH = 64 << 20
WARM = 0.2
"""The share of the calls after which memory is expected to stay level."""

PLAIN = "雨后的江南小巷，灯笼的暖光映在积水里。"
CHANGE = "把图1中的猫换成狗，保持其他内容不变。"
OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]


@dataclass
class Table:
    """How each kind of input ended."""

    title: str
    ends: dict[str, Counter[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    pings: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def note(self, kind: str, end: str, what: object) -> None:
        self.ends.setdefault(kind, Counter())[end] += 1
        if end in {"defect", "exception", "no words"}:
            self.failures.append(f"{kind}: {end}: {str(what)[:300]!r}")

    @property
    def growth(self) -> int:
        return self.memory[-1] - self.memory[0] if self.memory else 0

    def text(self) -> str:
        columns = sorted({end for ends in self.ends.values() for end in ends})
        rows = [["", *columns], *([kind, *(str(ends[end]) for end in columns)] for kind, ends in self.ends.items())]
        body = "\n".join("".join(f"{cell:>22.22}" for cell in row) for row in rows)
        slowest = max(self.pings, default=0.0) * 1000
        foot = f"exceptions: {len(self.failures)} · ping {slowest:.1f} ms · memory {self.growth / 2**20:+.1f} MiB"
        return f"\n{self.title}\n{body}\n{foot}\n"


def memory(pid: int | str = "self") -> int:
    """Bytes of a process in memory; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError):
        return 0


def finish(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(table.text())
    assert table.failures == []
    assert min(table.pings) < PING_SECONDS
    assert table.growth < GROWTH


async def ended(client: Client, tool: str, arguments: dict[str, Any]) -> tuple[str, object]:
    """How one call ended, and what was said."""
    try:
        result = await asyncio.wait_for(client.call_tool(tool, arguments), 60)
    except MCPError as error:
        return "protocol error", error
    except Exception as error:
        return "exception", f"{type(error).__name__}: {error}"
    text = result.content[0].text
    if not result.is_error:
        return "result", text
    try:
        facts = json.loads(text.rpartition("\n")[2])
    except ValueError:
        return "defect", text
    failed = text.startswith("Seedream generation failed: ")
    taught = failed is (tool in {"generate_image", "edit_image"}) and len(text) < 100_000
    return (str(facts["error"]) if taught else "no words"), text


async def ping(client: Client, table: Table) -> None:
    """The best of some pings: what the server takes, not what this machine was busy with."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        await client.send_ping()
        times.append(time.perf_counter() - begun)
    table.pings.append(min(times))


def _cheap(tool: str, arguments: dict[str, Any], number: int) -> dict[str, Any]:
    """What keeps most calls from making pictures, and all of them from starting processes."""
    if tool == "run_storyboard" and arguments.get("action") == "run":
        return {"action": "plan"}
    return {"dry_run": True} if tool in PICTURE_TOOLS and number % 20 else {}


def _located(arguments: dict[str, Any], good: Path) -> dict[str, Any]:
    return {**arguments, "images": [str(good)]} if arguments.get("images") == [good.name] else arguments


async def test_ten_thousand_calls(open_studio: OpenStudio, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    good = tmp_path / "good.png"
    Image.new("RGB", (320, 240), "teal").save(good)
    table = Table(f"{CALLS} calls, half of them beyond the advertised schemas")
    each = CALLS // len(tools())
    planned = [(tool.name, arguments) for tool in tools() for arguments in calls(tool.name, tool.input_schema, each)]
    planned = [(tool, _located(arguments, good)) for tool, arguments in planned]
    async with Client(build_server(open_studio, "en"), mode="legacy") as client:
        for number, (tool, arguments) in enumerate(planned):
            table.note(tool, *await ended(client, tool, {**arguments, **_cheap(tool, arguments, number)}))
            if number % 500 == 499:
                await ping(client, table)
                gc.collect()
            if number > CALLS * WARM and number % 500 == 499:
                table.memory.append(memory())

    assert sum(sum(ends.values()) for ends in table.ends.values()) == CALLS
    finish(table, capsys)


async def test_thirty_hostile_pictures(open_studio: OpenStudio, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    async def attempt(client: Client, content: bytes) -> tuple[str, object]:
        path = tmp_path / "hostile"
        path.write_bytes(content)
        plain = await ended(client, "edit_image", {"prompt": CHANGE, "images": [str(path)], "preview": "none"})
        fitted = {"prompt": CHANGE, "images": [str(path)], "preview": "none", "fit_references": True}
        again = await ended(client, "edit_image", fitted)
        return again if again[0] in {"defect", "exception", "no words"} else plain

    table, cases = Table("30 hostile pictures"), pictures()
    async with Client(build_server(open_studio, "en"), mode="legacy") as client:
        await ended(client, "generate_image", {"prompt": PLAIN})
        for name, content in cases.items():
            table.note(name, *await attempt(client, content))
            await ping(client, table)
            table.memory.append(memory())

    assert len(cases) == 30
    finish(table, capsys)


async def test_thirty_hostile_replies(open_studio: OpenStudio, capsys: pytest.CaptureFixture[str]):
    table, cases = Table("30 hostile replies"), replies()
    for name, answer in cases.items():
        studio = lambda answer=answer: open_studio(transport=Canned(answer))  # noqa: E731
        async with Client(build_server(studio, "en"), mode="legacy") as client:
            wanted = {"prompt": PLAIN, "preview": "none", "fresh": True}
            table.note(name, *await ended(client, "generate_image", wanted))
            await ping(client, table)
            table.memory.append(memory())

    assert len(cases) == 30
    finish(table, capsys)


class Spoken:
    """A server on stdio; what it says is read by a thread."""

    def __init__(self, environ: dict[str, str]) -> None:
        kept = system()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "seedframe", "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, **environ},
        )
        self.said: Queue[bytes] = Queue()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.put(line)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def hear(self, id: str, seconds: float) -> list[dict[str, Any]]:
        """Everything up to the answer to `id`; ValueError for what is no JSON."""
        heard = []
        while True:
            heard.append(json.loads(self.said.get(timeout=seconds)))
            if heard[-1].get("id") == id:
                return heard

    def ping(self, id: str) -> tuple[float, list[dict[str, Any]]]:
        """Seconds to the answer, and everything that was said before it."""
        begun = time.perf_counter()
        self.say(json.dumps({"jsonrpc": "2.0", "id": id, "method": "ping"}).encode())
        heard = self.hear(id, 60)
        return time.perf_counter() - begun, heard


def test_two_thousand_lines(environ: dict[str, str], capsys: pytest.CaptureFixture[str]):
    table = Table(f"{LINES} JSON-RPC lines")
    server = Spoken(environ)
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "0"}}
    server.say(json.dumps({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": hello}).encode())
    server.hear("hello", 60)
    server.say(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    try:
        for number, line in enumerate(lines(LINES)):
            server.say(line)
            if number % 50 == 49:
                answers = [server.ping(f"p{number}-{again}") for again in range(4)]
                for _, heard in answers:
                    for message in heard:
                        _judge(table, message)
                table.pings.append(min(seconds for seconds, _ in answers))
            if number > LINES * WARM and number % 100 == 99:
                table.memory.append(memory(server.process.pid))
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.process.wait(30) == 0
    except Empty:
        table.failures.append("the server no longer answers")
    finally:
        server.end()
    finish(table, capsys)


def _judge(table: Table, message: dict[str, Any]) -> None:
    """Answers have an id; a tool that failed has words of ours."""
    text = json.dumps(message)
    if "Traceback" in text or "Internal error" in text or (message.get("error") or {}).get("code") in {0, -32603}:
        table.note("answers", "defect", text)
    elif "error" in message:
        table.note("answers", f"error {message['error']['code']}", text)
    else:
        table.note("answers", "result" if "result" in message else "notification", text)
