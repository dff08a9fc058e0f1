"""`python -m seedframe serve` as a host starts it: a black box spoken to in lines of JSON, in both protocol eras."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from seedframe.emulator import emulator, running

ALLEY = "雨后的江南小巷，一位撑着油纸伞的少女走过青石板路，灯笼的暖光映在积水里，电影感竖幅画面。"
PATIENCE = 30.0
CLIENT = {"name": "black-box", "version": "0"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": CLIENT,
}


class Host:
    """One server process. Every line it writes must be a JSON-RPC message, or the host says which was not."""

    def __init__(self, era: str, environ: Mapping[str, str], *words: str) -> None:
        self.era = era
        self.notes: list[dict[str, Any]] = []
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._asked = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "seedframe", "serve", *words],
            env=bare(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def greet(self) -> dict[str, Any]:
        """What a host of this era says first."""
        if self.era == "2026-07-28":
            return self.ask("server/discover")
        hello = {"protocolVersion": self.era, "capabilities": {}, "clientInfo": CLIENT}
        answer = self.ask("initialize", hello)
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A request and its answer; whatever else arrives meanwhile is noted."""
        id = self.send(method, params)
        while (message := self.hear()).get("id") != id:
            self.notes.append(message)
        return message

    def send(self, method: str, params: Mapping[str, Any] | None = None) -> int:
        self._asked += 1
        given = dict(params or {})
        if self.era == "2026-07-28":
            given["_meta"] = {**ENVELOPE, **given.get("_meta", {})}
        self.write({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": given})
        return self._asked

    def write(self, message: object) -> None:
        assert self.process.stdin is not None
        text = message if isinstance(message, str) else json.dumps(message)
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def hear_line(self) -> bytes:
        return self._lines.get(timeout=PATIENCE)

    def hear(self) -> dict[str, Any]:
        message = json.loads(self.hear_line())
        assert message["jsonrpc"] == "2.0"
        return dict(message)

    def leave(self) -> tuple[int, list[dict[str, Any]], str]:
        """Close stdin, as hosts do. Exit code, what else was written to stdout, and stderr."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        self.process.stdin.close()
        described = self.process.stderr.read().decode()
        code = self.process.wait(PATIENCE)
        rest = []
        while not self._lines.empty():
            rest.append(self.hear())
        return code, rest, described

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)


def bare(environ: Mapping[str, str]) -> dict[str, str]:
    """A child's environment: what the system needs and what is given, nothing of the person who runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "PYTHONWARNDEFAULTENCODING": "1", **environ}


@pytest.fixture(params=["2026-07-28", "2025-06-18"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def started() -> Iterator[Any]:
    """Starts hosts; whatever still runs at the end is ended."""
    hosts: list[Host] = []

    def start(era: str, environ: Mapping[str, str], *words: str) -> Host:
        hosts.append(Host(era, environ, *words))
        return hosts[-1]

    yield start
    for host in hosts:
        host.process.kill()
        host.process.wait(PATIENCE)
        for stream in (host.process.stdin, host.process.stdout, host.process.stderr):
            assert stream is not None
            stream.close()


def machine(answer: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(answer["result"]["content"][0]["text"].rpartition("\n")[2]))


def test_a_host_lists_calls_and_leaves_and_reads_nothing_but_mcp(
    era: str, started: Any, environ: dict[str, str], tmp_path: Path
):
    with running(emulator(paint="instant")) as base:
        host = started(era, {**environ, "SEEDFRAME_EMULATOR_BASE": base})
        hello = host.greet()["result"]
        tools = host.ask("tools/list")["result"]["tools"]
        host.write("this is not JSON")
        arguments = {"prompt": ALLEY, "ratio": "9:16", "save_as": "alley"}
        call = {"name": "generate_image", "arguments": arguments, "_meta": {"progressToken": "p"}}
        answer = host.ask("tools/call", call)
        code, rest, described = host.leave()

    picture = machine(answer)["pictures"][0]
    assert hello["capabilities"].keys() >= {"tools", "prompts", "resources", "completions"}
    assert [tool["name"] for tool in tools][:3] == ["generate_image", "edit_image", "style_prompt"]
    assert "structuredContent" not in answer["result"]
    assert [block["type"] for block in answer["result"]["content"]] == ["text", "image", "resource_link"]
    assert picture["path"] == str(tmp_path / "pictures" / "alley.jpg")
    assert Path(picture["path"]).stat().st_size == picture["bytes"]
    assert {note["method"] for note in host.notes if "id" not in note} <= {"notifications/progress"}
    assert [note["params"]["progressToken"] for note in host.notes if note.get("method") == "notifications/progress"]
    assert (code, rest) == (0, [])
    assert "Traceback" not in described


def test_it_starts_without_key_and_network_and_says_what_is_missing_when_asked_for_a_picture(
    era: str, started: Any, environ: dict[str, str]
):
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    host = started(era, {**environ, **nowhere, "SEEDFRAME_BACKEND": "ark"})
    hello = host.greet()["result"]
    tools = host.ask("tools/list")["result"]["tools"]
    styled = host.ask("tools/call", {"name": "style_prompt", "arguments": {"prompt": ALLEY}})
    answer = host.ask("tools/call", {"name": "generate_image", "arguments": {"prompt": ALLEY, "ratio": "9:16"}})
    code, rest, described = host.leave()

    text = answer["result"]["content"][0]["text"]
    assert "Seedream" in hello["instructions"]
    assert tools
    assert machine(styled)["prompt"] == ALLEY
    assert answer["result"]["isError"] is True
    assert machine(answer).items() >= {"error": "NotConfigured", "setting": "ARK_API_KEY", "billed": "no"}.items()
    assert "export ARK_API_KEY=" in text
    assert "SEEDFRAME_BACKEND=emulator" in text
    assert (code, rest) == (0, [])
    assert "Traceback" not in described


def test_a_setting_that_cannot_be_read_ends_the_start_with_its_name_on_stderr(environ: dict[str, str]):
    done = subprocess.run(
        [sys.executable, "-m", "seedframe", "serve"],
        env=bare({**environ, "SEEDFRAME_TIMEOUT": "soon"}),
        input=b"",
        capture_output=True,
        timeout=PATIENCE,
    )

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"SEEDFRAME_TIMEOUT is 'soon'" in done.stderr


@pytest.mark.slow
def test_a_host_that_quits_during_a_paid_call_finds_the_picture_on_disk(
    era: str, started: Any, environ: dict[str, str], tmp_path: Path
):
    app = emulator(paint="instant", script=[{"name": "latency", "seconds": 2}])
    with running(app) as base:
        host = started(era, {**environ, "SEEDFRAME_EMULATOR_BASE": base})
        host.greet()
        arguments = {"prompt": ALLEY, "ratio": "9:16", "save_as": "alley"}
        host.send("tools/call", {"name": "generate_image", "arguments": arguments, "_meta": {"progressToken": 1}})
        assert host.hear()["method"] == "notifications/progress"
        while not app.state.request_log.posts:
            threading.Event().wait(0.01)
        code, _, described = host.leave()

    assert (code, app.state.request_log.images) == (0, 1)
    assert (tmp_path / "pictures" / "alley.jpg").is_file()
    assert "Traceback" not in described
