"""Chooses the proxy for an address, by the usual variables (HTTPS_PROXY, ALL_PROXY, NO_PROXY).

In: the environment as a mapping. Out: for each URL a proxy or None. NotConfigured for an unusable proxy.
This machine's own addresses are never sent to a proxy. Never in here: a connection, `os.environ`.
"""

from __future__ import annotations

import ipaddress
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from seedframe.errors import NotConfigured
from seedframe.messages import Message
from seedframe.service.network.addresses import literal

_SCHEMES = ("http", "https", "socks5", "socks5h")
_SAME = {"socks": "socks5"}
"""The name of SOCKS 5 in desktop settings."""

_PORTS = {"http": 80, "https": 443}
_KINDS = ("http", "https", "all")
_SYSTEM = "system settings"


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy: its URL as httpx takes it, and where it was set. Shown without user name and password."""

    url: str
    source: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of an environment. `by_scheme`: http, https or all → proxy. `direct`: the entries of NO_PROXY."""

    by_scheme: Mapping[str, Proxy]
    direct: tuple[str, ...] = ()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Proxies:
        """The proxies of the variables; without any, those of the operating system (macOS, Windows)."""
        found = {kind: named for kind in _KINDS if (named := _variable(environ, kind))}
        if not found:
            found = {kind: (_SYSTEM, url) for kind, url in _of_the_system().items() if kind in _KINDS}
        _, no_proxy = _variable(environ, "no") or ("", _of_the_system().get("no", ""))
        proxies = {kind: _proxy(name, value) for kind, (name, value) in found.items()}
        return cls(proxies, tuple(word.strip().lower() for word in no_proxy.split(",") if word.strip()))

    def of(self, url: str) -> Proxy | None:
        """The proxy for this address; None: no proxy."""
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        if is_loopback(host) or self._goes_direct(host, parts.port or _PORTS.get(parts.scheme)):
            return None
        return self.by_scheme.get(parts.scheme) or self.by_scheme.get("all")

    def _goes_direct(self, host: str, port: int | None) -> bool:
        return any(_covers(word, host, port) for word in self.direct)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address."""
    address = literal(host)
    if address is None:
        return host.rstrip(".").lower() == "localhost" or host.rstrip(".").lower().endswith(".localhost")
    return ipaddress.ip_address(address).is_loopback


def _variable(environ: Mapping[str, str], kind: str) -> tuple[str, str] | None:
    """The variable of this kind that is set: lower case first, as in other programs."""
    names = (f"{kind}_proxy", f"{kind}_proxy".upper())
    return next(((name, environ[name].strip()) for name in names if environ.get(name, "").strip()), None)


def _of_the_system() -> dict[str, str]:
    """Proxies from the registry or the system settings; functions that exist only where there are any."""
    for name in ("getproxies_macosx_sysconf", "getproxies_registry"):
        if (ask := getattr(urllib.request, name, None)) is not None:
            return dict(ask())
    return {}


def _proxy(name: str, value: str) -> Proxy:
    url = value if "://" in value else f"http://{value}"
    scheme, _, rest = url.partition("://")
    scheme = _SAME.get(scheme.lower(), scheme.lower())
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        usable = scheme in _SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        shown = f"{scheme}://{rest.rpartition('@')[2]}"[:80]
        raise NotConfigured(
            Message("network.odd-proxy", name=name, got=shown, allowed=[f"{one}://host:port" for one in _SCHEMES]),
            advice=Message("network.odd-proxy-advice", name=name),
            facts={"setting": name},
        )
    return Proxy(f"{scheme}://{parts.netloc}", name)


def _covers(word: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY matches this host: `*`, a name and all below it, address, range, `host:port`."""
    if word == "*":
        return True
    name = word.rpartition("://")[2].removeprefix("*").strip("[]")
    address = literal(host)
    if address is not None and "/" in name:
        try:
            return ipaddress.ip_address(address) in ipaddress.ip_network(name, strict=False)
        except ValueError:
            return False
    head, _, tail = name.rpartition(":")
    if head and tail.isdigit() and ":" not in head:
        if str(port) != tail:
            return False
        name = head
    if address is not None:
        return name == address
    bare = name.lstrip(".")
    return bool(bare) and (host == bare or host.endswith(f".{bare}"))
