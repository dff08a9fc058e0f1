"""How long a host waits for the server: from spawning it to `initialize`, and on to `tools/list`.

In: nothing. Out: milliseconds of `seedframe serve` and of a bare server on the same SDK, in turn, and of `serve` at
a first start ever and while every core is busy with something else. Raw JSON lines over pipes, so that no client's
time is in the figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bench.figures import Ground, Report, Series, compared
from seedframe.front.kept_answers import answers_file

SERVERS = {
    "ours": [str(Path(sys.executable).with_name("seedframe")), "serve"],
    "bare": [sys.executable, "-m", "bench.bare"],
}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


def report(report: Report, ground: Ground) -> None:
    """Both servers, in turn."""
    report.title("Start-up (milliseconds from spawning the server)")
    first: dict[str, list[float]] = {name: [] for name in SERVERS}
    listed: dict[str, list[float]] = {name: [] for name in SERVERS}
    keep_answers()
    for _ in range(ground.rounds(11, 5)):
        for name, command in SERVERS.items():
            initialized, tools = started(command)
            first[name].append(initialized)
            listed[name].append(tools)
    with tempfile.TemporaryDirectory() as folder:
        caches = (f"{folder}/{number}" for number in range(ground.rounds(11, 5)))
        ever = Series([started(SERVERS["ours"], {**_environ(), "XDG_CACHE_HOME": cache})[1] for cache in caches])
    with every_core_busy():
        busy = Series([started(SERVERS["ours"])[1] for _ in range(ground.rounds(11, 5))])
    hello = {name: Series(values) for name, values in first.items()}
    tools_list = {name: Series(values) for name, values in listed.items()}
    report.line("start → initialize", compared(hello))
    report.line("start → tools/list", compared(tools_list))
    report.line("start → tools/list, first start ever", f"ours {ever}")
    report.line("start → tools/list, every core busy", f"ours {busy}")
    report.target("start → initialize, ours / bare server", hello["ours"].over(hello["bare"]), 0.3)
    report.target("start → tools/list", tools_list["ours"].median, 150, "ms")
    report.target("start → tools/list, first start ever", ever.median, 150, "ms")
    report.target("start → tools/list, every core busy", busy.median, 400, "ms")


def keep_answers(environ: Mapping[str, str] | None = None, command: Sequence[str] = tuple(SERVERS["ours"])) -> None:
    """A first start, which lasts until the answers of the server that runs behind it are kept."""
    given = environ or _environ()
    kept = Path(answers_file(given))
    others = set(kept.parent.glob("answers-*.json"))
    with greeted(list(command), given):
        for _ in range(600):
            # Another installation than this one names its file differently.
            if kept.exists() or set(kept.parent.glob("answers-*.json")) - others:
                return
            time.sleep(0.1)
    raise TimeoutError(f"{kept} was not written")


@contextmanager
def greeted(command: list[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server that has been greeted; its stdin is closed at the end."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[1],
        env=environ,
    ) as process:
        assert process.stdin
        assert process.stdout
        ask(process.stdin, process.stdout, "initialize", HELLO, 1)
        say(process.stdin, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield process
        process.stdin.close()
        process.wait(10)


@contextmanager
def every_core_busy() -> Iterator[None]:
    """One process of pure arithmetic for each core."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 2)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _environ() -> dict[str, str]:
    return {**os.environ, "SEEDFRAME_BACKEND": "emulator"}


def started(command: list[str], environ: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Milliseconds to the answer to `initialize` and to the one to `tools/list`."""
    began = time.perf_counter()
    with greeted(command, environ or _environ()) as process:
        assert process.stdin
        assert process.stdout
        initialized = time.perf_counter() - began
        ask(process.stdin, process.stdout, "tools/list", {}, 2)
        listed = time.perf_counter() - began
    return initialized * 1000, listed * 1000


def ask(stdin: IO[bytes], stdout: IO[bytes], method: str, params: dict[str, Any], number: int) -> Any:
    """A request with that number as its id; its result."""
    say(stdin, {"jsonrpc": "2.0", "id": number, "method": method, "params": params})
    while line := stdout.readline():
        answer = json.loads(line)
        if answer.get("id") == number:
            assert "result" in answer, answer
            return answer["result"]
    raise ConnectionError(f"no answer to {method}")


def say(stdin: IO[bytes], message: dict[str, Any]) -> None:
    """One line to the server."""
    stdin.write(json.dumps(message).encode() + b"\n")
    stdin.flush()
