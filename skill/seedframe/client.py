"""Room 4, the network side: the only file that opens sockets to a backend.

In: a `Call`, where to put pictures, what to tell. Out: a `Reply`, or an error that says what is known about the money.
A POST is repeated only where the error table proves that nothing was billed (or no connection was made); everything
else that breaks after it left is `OutcomeUnknown`. Downloads are free and are repeated.
Never in here: a journal, a picture's content, the environment.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from aiolimiter import AsyncLimiter

from seedframe.arriving import CHUNK, Arrival, Arrived, Parts, disk_full, unknown
from seedframe.catalog import Backend, Offer
from seedframe.errors import ApiError, ConnectionFailed, InvalidRequest, NotConfigured, PictureError
from seedframe.messages import Message
from seedframe.quoting import LONGEST_NAME, quoted, quoted_values
from seedframe.settings import Settings
from seedframe.wire import Call, Reply, failure
from seedframe.wire.replies import is_emulated

MAX_RETRIES = 2
LONGEST_RETRY_AFTER = 60.0
DOWNLOAD_TRIES = 5
MAX_PICTURE_BYTES = 200_000_000
BURST = 8
CONNECTIONS = 32
MODELS_TIMEOUT = 30.0
FETCH_TIMEOUT = 20.0
PROBE_TIMEOUT = 2.0

Tell = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Sent:
    """What a POST came to: the reply, and what had to be done on the way (retries, dropped parameters)."""

    reply: Reply
    notes: tuple[Message, ...] = ()


class Client:
    """One per process: one connection pool, one rate limit for each model. Time, sleep and transport are passed in."""

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        entropy: random.Random | None = None,
        resolve: Callable[[str, int], Awaitable[list[str]]] | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        self._settings = settings
        self._backend = backend
        self._sleep = sleep
        self._entropy = entropy or random.Random()  # noqa: S311 - jitter, not secrets
        self._resolve = resolve or _resolve
        self._limiters: dict[str, AsyncLimiter] = {}
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(settings.timeout, connect=15.0, pool=None),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections // 2),
            headers={"user-agent": "seedframe"},
        )

    async def close(self) -> None:
        """Close the pool."""
        await self._http.aclose()

    async def send(self, call: Call, offer: Offer, parts: Parts, *, arrived: Arrived, sent: Tell, tell: Tell) -> Sent:
        """POST until the answer is final. `sent` is awaited right before each POST, `arrived` for each slot.

        ApiError: the service said no. ConnectionFailed: nothing was sent. OutcomeUnknown: it was, and nobody knows.
        """
        notes: list[Message] = []
        while True:
            await self._wait_for_rate(offer, self._weight(call, offer), tell)
            try:
                reply = await self._post(call, offer, parts, arrived, sent)
            except ApiError as error:
                error.facts["tries"] = len(notes) + 1
                call, note = await self._after_no(error, call, len(notes))
            except ConnectionFailed as error:
                call, note = await self._after_no_connection(error, call, len(notes))
            else:
                return Sent(reply, tuple(notes))
            notes.append(note)
            await tell(note)

    async def is_emulated(self) -> bool:
        """Whether a configured address is an emulator's; asked without a key, and only nearby or over plain http."""
        configured = self._settings.first(self._backend.base_settings)
        if not configured or not self._backend.charges:
            return not self._backend.charges
        parts = urlsplit(configured)
        if parts.scheme != "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
            return False
        address = parts._replace(path="/_emulator/ledger", query="", fragment="").geturl()
        try:
            response = await self._http.get(address, timeout=PROBE_TIMEOUT)
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return is_emulated(response.headers)

    async def models(self) -> Any:
        """The service's catalogue, as it tells it (a listing, not an entitlement)."""
        path = self._backend.paths.get("models")
        if path is None:
            raise NotConfigured(Message("client.no-catalogue", backend=self._backend.title))
        try:
            response = await self._http.get(self._url(path), headers=self._headers(), timeout=MODELS_TIMEOUT)
        except httpx.HTTPError as error:
            raise ConnectionFailed(Message("client.no-connection", why=_why(error))) from error
        listing = _json(response)
        if not response.is_success or not isinstance(listing, dict) or not isinstance(listing.get("data"), list):
            raise self._refusal(response)
        return quoted_values(listing)

    async def probe(self, offer: Offer) -> ApiError | None:
        """Ask for a 1x1 picture: refused for its size when key and model are good, and never billed."""
        body = {"model": offer.id, "prompt": "probe", "size": "1x1"}
        try:
            response = await self._http.post(
                self._url(self._backend.paths["generate"]), json=body, headers=self._headers(), timeout=MODELS_TIMEOUT
            )
        except httpx.HTTPError as error:
            raise ConnectionFailed(Message("client.no-connection", why=_why(error))) from error
        error_told = self._refusal(response)
        return None if error_told.error_class == "size" else error_told

    async def download(self, url: str, target: Path) -> None:
        """Bring a finished picture to `target`. PictureError when it cannot be had; the picture is paid already."""
        self._check_download(url)
        why = ""
        for attempt in range(DOWNLOAD_TRIES):
            if attempt:
                await self._sleep(self._backoff(attempt - 1, 0.5))
            try:
                async with self._http.stream("GET", url, headers={"accept": "image/*"}) as response:
                    if response.is_success:
                        return await self._receive(response, target, MAX_PICTURE_BYTES)
                    why = f"HTTP {response.status_code}"
                    if response.status_code < 500:
                        break
            except httpx.HTTPError as error:
                why = _why(error)
        raise PictureError(Message("client.download-failed", why=why), advice=Message("client.download-advice"))

    async def fetch_reference(self, url: str, target: Path, max_bytes: int) -> None:
        """Bring a caller's https picture to `target`, never from a private address. InvalidRequest otherwise."""
        try:
            pinned, headers, extensions = await self._pin(url)
            async with (
                asyncio.timeout(FETCH_TIMEOUT),
                self._http.stream("GET", pinned, headers=headers, extensions=extensions) as response,
            ):
                if response.status_code != 200:
                    raise _unreachable(url, f"HTTP {response.status_code}")
                await self._receive(response, target, max_bytes)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise _unreachable(url, _why(error)) from error

    async def _post(self, call: Call, offer: Offer, parts: Parts, arrived: Arrived, sent: Tell) -> Reply:
        headers = self._headers()
        url = self._url(call.path)
        total = self._settings.timeout + 40.0 * (self._weight(call, offer) - 1)
        arrival = Arrival(parts, arrived)
        await sent(Message("client.sent"))
        try:
            async with (
                asyncio.timeout(total),
                self._http.stream(
                    "POST", url, json=call.body, headers=headers, timeout=self._timeout(total)
                ) as response,
            ):
                return await arrival.read(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise ConnectionFailed(
                Message("client.no-connection", why=_why(error)), advice=Message("client.no-connection-advice")
            ) from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise NotConfigured(Message("client.bad-base", got=url)) from error
        except (httpx.HTTPError, TimeoutError) as error:
            if (rest := arrival.rest()) is not None:
                return rest
            raise unknown(_why(error)) from error
        finally:
            parts.close()

    def _refusal(self, response: httpx.Response) -> ApiError:
        return failure(response.status_code, response.headers, response.content)

    def _timeout(self, total: float) -> httpx.Timeout:
        """Headers come with the first picture, so reading may take the whole time."""
        return httpx.Timeout(total, connect=min(15.0, total), pool=None)

    async def _after_no(self, error: ApiError, call: Call, retries: int) -> tuple[Call, Message]:
        """What to do with a refusal: the call to repeat and why, or the error again."""
        if retries >= MAX_RETRIES:
            raise error
        if error.retry == "without-parameter" and call.may_drop(error.param):
            return call.without(str(error.param)), Message("client.dropped", parameter=error.param)
        if error.retry == "inline" and retries == 0:
            await self._sleep(self._backoff(retries, 1.0))
            return call, Message("client.reference-again")
        if error.retry == "later" and (wait := _pause(error, retries)) <= LONGEST_RETRY_AFTER:
            seconds = round(wait + self._entropy.uniform(0, wait / 4), 1)
            await self._sleep(seconds)
            return call, Message("client.waited", seconds=seconds, code=error.code)
        raise error

    async def _after_no_connection(self, error: ConnectionFailed, call: Call, retries: int) -> tuple[Call, Message]:
        if retries >= MAX_RETRIES:
            raise error
        await self._sleep(self._backoff(retries, 1.0))
        return call, Message("client.connected-again")

    def _backoff(self, attempt: int, first: float) -> float:
        return float(first * 2**attempt + self._entropy.uniform(0, first / 2))

    async def _wait_for_rate(self, offer: Offer, outputs: int, tell: Tell) -> None:
        limiter = self._limiter(offer)
        waiting = False
        for _ in range(outputs):
            if not waiting and not limiter.has_capacity():
                waiting = True
                await tell(Message("client.waiting-for-rate", model=offer.model.name))
            await limiter.acquire()

    def _limiter(self, offer: Offer) -> AsyncLimiter:
        """Never more than the limit in any minute: a burst plus what leaks in sixty seconds stays below it."""
        if offer.model.name not in self._limiters:
            limit = self._settings.images_per_minute or offer.backend.images_per_minute
            burst = max(1, min(BURST, limit // 2))
            period = 60.0 * burst / max(1, limit - burst)
            self._limiters[offer.model.name] = AsyncLimiter(burst, period)
        return self._limiters[offer.model.name]

    def _weight(self, call: Call, offer: Offer) -> int:
        """How many pictures a call counts for, in time and in rate; the service reserves a fixed number for layers."""
        if call.body.get(offer.parameters["layers"].wire):
            return int(offer.parameters["layers"].extra["images_per_minute"])
        return call.outputs

    def _url(self, path: str) -> str:
        return base_url(self._settings, self._backend) + path

    def _headers(self) -> dict[str, str]:
        key = self._backend.key(self._settings)
        return {} if key is None else {"authorization": f"Bearer {key}"}

    def _check_download(self, url: str) -> None:
        """Results come over https, or from the very host that was called (an emulator, a local gateway)."""
        own = urlsplit(base_url(self._settings, self._backend))
        try:
            parts = urlsplit(url)
            httpx.URL(url)
        except (ValueError, httpx.InvalidURL):
            raise PictureError(Message("client.odd-result-address", scheme="?", host="?")) from None
        if parts.scheme != "https" and (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
            raise PictureError(
                Message(
                    "client.odd-result-address", scheme=parts.scheme or "?", host=quoted(parts.netloc, LONGEST_NAME)
                )
            )

    async def _receive(self, response: httpx.Response, target: Path, limit: int) -> None:
        """The body straight to the file. PictureError for a page or too many bytes, StoreError for a full disk."""
        kind = quoted(response.headers.get("content-type", ""), LONGEST_NAME)
        if kind.startswith("text/"):
            raise PictureError(Message("client.not-a-picture", kind=kind))
        size = 0
        try:
            with target.open("wb") as file:
                async for chunk in response.aiter_bytes(CHUNK):
                    size += len(chunk)
                    if size > limit:
                        raise PictureError(Message("client.too-many-bytes", limit=limit))
                    file.write(chunk)
        except OSError as error:
            raise disk_full(target.parent, error) from error

    async def _pin(self, url: str) -> tuple[str, dict[str, str], dict[str, Any]]:
        """The URL by address instead of by name, so that what was checked is what is called."""
        parts = urlsplit(url)
        if parts.scheme not in {"https", "http"} or not parts.hostname:
            raise _unreachable(url, "not http(s)")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        addresses = await self._resolve(parts.hostname, port)
        public = [address for address in addresses if ipaddress.ip_address(address).is_global]
        if not public or len(public) != len(addresses):
            raise _unreachable(url, "private address")
        host = f"[{public[0]}]" if ":" in public[0] else public[0]
        pinned = parts._replace(netloc=f"{host}:{port}").geturl()
        return pinned, {"host": parts.netloc, "accept": "image/*"}, {"sni_hostname": parts.hostname}


def base_url(settings: Settings, backend: Backend) -> str:
    """Where the backend's paths begin. A configured base without a path gets the backend's own prefix."""
    configured = settings.first(backend.base_settings) or backend.base_url
    if not configured:
        name = backend.base_settings[0]
        raise NotConfigured(Message("client.no-base", name=name, backend=backend.title), facts={"setting": name})
    base = configured.rstrip("/")
    if urlsplit(base).scheme not in {"http", "https"}:
        raise NotConfigured(Message("client.bad-base", got=base))
    return base if urlsplit(base).path else base + backend.prefix


def _pause(error: ApiError, retries: int) -> float:
    """How long the service asks to wait; without its word, the table's pause, longer each time."""
    if error.retry_after is not None:
        return error.retry_after
    return float(error.facts.get("wait_seconds") or 5.0) * (1 + retries)


def _json(response: httpx.Response) -> Any:
    """A body's JSON; None where it is none."""
    try:
        return response.json()
    except ValueError:
        return None


def _unreachable(url: str, why: str) -> InvalidRequest:
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"[:120]
    return InvalidRequest(
        Message("client.reference-unreachable", url=shown, why=why),
        field="images",
        got=shown,
        allowed="https://…",
        advice=Message("client.reference-unreachable-advice"),
    )


def _why(error: BaseException) -> str:
    """A network error in words without addresses or secrets: httpx's name for it and its short text."""
    text = quoted(error, 120)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@asynccontextmanager
async def connected(settings: Settings, backend: Backend, **options: Any) -> AsyncIterator[Client]:
    """A client for one task of a door that needs no journal (catalogue, probe)."""
    client = Client(settings, backend, **options)
    try:
        yield client
    finally:
        await client.close()
