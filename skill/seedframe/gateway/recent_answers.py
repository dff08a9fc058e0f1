"""Answers of the last minutes, for programs that mark a request as a repetition.

When a caller disconnects before its answer is complete, the same request gets the paid picture. After a complete
answer the same request asks for another picture, unless it says otherwise: OpenAI's and ByteDance's
newer SDKs count their retries in a header, and any program may send an `Idempotency-Key`.

In: a request's fingerprint, a result's facts. Out: the facts again. Never in here: a picture, a payment.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

KEPT_SECONDS = 600.0
MOST_KEPT = 512
RETRY_COUNT = "x-stainless-retry-count"
IDEMPOTENCY_KEY = "idempotency-key"


class RecentAnswers:
    """Facts of delivered results by fingerprint, a bounded number for a bounded time. `now` is in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: OrderedDict[str, tuple[float, Mapping[str, Any]]] = OrderedDict()

    def keep(self, names: tuple[str, ...], facts: Mapping[str, Any]) -> None:
        """Keep an answer."""
        for name in names:
            self._kept[name] = (self._now(), facts)
            self._kept.move_to_end(name)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def find(self, names: tuple[str, ...]) -> Mapping[str, Any] | None:
        """The answer to that request, while all of its pictures exist."""
        for name in names:
            when, facts = self._kept.get(name, (0.0, {}))
            recent = facts and self._now() - when <= KEPT_SECONDS
            if recent and all(Path(picture["path"]).is_file() for picture in facts["pictures"]):
                return {**facts, "replayed": True}
        return None


def request_names(caller: str, fingerprint: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """The names under which an answer is kept: the whole request, after the caller's own key for it."""
    own = headers.get(IDEMPOTENCY_KEY)
    if own is None:
        return (fingerprint,)
    return (hashlib.sha256(b"\0".join((b"key", caller.encode(), own.encode()))).hexdigest(), fingerprint)


def names_asked(names: tuple[str, ...], headers: Mapping[str, str]) -> tuple[str, ...]:
    """The names under which a request may get a kept answer: none unless it is marked as a repetition."""
    if IDEMPOTENCY_KEY in headers:
        return names[:1]
    return names if headers.get(RETRY_COUNT, "0") not in {"", "0"} else ()
