"""Stage 4, the network: the only module that opens connections to a backend.

In: a `Call`, where to put pictures, callbacks. Out: a `Reply`, or an error that says what is known about the money.
A POST is repeated only where the error table proves that nothing was billed (or no connection was made); every other
failure after it was sent is `OutcomeUnknown`. Downloads are free and are repeated.
Never in here: a payment record, a picture's content, the environment.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from aiolimiter import AsyncLimiter

from seedframe.catalog import Backend, Offer
from seedframe.errors import ApiError, ConnectionFailed, InvalidRequest, NotConfigured, PictureError
from seedframe.limits import limits
from seedframe.messages import Message
from seedframe.quoting import quoted, quoted_values
from seedframe.service.body import JsonBody
from seedframe.service.dialects import Call, dialect_named
from seedframe.service.dialects.base import patience
from seedframe.service.documents import parse
from seedframe.service.failures import failure
from seedframe.service.network.bodies import document
from seedframe.service.network.certificates import VARIABLES
from seedframe.service.network.fetch import Fetcher, NotAPicture, NotFetched, Resolve, ServiceOrigin
from seedframe.service.network.proxies import Proxies, Proxy
from seedframe.service.network.transport import Routed
from seedframe.service.replies import Reply, is_emulated
from seedframe.service.response_stream import Parts, ResponseReader, SlotHandler, disk_full, unknown
from seedframe.settings import Settings

MAX_RETRIES = 2
LONGEST_RETRY_AFTER = 60.0
DOWNLOAD_TRIES = 5
BURST = 8
CONNECTIONS = 32
MODELS_TIMEOUT = 30.0
ACCEPTED_ENCODINGS = "gzip, deflate"
PROBE_TIMEOUT = 2.0

ReportProgress = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Sent:
    """The outcome of a POST: the reply, and notes on retries and dropped parameters."""

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
        resolve: Resolve | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        self._settings = settings
        self._backend = backend
        self._dialect = dialect_named(backend.dialect)
        self._sleep = sleep
        self._entropy = entropy or random.Random()  # noqa: S311 - jitter, not secrets
        self._limiters: dict[str, AsyncLimiter] = {}
        pool = httpx.Limits(max_connections=connections, max_keepalive_connections=connections // 2)
        self._routed = Routed(Proxies.read(settings.environ), settings.environ, pool) if transport is None else None
        self._http = httpx.AsyncClient(
            transport=transport or self._routed,
            timeout=httpx.Timeout(settings.timeout, connect=15.0, pool=None),
            headers={"user-agent": "seedframe", "accept-encoding": ACCEPTED_ENCODINGS},
            trust_env=False,
        )
        self._fetcher = Fetcher(self._http, self.proxy, resolve, settings.fake_ips)

    async def close(self) -> None:
        """Close the pool."""
        await self._http.aclose()

    async def send(
        self,
        call: Call,
        offer: Offer,
        parts: Parts,
        *,
        arrived: SlotHandler,
        sent: ReportProgress,
        report: ReportProgress,
    ) -> Sent:
        """POST until the answer is final. `sent` is awaited right before each POST, `arrived` for each slot.

        ApiError: the service refused. ConnectionFailed: nothing was sent. OutcomeUnknown: sent, its end is unknown.
        """
        notes: list[Message] = []
        await self._prepare()
        while True:
            await self._wait_for_rate(offer, call.weight, report)
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
            await report(note)

    def patience(self, call: Call) -> float:
        """The seconds allowed for the whole answer: more for more pictures."""
        return patience(self._settings.timeout, call.weight)

    async def is_emulated(self) -> bool:
        """Whether a configured address is an emulator's; asked without a key, only locally or over plain http."""
        configured = self._settings.first(self._backend.base_settings)
        if not configured or not self._backend.charges:
            return not self._backend.charges
        parts = urlsplit(base_url(self._settings, self._backend))
        if parts.scheme != "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
            return False
        address = parts._replace(path="/_emulator/ledger", query="", fragment="").geturl()
        try:
            _, headers, _ = await self._ask("GET", address, with_key=False, within=PROBE_TIMEOUT)
        except (ConnectionFailed, httpx.InvalidURL):
            return False
        return is_emulated(headers)

    async def models(self) -> Any:
        """The models that the service lists; being listed does not mean that this key may use them."""
        path = self._backend.paths.get("models")
        if path is None:
            raise NotConfigured(Message("client.no-catalogue", backend=self._backend.title))
        status, headers, content = await self._ask("GET", self._url(path))
        try:
            listing = parse(content)
        except ValueError:
            listing = None
        if (
            not httpx.codes.is_success(status)
            or not isinstance(listing, dict)
            or not isinstance(listing.get("data"), list)
        ):
            raise failure(status, headers, content)
        return quoted_values(listing)

    async def probe(self, offer: Offer) -> ApiError | None:
        """Ask for a 1x1 picture: refused for its size when key and model are good, and never billed."""
        body = {"model": offer.id, "prompt": "probe", "size": "1x1"}
        error = failure(*await self._ask("POST", self._url(self._backend.paths["generate"]), body))
        return None if error.error_class == "size" else error

    async def reach(self) -> int:
        """Call the bare base address without a key; returns the status, whichever it is."""
        status, _, _ = await self._ask("GET", base_url(self._settings, self._backend), with_key=False)
        return status

    def proxy(self, url: str) -> Proxy | None:
        """The proxy an address goes through."""
        return self._routed.proxy(url) if self._routed else None

    async def download(self, url: str, target: Path) -> None:
        """Download a finished picture to `target`. PictureError when that fails; the picture is already paid."""
        origin = ServiceOrigin.of(base_url(self._settings, self._backend))
        total, clock = self._settings.download_timeout, asyncio.get_running_loop().time
        ends = clock() + total
        why: str | Message = ""
        for attempt in range(DOWNLOAD_TRIES):
            if attempt:
                await self._sleep(self._backoff(attempt - 1, 0.5))
            try:
                return await self._fetch(url, target, limits().picture_bytes, max(0.0, ends - clock()), origin)
            except NotAPicture as error:
                raise PictureError(error.why) from error
            except NotFetched as error:
                why = error.why
                if not error.again:
                    break
            except httpx.HTTPError as error:
                why = _why(error)
            if clock() >= ends:
                why = Message("network.too-slow", seconds=f"{total:g}")
                break
        raise PictureError(Message("client.download-failed", why=why), advice=Message("client.download-advice"))

    async def fetch_reference(self, url: str, target: Path, max_bytes: int) -> None:
        """Download a caller's https picture to `target`, never from a private address. InvalidRequest otherwise."""
        try:
            await self._fetch(url, target, max_bytes, limits().reference_seconds, None)
        except NotFetched as error:
            raise _unreachable(url, error.why) from error
        except httpx.HTTPError as error:
            raise _unreachable(url, _why(error)) from error

    async def _fetch(self, url: str, target: Path, most: int, within: float, origin: ServiceOrigin | None) -> None:
        """One try, written straight to the file. StoreError for a full disk."""
        with target.open("wb") as file:

            def write(piece: bytes) -> None:
                try:
                    file.write(piece)
                except OSError as error:
                    raise disk_full(target.parent, error) from error

            await self._fetcher.fetch(url, write, most=most, within=within, origin=origin)

    async def _ask(
        self, method: str, url: str, body: Any = None, *, with_key: bool = True, within: float = MODELS_TIMEOUT
    ) -> tuple[int, httpx.Headers, bytes]:
        """A small request that is never billed: status, headers and body, bounded."""
        await self._prepare()
        headers = self._headers() if with_key else {}
        try:
            async with (
                asyncio.timeout(within),
                self._http.stream(method, url, json=body, headers=headers, timeout=within) as response,
            ):
                content = await document(response, limits().document_bytes)
        except (httpx.HTTPError, TimeoutError) as error:
            raise _no_connection(error, self.proxy(url)) from error
        return response.status_code, response.headers, content

    async def _prepare(self) -> None:
        """Check proxy and certificates before the request is recorded as sent. NotConfigured."""
        if self._routed is not None:
            await self._routed.prepare(base_url(self._settings, self._backend))

    async def _post(self, call: Call, offer: Offer, parts: Parts, arrived: SlotHandler, sent: ReportProgress) -> Reply:
        body = JsonBody(call.body)
        headers = {**self._headers(), **body.headers}
        url = self._url(call.path)
        total = self.patience(call)
        arrival, departure = ResponseReader(parts, arrived, read=self._dialect.read), SendTrace()
        await sent(Message("client.sent"))
        try:
            async with (
                asyncio.timeout(total),
                self._http.stream(
                    "POST",
                    url,
                    content=body.content,
                    headers=headers,
                    timeout=self._timeout(total),
                    extensions={"trace": departure},
                ) as response,
            ):
                return await arrival.read(response)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise NotConfigured(Message("client.bad-base", got=url)) from error
        except (httpx.HTTPError, TimeoutError) as error:
            if isinstance(error, _NOT_CONNECTED) or departure.never_began:
                raise _no_connection(error, self.proxy(url)) from error
            if departure.began and not body.complete:
                raise _cut_short(error) from error
            if (rest := arrival.rest()) is not None:
                return rest
            raise unknown(_why(error)) from error
        finally:
            parts.close()

    def _timeout(self, total: float) -> httpx.Timeout:
        """Headers come with the first picture, so reading may take the whole time."""
        return httpx.Timeout(total, connect=min(15.0, total), pool=None)

    async def _after_no(self, error: ApiError, call: Call, retries: int) -> tuple[Call, Message]:
        """Decide about a refusal: the call to repeat and the reason, or raise the error."""
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
        if retries >= MAX_RETRIES or isinstance(error, _UploadTooSlow):
            raise error
        await self._sleep(self._backoff(retries, 1.0))
        return call, Message("client.connected-again")

    def _backoff(self, attempt: int, first: float) -> float:
        return float(first * 2**attempt + self._entropy.uniform(0, first / 2))

    async def _wait_for_rate(self, offer: Offer, outputs: int, report: ReportProgress) -> None:
        limiter = self._limiter(offer)
        waiting = False
        for _ in range(outputs):
            if not waiting and not limiter.has_capacity():
                waiting = True
                await report(Message("client.waiting-for-rate", model=offer.model.name))
            await limiter.acquire()

    def _limiter(self, offer: Offer) -> AsyncLimiter:
        """A leaky bucket that stays below the limit in any minute: burst plus rate equal the limit."""
        if offer.model.name not in self._limiters:
            limit = self._settings.images_per_minute or offer.backend.images_per_minute
            burst = max(1, min(BURST, limit // 2))
            period = 60.0 * burst / max(1, limit - burst)
            self._limiters[offer.model.name] = AsyncLimiter(burst, period)
        return self._limiters[offer.model.name]

    def _url(self, path: str) -> str:
        return base_url(self._settings, self._backend) + path

    def _headers(self) -> dict[str, str]:
        return dict(self._dialect.auth(self._backend.key(self._settings)))


class SendTrace:
    """Follows the sending of a request by the events of the connection; without events nothing is proven."""

    def __init__(self) -> None:
        self._watching = False
        self.began = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """An event of httpcore: a CONNECT to a proxy is not the request yet."""
        self._watching = True
        if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
            self.began = True

    @property
    def never_began(self) -> bool:
        """Whether it is certain that not one byte of the request was sent."""
        return self._watching and not self.began


def base_url(settings: Settings, backend: Backend) -> str:
    """The base address of the backend. A configured base without a path gets the backend's own prefix."""
    configured = settings.first(backend.base_settings) or backend.base_url
    if not configured:
        name = backend.base_settings[0]
        raise NotConfigured(Message("client.no-base", name=name, backend=backend.title), facts={"setting": name})
    base = configured.strip().rstrip("/")
    try:
        parts = urlsplit(base)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise NotConfigured(Message("client.bad-base", got=_shown(base)), advice=Message("network.base-advice"))
    for path in sorted({*backend.paths.values()}, key=len, reverse=True):
        if parts.path.endswith(path):
            return base.removesuffix(path).rstrip("/")
    return base if parts.path else base + backend.prefix


def _pause(error: ApiError, retries: int) -> float:
    """The wait the service asks for; otherwise the pause of the error table, which grows with each try."""
    if error.retry_after is not None:
        return error.retry_after
    return float(error.facts.get("wait_seconds") or 5.0) * (1 + retries)


def _shown(address: str) -> str:
    """An address without its parts that may be secret."""
    plain = address.partition("?")[0].partition("#")[0]
    scheme, mark, rest = plain.rpartition("://")
    host, slash, path = rest.partition("/")
    return (scheme + mark + host.rpartition("@")[2] + slash + path)[:120]


def _unreachable(url: str, why: str | Message) -> InvalidRequest:
    shown = _shown(url)
    return InvalidRequest(
        Message("client.reference-unreachable", url=shown, why=why),
        field="images",
        got=shown,
        allowed="https://…",
        advice=Message("client.reference-unreachable-advice"),
    )


_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)


class _UploadTooSlow(ConnectionFailed):
    """The time ended before the request was sent; another try would take as long."""


def _cut_short(error: BaseException) -> ConnectionFailed:
    """The error for a request that was sent only in part, so that the service cannot have acted on it."""
    slow = isinstance(error, (TimeoutError, httpx.TimeoutException))
    message = Message("client.upload-cut", why=_why(error))
    advice = Message("client.upload-cut-advice")
    return (_UploadTooSlow if slow else ConnectionFailed)(message, advice=advice)


def _no_connection(error: BaseException, proxy: Proxy | None) -> ConnectionFailed:
    """The error for a request that was never sent, with fitting advice."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        advice = Message("network.certificate-advice", variables=list(VARIABLES))
    elif proxy is not None:
        advice = Message("network.proxy-advice", proxy=str(proxy), source=proxy.source)
    else:
        advice = Message("client.no-connection-advice")
    return ConnectionFailed(Message("client.no-connection", why=_why(error)), advice=advice)


def _why(error: BaseException) -> str:
    """A network error without addresses or secrets: httpx's name for it and its short text."""
    text = quoted(error, 120)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@asynccontextmanager
async def connected(settings: Settings, backend: Backend, **options: Any) -> AsyncIterator[Client]:
    """A client for a task without payment (list of models, probe)."""
    client = Client(settings, backend, **options)
    try:
        yield client
    finally:
        await client.close()
