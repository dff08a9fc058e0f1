"""Who may use the gateway: the hosts it answers to, the web pages it does not, the token off loopback.

In: a request's headers. Out: nothing, or RequestRefused; the caller's own key for the service. A page in a browser can
reach loopback addresses: its `Origin`, or the name it rebound (`Host`), gives it away.
Never in here: a key being checked (the service does that), a path.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from seedframe.errors import NotConfigured
from seedframe.gateway.ark_errors import RequestRefused
from seedframe.messages import Message

TOKEN_HEADER = "x-seedframe-token"  # noqa: S105 - the name of a header
NEARBY = frozenset({"localhost", "host.docker.internal"})
"""Names that always mean this machine, also from within its containers; nobody can rebind them."""


@dataclass(frozen=True, slots=True)
class Access:
    """The rules in force. `hosts`: further names the gateway answers to; `passes_keys`: callers bring their own key."""

    token: str | None
    hosts: frozenset[str]
    passes_keys: bool

    @classmethod
    def for_address(cls, host: str, token: str | None, hosts: tuple[str, ...], *, passes_keys: bool) -> Access:
        """The rules for a gateway that listens on `host`. NotConfigured off loopback without a token."""
        if not is_loopback(host) and not token:
            raise NotConfigured(
                Message("gateway.token-needed", host=host),
                advice=Message("gateway.token-needed-advice"),
                facts={"setting": "SEEDFRAME_GATEWAY_TOKEN"},
            )
        return cls(token, frozenset({host.lower(), *(name.lower() for name in hosts)}), passes_keys)

    def check_host(self, headers: Mapping[str, str]) -> None:
        """RequestRefused for a name that is not ours, and for web pages of other names."""
        host = headers.get("host", "")
        if not self._is_ours(_name(f"//{host}")):
            raise RequestRefused("ForeignHost", Message("gateway.foreign-host", host=host[:100]))
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(_name(origin)):
            raise RequestRefused("ForeignHost", Message("gateway.foreign-origin", origin=origin[:100]))

    def check_token(self, headers: Mapping[str, str]) -> None:
        """RequestRefused without the token, where there is one."""
        if self.token is None:
            return
        given = headers.get(TOKEN_HEADER) or ("" if self.passes_keys else bearer(headers))
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            header = TOKEN_HEADER if self.passes_keys else "Authorization"
            raise RequestRefused("NoToken", Message("gateway.no-token", header=header))

    def key(self, headers: Mapping[str, str]) -> str | None:
        """The caller's key for the service, where callers bring it. RequestRefused when it is missing."""
        if not self.passes_keys:
            return None
        if not bearer(headers):
            raise RequestRefused("NoToken", Message("gateway.no-key"))
        return bearer(headers)

    def _is_ours(self, name: str) -> bool:
        return name in NEARBY or name in self.hosts or is_loopback(name)


def bearer(headers: Mapping[str, str]) -> str:
    """The key or token a caller sent, else nothing."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else ""


def is_loopback(host: str) -> bool:
    """Whether an address, or `localhost`, is this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""
