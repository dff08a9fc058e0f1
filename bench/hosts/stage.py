"""One host in one home: everything that a sentence about a host needs to come about.

In: a host, a home. Out: what the model was asked, how the host ended. The model runs in this process; the host and our
server are processes of their own, as for a user. Never in here: what must be true.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.homes import Home
from bench.hosts.model_api import ModelApi, model
from bench.hosts.programs import Host, Server, environ_of
from bench.hosts.turns import Asked, Script

SERVE = (str(Path(sys.executable).with_name("seedframe")), "serve")
_RUN_SECONDS = 150.0


@dataclass(frozen=True, slots=True)
class Run:
    """How a host's run went: what its model was asked and at which second, how it ended, what it printed."""

    asked: Sequence[Asked]
    arrived: Sequence[float]
    code: int | None
    output: str

    def newest(self) -> Mapping[str, Any]:
        """The facts of the newest result of our tool that the model was given; empty where there is none."""
        found = (facts(asked) for asked in reversed(self.asked))
        return next((one for one in found if one), {})


@dataclass(frozen=True, slots=True)
class Stage:
    """A host in a home."""

    host: Host
    home: Home

    def server(self, *, give_up_seconds: int | None = None, slower_by: float = 0.0) -> Server:
        """How the host starts our server; `slower_by` seconds pass before it begins."""
        command: Sequence[str] = SERVE
        if slower_by:
            command = ("/bin/sh", "-c", f"sleep {slower_by}; exec {shlex.join(SERVE)}")
        return Server(command, self.home.variables(), give_up_seconds)

    def run(self, script: Script, server: Server | None = None, *, kill: threading.Event | None = None) -> Run:
        """Start the host and wait for its end; once `kill` is set, its whole process group is killed."""
        with model(script) as (api, address):
            process = self._started(server or self.server(), address)
            began = time.monotonic()
            if kill is not None:
                kill.wait(_RUN_SECONDS)
                os.killpg(process.pid, signal.SIGKILL)
            return self._ended(process, api, began)

    def _started(self, server: Server, address: str) -> subprocess.Popen[str]:
        work = self.home.folder / "work"
        work.mkdir(exist_ok=True)
        launch = self.host.launch(self.home.folder, address, server)
        return subprocess.Popen(
            launch.words,
            env=environ_of(launch, self.home.folder),
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
            output, _ = process.communicate(timeout=_RUN_SECONDS + self.home.gate.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
        arrived = [moment - began for moment in api.arrived]
        return Run(tuple(api.asked), arrived, process.returncode, output)


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
            document: Mapping[str, Any] = json.JSONDecoder().raw_decode(line[start:])[0]
            return document
    return {}
