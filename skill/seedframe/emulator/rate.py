"""Images per minute: how many pictures a model may still make in the sliding minute.

In: the clock's time and how many pictures a call asks for. Out: nothing, or a `Refusal`. Never in here: waiting.
"""

from __future__ import annotations

from collections import defaultdict, deque

from seedframe.emulator.refusal import Refusal

WINDOW = 60.0


class Rate:
    """The sliding minute of every model."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: defaultdict[str, deque[tuple[float, int]]] = defaultdict(deque)
        self._used: defaultdict[str, int] = defaultdict(int)

    def take(self, model: str, images: int, now: float) -> None:
        """Reserve pictures, or refuse with 429. A call that alone exceeds the limit is let through when it is alone."""
        taken = self._taken[model]
        while taken and taken[0][0] <= now - WINDOW:
            self._used[model] -= taken.popleft()[1]
        used = self._used[model]
        if used and used + images > self._limit:
            raise Refusal("rate-ipm")
        taken.append((now, images))
        self._used[model] += images

    def clear(self) -> None:
        """Begin a new minute."""
        self._taken.clear()
        self._used.clear()
