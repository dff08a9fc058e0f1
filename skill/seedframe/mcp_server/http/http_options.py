"""The options of an HTTP server: where it listens, its public address, who may call.

In: the arguments of the command line. Out: frozen `HttpOptions`, or NotConfigured before anything listens.
Never in here: a socket, a token, a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from seedframe.errors import NotConfigured
from seedframe.http_guard import is_loopback
from seedframe.messages import Message

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """`public_url` has no trailing slash; `hosts` and `origins` are exact values, or end in `:*` for any port."""

    host: str
    port: int
    public_url: str
    tokens: Path | None = None
    issuer: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    @property
    def resource(self) -> str:
        """The address of the MCP endpoint, which is also the audience of OAuth tokens."""
        return f"{self.public_url}/mcp"

    def bound(self, port: int) -> HttpOptions:
        """The same with the port the system chose for port 0."""
        if self.port == port:
            return self
        return replace(self, port=port, public_url=self.public_url.removesuffix(":0") + f":{port}")


def http_options(
    listen: str,
    *,
    public_url: str | None = None,
    tokens: Path | None = None,
    issuer: str | None = None,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
) -> HttpOptions:
    """Options from `HOST:PORT` and the rest. NotConfigured when a network could call without a token."""
    host, port = _address(listen)
    nearby = is_loopback(host)
    if not nearby and tokens is None and issuer is None:
        raise NotConfigured(Message("http.token-needed", listen=listen), advice=Message("http.token-needed-advice"))
    if not nearby and public_url is None:
        raise NotConfigured(Message("http.public-needed", listen=listen), advice=Message("http.public-needed-advice"))
    public = _public(public_url or f"http://{_in_url(host)}:{port}")
    own = urlsplit(public)
    return HttpOptions(
        host=host,
        port=port,
        public_url=public,
        tokens=tokens,
        issuer=issuer.rstrip("/") if issuer else None,
        hosts=(own.netloc, *hosts, *(f"{name}:*" for name in LOOPBACK_NAMES)),
        origins=(
            f"{own.scheme}://{own.netloc}",
            *(origin.rstrip("/") for origin in origins),
            *((f"http://{name}:*" for name in LOOPBACK_NAMES) if nearby else ()),
        ),
    )


def _address(listen: str) -> tuple[str, int]:
    """`127.0.0.1:8000`, `[::1]:8000`, `:8000` (every address) or `8000` (loopback)."""
    host, colon, port = listen.strip().rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise NotConfigured(Message("http.odd-address", got=listen))
    if not colon:
        return "127.0.0.1", int(port)
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - asked for, and guarded by a token


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _public(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise NotConfigured(Message("http.odd-public", got=url))
    return url.rstrip("/")
