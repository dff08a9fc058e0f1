"""The emulator on a socket, for other programs and other languages.

In: a port and the emulator's options. Out: a running uvicorn. Never in here: an answer's content.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from seedframe.http_guard import HttpGuard
from seedframe.listening import listening

MAX_BODY = 100 << 20
"""Bytes of a request. The vendor documents no limit; a large router in front of it takes 100 MiB (2026-05)."""

START_SECONDS = 10.0


class CuttableProtocol(H11Protocol):
    """uvicorn's own protocol, whose requests can cut their connection through `scope["state"]["hang_up"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # noqa: D102
        super().connection_made(transport)
        self.app_state = {**self.app_state, "hang_up": transport.close}


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; OSError or OverflowError says why not. Port 0 takes a free one."""
    return listening(host, port)


def serve_app(app: Starlette, listener: socket.socket, *, host: str = "127.0.0.1") -> None:
    """Serve until interrupted. Loopback by default: the emulator trusts everybody who reaches it."""
    _server(app, host, listener.getsockname()[1]).run([listener])


@contextmanager
def running(app: Starlette, *, port: int = 0) -> Iterator[str]:
    """Serve on loopback in a thread; gives the base URL, e.g. `http://127.0.0.1:43210`."""
    listener = listening("127.0.0.1", port)
    server = _server(app, "127.0.0.1", port)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        _await_start(server, thread)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(START_SECONDS)
        listener.close()


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the emulator did not start")
        time.sleep(0.005)


def _server(app: Starlette, host: str, port: int) -> uvicorn.Server:
    config: dict[str, Any] = {"server_header": False, "date_header": False, "log_level": "warning", "lifespan": "off"}
    guarded: Any = HttpGuard(app, host, MAX_BODY)
    return uvicorn.Server(uvicorn.Config(guarded, host=host, port=port, http=CuttableProtocol, **config))
