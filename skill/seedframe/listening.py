"""Sockets of the HTTP servers on this machine.

In: a host and a port. Out: a listening socket whose answers leave at once. Never in here: a server, a request.
"""

from __future__ import annotations

import socket

BACKLOG = 512
"""Connections that may wait to be accepted."""


def listening(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes any free one. OSError or OverflowError when the address cannot be had.

    Accepted connections inherit TCP_NODELAY. asyncio sets it only on sockets that name their protocol, which those of
    `socket.create_server` do not: the second part of an answer would then wait 40 ms for the first to be acknowledged.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
