"""Runs the gateway on a socket until it is stopped.

In: an app and a listening socket. Out: a running uvicorn. Never in here: an answer's content.
"""

from __future__ import annotations

import socket

import uvicorn
from starlette.applications import Starlette

from seedframe.listening import BACKLOG

CONNECTIONS = 96
"""Open connections to the service: 64 callers at once, and their downloads."""


def server_for(app: Starlette, host: str, port: int, grace: float) -> uvicorn.Server:
    """A server that is not running yet. `grace`: seconds that requests under way get when it stops."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http="h11",
        lifespan="on",
        log_level="warning",
        server_header=False,
        date_header=True,
        backlog=BACKLOG,
        timeout_graceful_shutdown=max(1, int(grace)),
    )
    return uvicorn.Server(config)


def serve_gateway(app: Starlette, listener: socket.socket, grace: float) -> None:
    """Serve until interrupted."""
    host, port = listener.getsockname()[:2]
    server_for(app, host, port, grace).run([listener])
