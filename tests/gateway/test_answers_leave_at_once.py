"""What a server of ours sends leaves at once: no part of an answer waits for the one before to be acknowledged."""

from __future__ import annotations

import socket

import pytest

from seedframe.listening import listening


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_accepted_connection_sends_without_delay(host: str) -> None:
    try:
        listener = listening(host, 0)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with listener, socket.create_connection(listener.getsockname()[:2]), listener.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
