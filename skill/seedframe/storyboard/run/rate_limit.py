"""When a POST may leave: one images-per-minute limit for each backend and model, over all workers of a database.

In: a token, what is called. Out: the moment has come, or the token may not be spent (any more). Sending times are
dealt out by the book, evenly spaced, so that no minute anywhere holds more than the limit; a time that was missed is
never used. Never in here: what a token is worth, a request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from seedframe.catalog import Offer
from seedframe.errors import SeedreamError
from seedframe.messages import Message
from seedframe.storyboard.run.frame_payments import FramePayments

WINDOW = 60.0
JITTER = 1.0
"""A POST arrives at most so many seconds after its time; the spacing makes up for it."""

LATEST = 0.4
"""A worker that is later than this takes another time."""

AHEAD = 0.5
"""Times are taken at most so far ahead: what a dead worker had taken is half a second for the others."""


class Fenced(SeedreamError):
    """The token may not be spent: its frame was cancelled, or somebody else has sent it."""


class Stopped(SeedreamError):
    """The worker stops; the token stays reserved for whoever goes on."""


@dataclass(slots=True)
class _Lane:
    """One backend's model: who waits for it, and the task that takes times for them."""

    name: str
    interval: float
    waiting: deque[tuple[str, asyncio.Future[float]]] = field(default_factory=deque)
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class RateLimit:
    """The gate of one worker. `admit` fits `Studio.open(admit=…)`; the wish's key is the token."""

    def __init__(
        self,
        payments: FramePayments,
        machine: str,
        *,
        limit: int | None = None,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._payments = payments
        self._machine = machine
        self._limit = limit
        self._sleep = sleep
        self._lanes: dict[str, _Lane] = {}
        self._sent: set[str] = set()
        self._closed = False

    async def admit(self, key: str | None, offer: Offer, outputs: int) -> None:
        """Wait for the moment at which this token's POST may leave. Fenced or Stopped when it may not."""
        assert key is not None
        for _ in range(outputs):
            while await self._turn(key, self._lane(offer)) < asyncio.get_running_loop().time() - LATEST:
                pass

    def sent_here(self, token: str) -> bool:
        """Whether this worker was the one who might send it."""
        return token in self._sent

    def done(self, token: str) -> None:
        """The token's call is over: should it ever be spent again, the book is asked anew."""
        self._sent.discard(token)

    async def close(self) -> None:
        """Nothing leaves any more; who waits is told."""
        self._closed = True
        tasks = [lane.task for lane in self._lanes.values() if lane.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in self._lanes.values():
            _fail(lane, Stopped(Message("board_run.stopped")))

    async def _turn(self, token: str, lane: _Lane) -> float:
        """The loop's time at which the token may leave, once it has come."""
        if self._closed:
            raise Stopped(Message("board_run.stopped"))
        moment: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        lane.waiting.append((token, moment))
        lane.awake.set()
        when = await moment
        await self._sleep(max(0.0, when - asyncio.get_running_loop().time()))
        return when

    def _lane(self, offer: Offer) -> _Lane:
        name = f"{offer.backend.name}/{offer.model.name}"
        lane = self._lanes.get(name)
        if lane is None:
            limit = self._limit or offer.backend.images_per_minute
            lane = self._lanes[name] = _Lane(name, (WINDOW + JITTER) / max(1, limit - 1))
            lane.task = asyncio.create_task(self._deal(lane))
        return lane

    async def _deal(self, lane: _Lane) -> None:
        """Take times for whoever waits, in order, as far ahead as is allowed."""
        try:
            while True:
                await lane.awake.wait()
                wait = await self._deal_once(lane)
                if not lane.waiting:
                    lane.awake.clear()
                elif wait:
                    await self._sleep(wait)
        except SeedreamError as error:
            # The database is gone: everybody hears why, and whoever comes next asks it again.
            _fail(lane, error)
            lane.task = asyncio.create_task(self._deal(lane))

    async def _deal_once(self, lane: _Lane) -> float:
        while lane.waiting and lane.waiting[0][1].cancelled():
            lane.waiting.popleft()
        if not lane.waiting:
            return 0.0
        most = max(1, int(AHEAD / lane.interval))
        asking = list(lane.waiting)[:most]
        tokens = [token for token, moment in asking if not moment.cancelled()]
        again = [token for token in tokens if token in self._sent]
        turn = await self._payments.turns(
            lane.name,
            [token for token in tokens if token not in self._sent],
            again,
            interval=lane.interval,
            ahead=AHEAD,
            machine=self._machine,
        )
        now = asyncio.get_running_loop().time()
        for token, moment in asking:
            if token in turn.delays:
                self._sent.add(token)
                _answer(lane, token, moment, now + turn.delays[token])
            elif token in turn.refused:
                _answer(lane, token, moment, Fenced(Message("board_run.fenced")))
        return turn.wait


def _answer(lane: _Lane, token: str, moment: asyncio.Future[float], answer: float | SeedreamError) -> None:
    lane.waiting.remove((token, moment))
    if moment.done():
        return
    if isinstance(answer, SeedreamError):
        moment.set_exception(answer)
    else:
        moment.set_result(answer)


def _fail(lane: _Lane, error: SeedreamError) -> None:
    while lane.waiting:
        _, moment = lane.waiting.popleft()
        if not moment.done():
            moment.set_exception(error)
