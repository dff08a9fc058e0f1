"""One host on one emulated service: everything that a sentence about a host needs to come about.

In: a host, an empty folder. Out: what the model was asked, how the host ended, what was billed. The model, the service
and their gates run in this process; the host and our server are processes of their own, as for a user. Never in here:
what must be true.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette

from bench.hosts.model_api import ModelApi, model
from bench.hosts.programs import Host, Server, environ_of
from bench.hosts.turns import Asked, Script
from seedframe.emulator import emulator, running, scripted
from seedframe.front.kept_answers import Answers, answers_file, keep_answers
from seedframe.payments import Payments

SERVE = (str(Path(sys.executable).with_name("seedframe")), "serve")
_SAVED_SECONDS = 60.0
_RUN_SECONDS = 150.0
_PICTURE_IS_THERE = {"saved", "delivered"}


class Gate:
    """Paid calls wait here while it is shut; `reached` says that one does."""

    def __init__(self, seconds: float = 0.0, *, shut: bool = False, reached: threading.Event | None = None) -> None:
        self.reached = reached or threading.Event()
        self.seconds = seconds
        self._open = threading.Event()
        if not shut:
            self._open.set()

    async def sleep(self, _seconds: float) -> None:
        """What the emulated service does for its latency."""
        self.reached.set()
        await anyio.sleep(self.seconds)
        await asyncio.to_thread(self._open.wait)

    def open(self) -> None:
        """Let them all go on."""
        self._open.set()

    def shut(self) -> None:
        """Hold the next one."""
        self.reached.clear()
        self._open.clear()


@dataclass(frozen=True, slots=True)
class Run:
    """How a host's run went: what its model was asked with the second it was, how it ended, what it printed."""

    asked: Sequence[Asked]
    arrived: Sequence[float]
    code: int | None
    output: str

    def newest(self) -> Mapping[str, Any]:
        """The facts of the newest result of our tool that the model was given; empty where there is none."""
        found = (facts(asked) for asked in reversed(self.asked))
        return next((one for one in found if one), {})


@dataclass(frozen=True)
class Stage:
    """A host's home with a service of its own. `environ`: further variables of our server."""

    host: Host
    home: Path
    service: Starlette
    gate: Gate
    base: str
    answers: Answers
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def bills(self) -> tuple[int, int]:
        """Paid requests and pictures, as the service counts them."""
        log = self.service.state.request_log
        return log.posts, log.images

    @property
    def journal(self) -> Path:
        """The payment record."""
        return self.home / "journal.sqlite3"

    def server(self, *, give_up_seconds: int | None = None, slower_by: float = 0.0) -> Server:
        """How the host starts our server; `slower_by` seconds pass before it begins."""
        command: Sequence[str] = SERVE
        if slower_by:
            command = ("/bin/sh", "-c", f"sleep {slower_by}; exec {shlex.join(SERVE)}")
        variables = {
            "SEEDFRAME_BACKEND": "emulator",
            "SEEDFRAME_EMULATOR_BASE": self.base,
            "SEEDFRAME_OUTPUT_DIR": str(self.home / "pictures"),
            "SEEDFRAME_JOURNAL": str(self.journal),
            "SEEDFRAME_LANG": "en",
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "LANG": "C.UTF-8",
            **self.environ,
        }
        return Server(command, variables, give_up_seconds)

    def run(self, script: Script, server: Server | None = None, *, kill: threading.Event | None = None) -> Run:
        """Start the host and wait for its end; once `kill` is set, its whole process group is killed."""
        chosen = server or self.server()
        if self.answers:
            keep_answers(answers_file(chosen.environ), self.answers)
        with model(script) as (api, address):
            process = self._started(chosen, address)
            began = time.monotonic()
            if kill is not None:
                kill.wait(_RUN_SECONDS)
                os.killpg(process.pid, signal.SIGKILL)
            return self._ended(process, api, began)

    def until_saved(self, count: int = 1) -> bool:
        """Wait until so many paid calls are finished; whether all of them were saved."""
        return asyncio.run(_until_saved(self.journal, count))

    def _started(self, server: Server, address: str) -> subprocess.Popen[str]:
        work = self.home / "work"
        work.mkdir(exist_ok=True)
        launch = self.host.launch(self.home, address, server)
        return subprocess.Popen(
            launch.words,
            env=environ_of(launch, self.home),
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )

    def _ended(self, process: subprocess.Popen[str], api: ModelApi, began: float) -> Run:
        try:
            output, _ = process.communicate(timeout=_RUN_SECONDS + self.gate.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
        arrived = [moment - began for moment in api.arrived]
        return Run(tuple(api.asked), arrived, process.returncode, output)


@contextmanager
def stage(host: Host, home: Path, answers: Answers, gate: Gate | None = None, **environ: str) -> Iterator[Stage]:
    """A new home and a new service. `answers`: what an earlier start kept; empty for the first start ever."""
    chosen = gate or Gate()
    always = scripted("latency")[0]
    service = emulator(paint="instant", sleep=chosen.sleep, always=always)
    home.mkdir(parents=True)
    with running(service) as base:
        try:
            yield Stage(host, home, service, chosen, base, answers, environ)
        finally:
            chosen.open()


def later(seconds: float, act: Callable[[], None]) -> None:
    """Act when a host has had time to do what it was just told."""
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


def facts(asked: Asked) -> Mapping[str, Any]:
    """The machine-readable line of our result in what the model was given; empty where there is none."""
    for line in asked.text.splitlines():
        start = line.find('{"status":')
        if start >= 0:
            with_rest: tuple[Any, int] = json.JSONDecoder().raw_decode(line[start:])
            return dict(with_rest[0])
    return {}


async def _until_saved(journal: Path, count: int) -> bool:
    async with await Payments.open(journal) as payments:
        entries = await payments.entries()
        ended = [await payments.finished(entry.id, timeout=_SAVED_SECONDS) for entry in entries]
    return len(ended) >= count and all(entry.state in _PICTURE_IS_THERE for entry in ended)
