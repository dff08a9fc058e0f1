"""Result files behind signed, expiring URLs, as the vendor's object store serves them.

In: what to paint and when. Out: a URL, and later the recipe behind it, or why not. Never in here: pixels.
It keeps recipes, not bytes: thousands of results cost little, and the same URL always gives the same file.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import deque
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from seedframe.emulator.faults import Fault
from seedframe.emulator.painter import Recipe

LIFETIME = 86400
"""Seconds a result URL lives (it says so itself: `X-Tos-Expires=86400`)."""

KEPT = 20_000
"""A long-running emulator forgets the oldest results beyond this many."""


@dataclass(frozen=True, slots=True)
class Item:
    """One result: how to paint it, how to spoil it, the query it was signed with, when it expires."""

    recipe: Recipe
    damage: Fault | None
    query: str
    expires: float


class ObjectStore:
    """All results of one emulator."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._items: dict[str, Item] = {}
        self._order: deque[str] = deque()

    def put(self, path: str, recipe: Recipe, damage: Fault | None, now: float) -> str:
        """Keep a result under `path`; return the path with its signed query."""
        query = self._signed(path, now)
        self._items[path] = Item(recipe, damage, query, now + LIFETIME)
        self._order.append(path)
        if len(self._order) > KEPT:
            self._items.pop(self._order.popleft(), None)
        return f"{path}?{query}"

    def get(self, path: str, query: str, now: float) -> Item | Literal["NoSuchKey", "AccessDenied"]:
        """Find a result by path and whole query; `AccessDenied` (403) when the query differs or time is up."""
        item = self._items.get(path)
        if item is None:
            return "NoSuchKey"
        if not hmac.compare_digest(query.encode(), item.query.encode()) or now >= item.expires:
            return "AccessDenied"
        return item

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._order.clear()

    def _signed(self, path: str, now: float) -> str:
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        signature = hmac.new(self._secret, f"{path}\n{date}".encode(), hashlib.sha256).hexdigest()
        return urlencode(
            {
                "X-Tos-Algorithm": "TOS4-HMAC-SHA256",
                "X-Tos-Credential": f"EMULATED/{date[:8]}/cn-beijing/tos/request",
                "X-Tos-Date": date,
                "X-Tos-Expires": str(LIFETIME),
                "X-Tos-Signature": signature,
                "X-Tos-SignedHeaders": "host",
            }
        )
