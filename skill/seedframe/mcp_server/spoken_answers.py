"""The static answers of the server (every handshake and list), for the front to give at once.

In: a server. Out: the text of each answer as it leaves on stdio. The requests go through the same transport as a
host's, so the kept answers equal the real ones. Never in here: a file, an invented answer.
"""

from __future__ import annotations

import json
import queue
from typing import Any, TextIO, cast

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from seedframe.mcp_server.app import initialization_options

LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
"""The methods whose answers do not change during a process; `resources/list` until its first picture."""

CLIENT = {"name": "seedframe", "version": "0"}
_META = "io.modelcontextprotocol/"
Answers = dict[str, dict[str, str]]


async def spoken_answers(server: Server[Any]) -> Answers:
    """Protocol version → method → the text after the id in the answer's line."""
    old = {version: await _answers(server, _old_requests(version)) for version in HANDSHAKE_PROTOCOL_VERSIONS}
    new = {version: await _answers(server, _new_requests(version)) for version in MODERN_PROTOCOL_VERSIONS}
    return {**old, **new}


def _old_requests(version: str) -> list[dict[str, Any]]:
    hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT}
    first = {"id": 0, "method": "initialize", "params": hello}
    rest = [{"id": number, "method": method} for number, method in enumerate((*LISTS, "ping"), 1)]
    return [first, {"method": "notifications/initialized"}, *rest]


def _new_requests(version: str) -> list[dict[str, Any]]:
    capabilities: dict[str, Any] = {}
    meta = {"protocolVersion": version, "clientCapabilities": capabilities, "clientInfo": CLIENT}
    params = {"_meta": {_META + name: value for name, value in meta.items()}}
    methods = ("server/discover", *LISTS)
    return [{"id": number, "method": method, "params": params} for number, method in enumerate(methods)]


async def _answers(server: Server[Any], requests: list[dict[str, Any]]) -> dict[str, str]:
    host = _Host(requests)
    file = cast("TextIO", host)
    async with stdio_server(stdin=anyio.wrap_file(file), stdout=anyio.wrap_file(file)) as (read, write):
        await server.run(read, write, initialization_options(server))
    return host.answers


class _Host:
    """Both ends of a host: asks one request after the other, each once the one before is answered."""

    def __init__(self, requests: list[dict[str, Any]]) -> None:
        self._left = list(requests)
        self._asked: dict[int, str] = {}
        self._turn: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._turn.put(None)
        self.answers: dict[str, str] = {}

    def readline(self) -> str:
        """The next request; empty at the end."""
        self._turn.get()
        if not self._left:
            return ""
        request = self._left.pop(0)
        if "id" in request:
            self._asked[request["id"]] = request["method"]
        else:
            self._turn.put(None)
        return json.dumps({"jsonrpc": "2.0", **request}) + "\n"

    def write(self, line: str) -> int:
        """One answer; kept unless it is an error."""
        message = json.loads(line)
        if "result" in message:
            self.answers[self._asked[message["id"]]] = _after_id(line, message["id"])
        self._turn.put(None)
        return len(line)

    def flush(self) -> None:
        """Nothing is held back."""


def _after_id(line: str, id: int) -> str:
    head = f'{{"jsonrpc":"2.0","id":{id},'
    if not line.startswith(head):
        raise ValueError(f"an answer of the SDK begins in another way: {line[:60]}")
    return line.removeprefix(head).rstrip("\n")
