"""`generate` whose user presses Ctrl-C, whose terminal closes, whose process is killed: paid once, never lost."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from held_calls import Held, until_finished, whole_group_is_killed
from seedframe.emulator import emulator, running, scripted
from stdio_host import PATIENCE, bare

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of Unix")

CAT = "一只猫坐在窗台上，午后阳光"
WORDS = [sys.executable, "-m", "seedframe", "generate", CAT, "--ratio", "1:1", "--json"]


class Home:
    """A person's environment before a service whose answer is held back."""

    def __init__(self, environ: Mapping[str, str], held: Held, service: Any) -> None:
        self.environ, self.held, self.service = environ, held, service

    def begin(self, **options: Any) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(WORDS, env=bare(self.environ), stdout=pipe, stderr=pipe, **options)

    def again(self) -> dict[str, Any]:
        done = subprocess.run(WORDS, env=bare(self.environ), capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr.decode()
        return dict(json.loads(done.stdout))


@pytest.fixture
def home(environ: dict[str, str]) -> Iterator[Home]:
    held = Held()
    service = emulator(paint="instant", sleep=held.sleep, script=scripted("latency"))
    with running(service) as base:
        yield Home({**environ, "SEEDFRAME_EMULATOR_BASE": base}, held, service)
        held.release.set()


def test_the_first_ctrl_c_says_that_the_call_goes_on_and_it_does(home: Home):
    process = home.begin()
    assert home.held.reached.wait(PATIENCE)
    process.send_signal(signal.SIGINT)
    described = heard_until(process, b"goes on")
    home.held.release.set()
    output, _ = process.communicate(timeout=PATIENCE)

    facts = json.loads(output)
    assert facts["id"] in described
    assert "the same command" in described
    assert (process.returncode, facts["status"], home.service.state.request_log.posts) == (0, "done", 1)


LEAVES: dict[str, tuple[Callable[[subprocess.Popen[bytes]], Any], int]] = {
    "SIGTERM": (lambda process: process.terminate(), -signal.SIGTERM),
    "SIGHUP": (lambda process: process.send_signal(signal.SIGHUP), -signal.SIGHUP),
    "SIGKILL": (lambda process: process.kill(), -signal.SIGKILL),
    "the whole family": (whole_group_is_killed, -signal.SIGKILL),
}


@pytest.mark.slow
@pytest.mark.parametrize("leave", ["Ctrl-C twice", *LEAVES])
def test_who_leaves_finds_the_picture_by_the_same_command(leave: str, home: Home):
    process = home.begin()
    assert home.held.reached.wait(PATIENCE)
    if leave == "Ctrl-C twice":
        process.send_signal(signal.SIGINT)
        heard_until(process, b"goes on")
        process.send_signal(signal.SIGINT)
        code = 130
    else:
        end, code = LEAVES[leave]
        end(process)
    _, said = process.communicate(timeout=PATIENCE)
    home.held.release.set()
    asyncio.run(until_finished(home.environ))
    facts = home.again()

    assert process.returncode == code
    assert b"Traceback" not in said
    if code != -signal.SIGKILL:
        assert b"the same command" in said
    assert (facts["replayed"], Path(facts["pictures"][0]["path"]).exists()) == (True, True)
    assert home.service.state.request_log.posts == 1


@pytest.mark.slow
def test_ctrl_c_before_anything_was_sent_ends_the_command(environ: dict[str, str]):
    silent = {**environ, "SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": "k" * 20, "ARK_API_BASE": "http://127.0.0.1:9"}
    process = subprocess.Popen(
        [*WORDS[:-1], "--brief", "-"], env=bare(silent), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.send_signal(signal.SIGINT) if started_reading(process) else None
    assert process.stdin is not None
    process.stdin.close()
    process.wait(PATIENCE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stderr.close()

    assert process.returncode in (130, 2)
    assert "Traceback" not in said


def started_reading(process: subprocess.Popen[bytes]) -> bool:
    """The front has replaced the signal's default action, as the system reports."""
    status = Path(f"/proc/{process.pid}/status")
    while status.exists():
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) & (1 << (signal.SIGHUP - 1)):
            return True
        threading.Event().wait(0.01)
    return False


def heard_until(process: subprocess.Popen[bytes], words: bytes) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line.decode()
    raise AssertionError(f"it never said {words!r}")


@pytest.mark.slow
def test_on_a_terminal_a_line_moves_and_tells_the_time(home: Home):
    import pty

    main, other = pty.openpty()
    process = subprocess.Popen(WORDS, env=bare(home.environ), stdout=subprocess.PIPE, stderr=other)
    os.close(other)
    seen = b""
    while not re.search(rb"\d:\d\d request sent", seen):
        seen += os.read(main, 4_096)
    home.held.release.set()
    output, _ = process.communicate(timeout=PATIENCE)
    os.close(main)

    assert json.loads(output)["status"] == "done"
