"""How the emulated service gets pictures that are given by URL.

In: a URL. Out: bytes, None (taken on trust), or the recorded refusal. Never in here: any host but this machine.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import httpx

from seedframe.emulator.refusal import Refusal

BUDGET_SECONDS = 5.0
"""The service's own budget was recorded between 5 and 10 s."""


def trust(_: str) -> bytes | None:
    """Take every URL as a good picture without looking: the default, so that an emulator never calls out."""
    return None


def fetch_loopback(url: str) -> bytes | None:
    """Fetch from this machine only; other hosts are taken on trust. `Refusal` as recorded when nothing comes."""
    if not _is_loopback(urlsplit(url).hostname or ""):
        return None
    try:
        reply = httpx.get(url, timeout=BUDGET_SECONDS, follow_redirects=False, trust_env=False)
    except httpx.HTTPError:
        raise Refusal("reference-url-timeout", url=url) from None
    if reply.status_code != httpx.codes.OK:
        raise Refusal("reference-url-timeout", url=url)
    return reply.content


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
