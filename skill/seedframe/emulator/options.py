"""What can be chosen about an emulator, and its clock.

In: the choices of a test, a bench or `seedframe emulate`. Out: one frozen `Options`. Never in here: a request, a reply.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from seedframe.catalog import Backend, Model, Offer, catalog, meet

ReplyStyle = Literal["captured", "blank", "named"]
Paint = Literal["scene", "instant"]
Fetch = Literal["never", "loopback"]


class Clock:
    """Emulated time in seconds since 1970: the injected clock plus what was skipped by `advance`."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._skipped = 0.0

    def __call__(self) -> float:
        """Tell the emulated time."""
        return self._now() + self._skipped

    def advance(self, seconds: float) -> None:
        """Let emulated time jump, so that result URLs expire and rate windows pass without waiting."""
        self._skipped += seconds


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that differs between two emulators; `emulator()` documents each."""

    backend: Backend
    clock: Clock
    sleep: Callable[[float], Awaitable[None]]
    entropy: random.Random
    ipm: int
    keys: frozenset[str] | None
    key_needed: bool
    endpoints: Mapping[str, str]
    not_activated: frozenset[str]
    strict_unknown: bool
    style: ReplyStyle
    gzip: bool
    paint: Paint
    scale: float
    preset_shape: str
    follow_reference: bool
    fetch: Fetch

    def offer(self, id: str) -> Offer | None:
        """Find the model sold under exactly this id (no short names: the vendor answers 404 to them).

        The profile without keys is for rehearsals: it takes other days' versions of a family too.
        """
        bound = self.endpoints.get(id)
        for model in catalog().models:
            if bound == model.name or id in self.ids(model):
                return meet(model, self.backend, id=id)
        family = None if self.key_needed else catalog().family(id)
        return meet(family, self.backend, id=id, assumed=True) if family else None

    def ids(self, model: Model) -> tuple[str, ...]:
        """List the ids a model has on this backend."""
        return model.ids_on(self.backend)
