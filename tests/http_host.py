"""A Seedframe HTTP server as an operator starts it, and callers of both protocol eras."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import httpx2
import mcp.types as t
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from children import system

MODERN = {
    "accept": "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": "2026-07-28",
}


@dataclass(frozen=True)
class Remote:
    """A running server: its base address, its folders, its process, the tokens of its callers."""

    base: str
    home: Path
    process: subprocess.Popen[str]
    tokens: dict[str, str] = field(default_factory=dict)

    def bearer(self, name: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens[name]}"}

    @asynccontextmanager
    async def client(self, name: str, mode: Any = "auto") -> AsyncIterator[Client]:
        async with (
            httpx2.AsyncClient(headers=self.bearer(name), timeout=60) as http,
            Client(streamable_http_client(f"{self.base}/mcp", http_client=http), mode=mode) as client,
        ):
            yield client

    def post(self, name: str, arguments: dict[str, Any], **more: str) -> dict[str, Any]:
        """What `httpx` sends for a modern `generate_image`."""
        return {
            "url": f"{self.base}/mcp",
            "headers": {
                **MODERN,
                **self.bearer(name),
                "mcp-method": "tools/call",
                "mcp-name": "generate_image",
                **more,
            },
            "json": modern_call("generate_image", arguments),
        }


def modern_call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    prefix = "io.modelcontextprotocol/"
    meta = {f"{prefix}protocolVersion": "2026-07-28", f"{prefix}clientCapabilities": {}}
    return {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments, "_meta": meta},
    }


@contextmanager
def served(home: Path, *names: str, arguments: tuple[str, ...] = (), **variables: str) -> Iterator[Remote]:
    """`seedframe serve --http` on a free port, with one token for each name; stopped at the end."""
    port = free_port()
    tokens = {name: f"{name}-".ljust(40, "x") for name in names}
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "seedframe", "serve", "--http", f"127.0.0.1:{port}", *arguments]
    if tokens:
        file = home / "tokens"
        file.write_text("".join(f"{name} {token}\n" for name, token in tokens.items()), encoding="ascii")
        command += ["--tokens", str(file)]
    environ = {
        **system(),
        "PATH": "/usr/bin:/bin",
        "SEEDFRAME_BACKEND": "emulator",
        "SEEDFRAME_OUTPUT_DIR": str(home / "pictures"),
        "SEEDFRAME_JOURNAL": str(home / "state" / "journal.sqlite3"),
        "SEEDFRAME_LANG": "en",
        **variables,
    }
    process = subprocess.Popen(command, env=environ, cwd=home, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert "Serving MCP on" in said, said + process.stderr.read()
        base = f"http://127.0.0.1:{port}"
        _wait_until_healthy(base)
        yield Remote(base, home, process, tokens)
    finally:
        process.terminate()
        process.wait(30)
        if process.stderr is not None:
            process.stderr.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_healthy(base: str) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
        assert client.get(f"{base}/healthz").json()["status"] == "ok"


def got(url: str, **headers: str) -> httpx.Response:
    """One GET."""
    return httpx.get(url, headers=headers, timeout=30)


def posted(url: str, headers: dict[str, str], **body: Any) -> httpx.Response:
    """One POST."""
    return httpx.post(url, headers=headers, timeout=60, **body)


def wait_until_busy(remote: Remote) -> None:
    """Return when a call is under way."""
    while not got(f"{remote.base}/healthz").json()["active"]:
        time.sleep(0.02)


def report(result: t.CallToolResult) -> tuple[str, dict[str, Any]]:
    """The sentence and the facts of a tool result."""
    (text,) = [block.text for block in result.content if isinstance(block, t.TextContent)]
    described, _, machine = text.rpartition("\n")
    return described, json.loads(machine)
