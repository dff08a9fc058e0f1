"""One httpx transport that sends each request directly or through its proxy, with the right certificates.

In: proxies, the environment for certificates, limits of the pool. Out: an httpx transport. Connections are opened
and certificates loaded when first needed. Never in here: a decision about an address, the meaning of an answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

import httpx

from seedframe.service.network.certificates import Authorities, authorities
from seedframe.service.network.proxies import Proxies, Proxy

ROUTE = "route_url"
"""Extension of a request whose URL holds a checked address instead of a name: the URL that decides about the proxy."""


class Routed(httpx.AsyncBaseTransport):
    """Sends each request through the proxy of its address, or directly."""

    def __init__(self, proxies: Proxies, environ: Mapping[str, str], limits: httpx.Limits) -> None:
        self._proxies = proxies
        self._environ = environ
        self._limits = limits
        self._open: dict[tuple[str | None, bool], httpx.AsyncHTTPTransport] = {}
        self._authorities: Authorities | None = None
        self._reading = asyncio.Lock()

    def proxy(self, url: str) -> Proxy | None:
        """The proxy an address goes through."""
        return self._proxies.of(url)

    async def prepare(self, url: str) -> httpx.AsyncHTTPTransport:
        """Prepare to call an address. NotConfigured: its certificates cannot be read."""
        proxy, secure = self.proxy(url), url.startswith("https:")
        key = (proxy.url if proxy else None, secure)
        if key not in self._open:
            needs = secure or (proxy is not None and proxy.url.startswith("https:"))
            context = await self._context() if needs else _unused()
            through = _through(proxy, context) if proxy else None
            carrier = httpx.AsyncHTTPTransport(verify=context, limits=self._limits, proxy=through, trust_env=False)
            self._open[key] = carrier
        return self._open[key]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on."""
        carrier = await self.prepare(str(request.extensions.get(ROUTE, request.url)))
        return await carrier.handle_async_request(request)

    async def aclose(self) -> None:
        """Close every connection."""
        for carrier in self._open.values():
            await carrier.aclose()

    async def _context(self) -> ssl.SSLContext:
        """In a thread: reading 150 certificates takes 80 ms."""
        async with self._reading:
            if self._authorities is None:
                self._authorities = await asyncio.to_thread(authorities, self._environ)
        return self._authorities.context


def _through(proxy: Proxy, context: ssl.SSLContext) -> httpx.Proxy:
    """The proxy for httpx, with our certificates where it is itself called over TLS."""
    return httpx.Proxy(proxy.url, ssl_context=context if proxy.url.startswith("https:") else None)


def _unused() -> ssl.SSLContext:
    """A context for plain http: it trusts no certificate."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
