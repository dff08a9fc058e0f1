"""A host's side of stdio: one server process of ours, spoken to in lines of JSON, in either protocol era."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from children import system

ALLEY = "雨后的江南小巷，一位撑着油纸伞的少女走过青石板路，灯笼的暖光映在积水里，电影感竖幅画面。"
PATIENCE = 90.0
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
    kept = system()
    return {**kept, "LANG": "C.UTF-8", "PYTHONWARNDEFAULTENCODING": "1", **environ}


def machine(answer: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(answer["result"]["content"][0]["text"].rpartition("\n")[2]))
