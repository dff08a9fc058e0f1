"""What stands between a user and the service, for real and on loopback: servers that say anything, TLS, two proxies."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Says:
    """One answer: status, headers as they are, and a body that may come in pieces, slowly or for ever."""

    body: bytes | Callable[[], Iterable[bytes]] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """A server that answers each path with what a test wrote; `seen` are the requests, `waiting` ends slow bodies."""

    pages: dict[str, Says]
    seen: list[tuple[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    waiting: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves early is what many tests are about."""


@contextmanager
def site(pages: dict[str, Says], context: ssl.SSLContext | None = None) -> Iterator[Site]:
    """Serve in a thread, over TLS with a `context`."""
    described = Site(pages)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def handle_one(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            self.rfile.read(length)
            if self.path == "/_emulator/ledger":  # asked once, without a key, of every server on this machine
                self.send_error(404)
                return
            described.seen.append((self.command, self.path))
            described.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = described.pages.get(self.path.partition("?")[0], Says(b"nothing here", 404))
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            body = (answer.body,) if isinstance(answer.body, bytes) else answer.body()
            for piece in body:
                self.wfile.write(piece)

        do_GET = do_POST = handle_one  # noqa: N815 - named by http.server

    server = _Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    described.port = server.server_address[1]
    with _running(server):
        try:
            yield described
        finally:
            described.waiting.set()


@dataclass
class Carrier:
    """A proxy that resolves names by itself: `names` → local port; `asked` is what it was asked for."""

    names: Mapping[str, int]
    asked: list[str] = field(default_factory=list)
    port: int = 0


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A tunnel that breaks is the client's matter."""


@contextmanager
def http_proxy(names: Mapping[str, int]) -> Iterator[Carrier]:
    """A proxy that knows CONNECT."""

    def greet(client: socket.socket, carrier: Carrier) -> socket.socket | None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (piece := client.recv(4096)):
                return None
            head += piece
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        carrier.asked.append(f"{method} {target}")
        port = carrier.names.get(target.rpartition(":")[0])
        if method != "CONNECT" or port is None:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            return None
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return socket.create_connection(("127.0.0.1", port))

    with _carrying(names, greet) as carrier:
        yield carrier


@contextmanager
def socks_proxy(names: Mapping[str, int]) -> Iterator[Carrier]:
    """A SOCKS 5 proxy that takes names (RFC 1928, no authentication)."""

    def greet(client: socket.socket, carrier: Carrier) -> socket.socket | None:
        methods = client.recv(2)[1]
        client.recv(methods)
        client.sendall(b"\x05\x00")
        _, _, _, kind = client.recv(4)
        assert kind == 3, "names are left to the proxy"
        name = client.recv(client.recv(1)[0]).decode()
        target = f"{name}:{int.from_bytes(client.recv(2))}"
        carrier.asked.append(target)
        port = carrier.names.get(name)
        client.sendall(b"\x05" + (b"\x04" if port is None else b"\x00") + b"\x00\x01\x00\x00\x00\x00\x00\x00")
        return None if port is None else socket.create_connection(("127.0.0.1", port))

    with _carrying(names, greet) as carrier:
        yield carrier


@contextmanager
def silent_proxy() -> Iterator[Carrier]:
    """A proxy that takes the connection and never says a word."""
    done = threading.Event()

    def greet(client: socket.socket, carrier: Carrier) -> socket.socket | None:
        carrier.asked.append(client.recv(4096).split(b"\r\n")[0].decode())
        done.wait(30)
        return None

    with _carrying({}, greet) as carrier:
        try:
            yield carrier
        finally:
            done.set()


Greeting = Callable[[socket.socket, Carrier], socket.socket | None]


@contextmanager
def _carrying(names: Mapping[str, int], greet: Greeting) -> Iterator[Carrier]:
    carrier = Carrier(names)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if (far := greet(self.request, carrier)) is not None:
                _relay(self.request, far)

    server = _Proxy(("127.0.0.1", 0), Handler)
    carrier.port = server.server_address[1]
    with _running(server):
        yield carrier


def _relay(near: socket.socket, far: socket.socket) -> None:
    def copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65_536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    back = threading.Thread(target=copy, args=(far, near), daemon=True)
    back.start()
    copy(near, far)
    back.join(10)
    far.close()


@contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
