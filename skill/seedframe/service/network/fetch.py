"""Downloads one picture from an untrusted address: checked, redirects followed, bounded in bytes and time.

In: a URL. Out: its bytes, piece by piece, once the first ones look like a picture. NotFetched says why not.
Directly called names are resolved once, every address must be public, and the checked address is the one that is
called. Behind a proxy the proxy resolves, so only names and spelled-out addresses can be checked here.
Never in here: a file, a retry, a key.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from seedframe.images import MIMES, sniff
from seedframe.limits import limits
from seedframe.messages import Message
from seedframe.service.network.addresses import is_fake, is_public, literal
from seedframe.service.network.bodies import OddEncoding, TooMuch, pieces
from seedframe.service.network.proxies import Proxy, is_loopback
from seedframe.service.network.transport import ROUTE
from seedframe.settings import NetworkRange

Resolve = Callable[[str, int], Awaitable[list[str]]]

PORTS = (443, 80)
STALL_SECONDS = 20.0
CONNECT_SECONDS = 15.0
MOST_ADDRESSES = 3
_HEAD = 32
_LOCAL_NAMES = (".local", ".localhost", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa")


class NotFetched(Exception):
    """No picture from there. `again`: whether another try may help."""

    def __init__(self, why: Message, *, again: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.again = again


class NotAPicture(NotFetched):
    """The answer is not a picture; `why` is a sentence of its own."""


@dataclass(frozen=True, slots=True)
class ServiceOrigin:
    """The host that is called with the key; results are trusted on that host, and anywhere when it is this machine."""

    scheme: str
    netloc: str
    loopback: bool

    @classmethod
    def of(cls, url: str) -> ServiceOrigin:
        """The origin of a base address."""
        parts = urlsplit(url)
        return cls(parts.scheme, parts.netloc, is_loopback(parts.hostname or ""))

    def trusts(self, url: str) -> bool:
        """Whether a result at this address needs no check."""
        parts = urlsplit(url)
        if (parts.scheme, parts.netloc) == (self.scheme, self.netloc):
            return True
        return self.loopback and (parts.scheme == "https" or is_loopback(parts.hostname or ""))


@dataclass(frozen=True, slots=True)
class _Target:
    """One way to call a URL: as it is, or with a checked address in place of its host name."""

    url: str
    headers: dict[str, str]
    extensions: dict[str, Any]


class Fetcher:
    """Fetches pictures with a client that is passed in. `allowed`: ranges that count as public here."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        proxy: Callable[[str], Proxy | None],
        resolve: Resolve | None = None,
        allowed: Sequence[NetworkRange] = (),
    ) -> None:
        self._http = http
        self._proxy = proxy
        self._resolve = resolve or resolved
        self._allowed = tuple(allowed)

    async def fetch(
        self,
        url: str,
        write: Callable[[bytes], object],
        *,
        most: int,
        within: float,
        origin: ServiceOrigin | None = None,
    ) -> None:
        """Hand the picture's bytes to `write`; `within` seconds in all. Redirects are followed and checked again."""
        try:
            trusted = httpx.URL(url).host != "" and origin is not None and origin.trusts(url)
        except (ValueError, httpx.InvalidURL):
            raise NotFetched(Message("network.odd-address")) from None
        try:
            async with asyncio.timeout(within):
                for _ in range(limits().redirects + 1):
                    async with self._answer(url, min(STALL_SECONDS, within), trusted=trusted) as response:
                        if not response.has_redirect_location:
                            return await _receive(response, write, most, min(STALL_SECONDS, within / 2))
                        step = urljoin(url, response.headers["location"])
                    trusted, url = trusted and _same_origin(url, step), step
        except TimeoutError:
            raise NotFetched(Message("network.too-slow", seconds=round(within, 1)), again=True) from None
        except (TooMuch, OddEncoding) as error:
            raise NotFetched(_odd_body(error, most)) from error
        raise NotFetched(Message("network.redirects", allowed=limits().redirects))

    @asynccontextmanager
    async def _answer(self, url: str, stall: float, *, trusted: bool) -> AsyncIterator[httpx.Response]:
        """The answer of the first address that accepts the connection."""
        targets = [_Target(url, {}, {})] if trusted else await self._checked(url)
        for left, target in zip(reversed(range(len(targets))), targets, strict=True):
            request = self._http.build_request(
                "GET",
                target.url,
                headers={"accept": "image/*", "accept-encoding": "identity", **target.headers},
                extensions={
                    **target.extensions,
                    "timeout": httpx.Timeout(stall, connect=min(CONNECT_SECONDS, stall), pool=None).as_dict(),
                },
            )
            try:
                response = await self._http.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if not left:
                    raise
                continue
            try:
                yield response
            finally:
                await response.aclose()
            return

    async def _checked(self, url: str) -> list[_Target]:
        """The ways in which an untrusted address may be called. NotFetched when it may not."""
        try:
            parts, port = urlsplit(url), urlsplit(url).port or 443
            httpx.URL(url)
        except (ValueError, httpx.InvalidURL):
            raise NotFetched(Message("network.odd-address")) from None
        if parts.scheme != "https" or not parts.hostname:
            raise NotFetched(Message("network.not-https"))
        if port not in PORTS:
            raise NotFetched(Message("network.odd-port", got=port, allowed=list(PORTS)))
        host = parts.hostname
        spelled = literal(host)
        if spelled is None and self._proxy(url) is not None:
            if "." not in host.strip(".") or host.rstrip(".").endswith(_LOCAL_NAMES):
                raise NotFetched(Message("network.private", got=host))
            return [_Target(url, {}, {})]
        addresses = [spelled] if spelled else await self._resolve(host, port)
        self._check(addresses, host)
        return [_pinned(url, address, port) for address in addresses[:MOST_ADDRESSES]]

    def _check(self, addresses: Sequence[str], host: str) -> None:
        """Every address must be public: a name that also leads to a private one is refused."""
        if not addresses:
            raise NotFetched(Message("network.no-address", host=host), again=True)
        for address in addresses:
            if not is_public(address, self._allowed):
                key = "network.fake-ip" if is_fake(address) else "network.private"
                raise NotFetched(Message(key, got=host if host == address else f"{host} ({address})"))


async def resolved(host: str, port: int) -> list[str]:
    """The addresses of a name, by the operating system. NotFetched when it has none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotFetched(Message("network.no-address", host=host), again=True) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _pinned(url: str, address: str, port: int) -> _Target:
    """The URL by address, so that what was checked is what is called; the certificate is checked by name."""
    parts = urlsplit(url)
    host = f"[{address}]" if ":" in address else address
    name = parts.netloc.rpartition("@")[2]
    pinned = parts._replace(netloc=f"{host}:{port}").geturl()
    return _Target(pinned, {"host": name}, {"sni_hostname": parts.hostname, ROUTE: url})


def _same_origin(url: str, step: str) -> bool:
    """Whether a redirect stays with host and port; it may go from http to https, not back."""
    before, after = urlsplit(url), urlsplit(step)
    if before.scheme == "http" and after.scheme == "https" and before.hostname == after.hostname:
        return before.port in {None, 80} and after.port in {None, 443}
    return (before.scheme, before.netloc) == (after.scheme, after.netloc)


async def _receive(response: httpx.Response, write: Callable[[bytes], object], most: int, window: float) -> None:
    """The body, once its first bytes are those of a picture; its content type is ignored."""
    if response.status_code != httpx.codes.OK:
        again = response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
        raise NotFetched(Message("network.status", status=response.status_code), again=again)
    clock = asyncio.get_running_loop().time
    head, begun, came, since = b"", False, 0, clock()
    async for piece in pieces(response, most):
        came += len(piece)
        if (now := clock()) - since >= window:
            if came < limits().download_floor * (now - since):
                raise NotFetched(Message("network.stalled", floor=limits().download_floor), again=True)
            came, since = 0, now
        if begun:
            write(piece)
        elif len(head := head + piece) >= _HEAD:
            write(_picture(head, response))
            begun = True
    if not begun:
        write(_picture(head, response))


def _picture(head: bytes, response: httpx.Response) -> bytes:
    """The first bytes, if they are those of a picture; the content type is only used in the error."""
    if sniff(head[:_HEAD]) is not None:
        return head
    kind = response.headers.get("content-type", "")[: limits().error_name]
    if not kind or kind.startswith(("image/", "application/octet-stream")):
        raise NotAPicture(Message("pictures.not-a-picture", name="–", known=list(MIMES)))
    raise NotFetched(Message("network.not-a-picture", kind=kind))


def _odd_body(error: TooMuch | OddEncoding, most: int) -> Message:
    if isinstance(error, TooMuch):
        return Message("network.too-many-bytes", allowed=most)
    return Message("network.odd-encoding")
