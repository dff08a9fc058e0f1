"""Who may use the gateway (beyond loopback: with a token), and whose key for the service is used.

In: a request's headers. Out: nothing, or RequestRefused; the caller's own key. What a web page in a browser sends is
refused earlier (`http_guard`). Never in here: a key being checked (the service does that), a path.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from seedframe.errors import NotConfigured
from seedframe.gateway.ark_errors import RequestRefused
from seedframe.http_guard import is_loopback
from seedframe.messages import Message

TOKEN_HEADER = "x-seedframe-token"  # noqa: S105 - the name of a header
CONTAINER_HOST = "host.docker.internal"
"""The name of this machine inside its containers; DNS rebinding cannot use it."""


@dataclass(frozen=True, slots=True)
class Access:
    """The access rules in force. `passes_keys`: callers bring their own key for the service."""

    token: str | None
    passes_keys: bool

    @classmethod
    def for_address(cls, host: str, token: str | None, *, passes_keys: bool) -> Access:
        """The rules for a gateway that listens on `host`. NotConfigured beyond loopback without a token."""
        if not is_loopback(host) and not token:
            raise NotConfigured(
                Message("gateway.token-needed", host=host),
                advice=Message("gateway.token-needed-advice"),
                facts={"setting": "SEEDFRAME_GATEWAY_TOKEN"},
            )
        return cls(token, passes_keys)

    def check_token(self, headers: Mapping[str, str]) -> None:
        """RequestRefused without the token, where there is one."""
        if self.token is None:
            return
        given = headers.get(TOKEN_HEADER) or ("" if self.passes_keys else bearer(headers))
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            header = TOKEN_HEADER if self.passes_keys else "Authorization"
            raise RequestRefused("NoToken", Message("gateway.no-token", header=header))

    def key(self, headers: Mapping[str, str]) -> str | None:
        """The caller's own key for the service, where callers must bring it. RequestRefused when it is missing."""
        if not self.passes_keys:
            return None
        if not bearer(headers):
            raise RequestRefused("NoToken", Message("gateway.no-key"))
        return bearer(headers)


def bearer(headers: Mapping[str, str]) -> str:
    """The key or token a caller sent, else nothing."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else ""
