"""`python -m bench.signals [--quick]`: how fast the server is there, how fast it leaves, and what leaving costs nobody.

In: nothing. Out: a table: an idle server that is ended in every way; a host and a shell that end it in mid-call, where
the picture must be saved, the identical call replayed and one bill written; and the time from a start to `tools/list`
as installed in each way. Exit code 1 where a row does not hold. Never in here: what a host does with a result.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.homes import Gate, Home, home, settled
from bench.startup import HELLO, ask, every_core_busy, keep_answers, say, started
from seedframe.front.kept_answers import Answers, answers_file, read_answers

SEEDFRAME = str(Path(sys.executable).with_name("seedframe"))
ALLEY = "雨后的江南小巷，一位撑着油纸伞的少女走过青石板路，灯笼的暖光映在积水里，电影感竖幅画面。"
ARGUMENTS = {"prompt": ALLEY, "ratio": "9:16", "save_as": "alley"}
GONE_SECONDS = 1.0
QUIET_MS, BUSY_MS = 150.0, 400.0
OURS_MS = 50.0
"""What a start may take beyond the program that starts us, where that alone takes longer than the above."""

_PATIENCE = 30.0
_ROOT = Path(__file__).parents[1]
Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    title: str
    holds: bool
    said: str

    def __str__(self) -> str:
        return f"  {'yes' if self.holds else 'NO':<4} {self.title:<58} {self.said}"


def run_table(*, quick: bool = False) -> Iterator[Row]:
    """Every row, as it is found out."""
    with tempfile.TemporaryDirectory(prefix="seedframe-signals-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        environ = {"PATH": os.environ["PATH"], **settled(folder)}
        keep_answers(environ)
        answers = read_answers(answers_file(environ))
        yield from _idle(environ, 3 if quick else 5)
        for number, (title, end) in enumerate(SERVER_ENDS.items()):
            yield _mid_call(title, end, folder / f"server-{number}", answers)
        for number, (title, end) in enumerate(COMMAND_ENDS.items()):
            yield _mid_command(title, end, folder / f"command-{number}", answers)
        yield from _starts(folder, environ, 5 if quick else 11)


def _idle(environ: Mapping[str, str], rounds: int) -> Iterator[Row]:
    for title, end in IDLE_ENDS.items():
        seconds = max(_seconds_to_leave(environ, end) for _ in range(rounds))
        yield Row(f"idle server, {title}", seconds <= GONE_SECONDS, f"gone within {seconds:.2f} s, worst of {rounds}")


def _seconds_to_leave(environ: Mapping[str, str], end: Callable[[Process], None]) -> float:
    with _server(environ) as process:
        _ask(process, "tools/list", {}, 2)
        began = time.monotonic()
        end(process)
        process.wait(_PATIENCE)
        return time.monotonic() - began


def _mid_call(title: str, end: Callable[[Process], None], folder: Path, answers: Answers) -> Row:
    """A call is under way at the service when the host ends its server; then another host makes the same call."""
    with home(folder, answers, Gate(shut=True)) as place:
        environ = {"PATH": os.environ["PATH"], **place.variables()}
        call = {"name": "generate_image", "arguments": ARGUMENTS}
        with _server(environ) as process:
            assert process.stdin
            say(process.stdin, {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call})
            place.gate.reached.wait(_PATIENCE)
            end(process)
            saved = _saved(place)
        with _server(environ) as process:
            text = _ask(process, "tools/call", call, 2)["content"][0]["text"]
        return _row(f"server in mid-call, {title}", place, json.loads(text.rpartition("\n")[2]), saved=saved)


def _mid_command(title: str, end: Callable[[Process], None], folder: Path, answers: Answers) -> Row:
    """The same of `seedframe generate` in a shell."""
    words = [SEEDFRAME, "generate", ALLEY, "--ratio", "9:16", "--save-as", "alley", "--json"]
    with home(folder, answers, Gate(shut=True)) as place:
        environ = {"PATH": os.environ["PATH"], **place.variables()}
        process = subprocess.Popen(
            words, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        place.gate.reached.wait(_PATIENCE)
        end(process)
        process.wait(_PATIENCE)
        saved = _saved(place)
        again = subprocess.run(
            words, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        )
        return _row(f"seedframe generate in mid-call, {title}", place, json.loads(again.stdout), saved=saved)


def _saved(place: Home) -> bool:
    place.gate.open()
    return place.until_saved() and (place.pictures / "alley.jpg").is_file()


def _row(title: str, place: Home, facts: Mapping[str, Any], *, saved: bool) -> Row:
    replayed = facts.get("status") == "done" and facts.get("replayed") is True
    seen = {"picture on disk": saved, "replayed": replayed, "one bill": place.bills == (1, 1)}
    missing = [name for name, there in seen.items() if not there]
    return Row(title, not missing, f"not: {', '.join(missing)}" if missing else ", ".join(seen))


def _starts(folder: Path, environ: Mapping[str, str], rounds: int) -> Iterator[Row]:
    for one in _installations(folder):
        place = {"XDG_CACHE_HOME": str(folder / one.title.replace(" ", "-"))}
        yield _start(one, {**environ, **_uv_settings(), **one.variables, **place}, rounds)
    if shutil.which("uv") is None:
        yield Row("start → tools/list, uv tool install, uvx", True, "not measured: uv is not installed")


def _start(one: _Installation, environ: Mapping[str, str], rounds: int) -> Row:
    def listed() -> float:
        return statistics.median(started(one.command, environ)[1] for _ in range(rounds))

    keep_answers(environ, one.command)
    quiet, uv = listed(), 0.0
    if one.launcher:
        uv = 1000 * statistics.median(_seconds_of(one.launcher, environ) for _ in range(rounds))
    with every_core_busy():
        busy = listed()
    limit = max(QUIET_MS, uv + OURS_MS)
    itself = f", uv itself {uv:.0f} ms" if uv else ""
    said = f"{quiet:.0f} ms (at most {limit:.0f}{itself}); every core busy {busy:.0f} ms"
    said += f" (at most {BUSY_MS:.0f})" if one.bounded else ""
    return Row(f"start → tools/list, {one.title}", quiet <= limit and (busy <= BUSY_MS or not one.bounded), said)


@dataclass(frozen=True, slots=True)
class _Installation:
    """A way to install and start. `launcher`: what starts nothing of ours; `bounded`: nothing waits for a network."""

    title: str
    command: list[str]
    launcher: list[str] | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    bounded: bool = True


def _installations(folder: Path) -> Iterator[_Installation]:
    """Every way that can be had here."""
    yield _Installation("from a venv", [SEEDFRAME, "serve"])
    uv = shutil.which("uv")
    if uv is None:
        return
    tools = {"UV_TOOL_DIR": str(folder / "tools"), "UV_TOOL_BIN_DIR": str(folder / "bin")}
    wheels = folder / "wheels"
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", wheels, _ROOT], check=True, timeout=300)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([uv, "tool", "install", "--quiet", wheel], env={**os.environ, **tools}, check=True, timeout=300)
    yield _Installation("uv tool install", [str(folder / "bin" / "seedframe"), "serve"])
    source = ["--quiet", "--from", str(wheel)]
    nothing = ["python", "-c", "pass"]
    subprocess.run(["uvx", *source, *nothing], check=True, capture_output=True, timeout=300)
    for title, before, variables, bounded in (
        ("uvx after uv tool install", [], tools, True),
        ("uvx, from its cache (--offline)", ["--offline"], {}, True),
        ("uvx, which asks the index at each start", [], {}, False),
    ):
        words = ["uvx", *before, *source]
        yield _Installation(title, [*words, "seedframe", "serve"], [*words, *nothing], variables, bounded)


def _seconds_of(command: Sequence[str], environ: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=dict(environ), check=True, capture_output=True, timeout=300)
    return time.perf_counter() - began


def _uv_settings() -> dict[str, str]:
    """Where this machine's uv finds and keeps packages, whatever home a server is given."""
    found = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_"))}
    if "UV_CACHE_DIR" in found or shutil.which("uv") is None:
        return found
    told = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True)
    return {**found, "UV_CACHE_DIR": told.stdout.strip()}


@contextmanager
def _server(environ: Mapping[str, str]) -> Iterator[Process]:
    """A server that has been greeted; killed at the end if it is still there."""
    with subprocess.Popen(
        [SEEDFRAME, "serve"],
        env=dict(environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdin
        try:
            _ask(process, "initialize", HELLO, 1)
            say(process.stdin, {"jsonrpc": "2.0", "method": "notifications/initialized"})
            yield process
        finally:
            process.kill()


def _ask(process: Process, method: str, params: Mapping[str, Any], number: int) -> Any:
    assert process.stdin
    assert process.stdout
    return ask(process.stdin, process.stdout, method, dict(params), number)


def _signalled(*kinds: signal.Signals) -> Callable[[Process], None]:
    """As a host that sends these, a moment between them."""

    def end(process: Process) -> None:
        for kind in kinds:
            process.send_signal(kind)
            time.sleep(0.03)

    return end


def _stdin_closed(process: Process) -> None:
    assert process.stdin
    process.stdin.close()


def _family_killed(process: Process) -> None:
    """As a host that kills its process group, and an editor that walks from its children to theirs."""
    os.killpg(process.pid, signal.SIGKILL)


IDLE_ENDS: Mapping[str, Callable[[Process], None]] = {
    "SIGINT": _signalled(signal.SIGINT),
    "SIGHUP": _signalled(signal.SIGHUP),
    "SIGTERM": _signalled(signal.SIGTERM),
    "end of stdin": _stdin_closed,
}
SERVER_ENDS: Mapping[str, Callable[[Process], None]] = {
    "TERM, INT, TERM, KILL (Claude Code)": _signalled(signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGKILL),
    "SIGHUP": _signalled(signal.SIGHUP),
    "end of stdin": _stdin_closed,
    "kill -9": _signalled(signal.SIGKILL),
    "kill -9 of its process group": _family_killed,
}
COMMAND_ENDS: Mapping[str, Callable[[Process], None]] = {
    "Ctrl-C twice": _signalled(signal.SIGINT, signal.SIGINT),
    "SIGTERM": _signalled(signal.SIGTERM),
    "SIGHUP": _signalled(signal.SIGHUP),
    "kill -9": _signalled(signal.SIGKILL),
}


def main(words: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m bench.signals", description=__doc__)
    options.add_argument("--quick", action="store_true", help="fewer rounds")
    given = options.parse_args(words)
    missed = 0
    for row in run_table(quick=given.quick):
        print(row, flush=True)
        missed += not row.holds
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
