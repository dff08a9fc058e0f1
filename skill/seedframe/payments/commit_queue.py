"""Group commit: one thread owns a database, and all work that waits shares one transaction and one disk flush.

In: functions, from any task. Out: the result of each, once it is committed. Accepted work is done even when the task
that asked for it is cancelled. Never in here: SQL, a rule, blocking of an event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

C = TypeVar("C")
T = TypeVar("T")

TOGETHER = 100
"""The most functions that share one commit."""


@dataclass(frozen=True, slots=True)
class _Asked:
    work: Callable[[Any], Any]
    answer: asyncio.Future[Any]
    shares: bool


class CommitQueue(Generic[C]):
    """`transaction` is entered around the functions that share it; its value is their argument.

    When one of several fails, all are rolled back, and each runs again in a transaction of its own.
    """

    def __init__(self, name: str, transaction: Callable[[], AbstractContextManager[C]]) -> None:
        self._transaction = transaction
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: deque[_Asked] = deque()
        self._lock = threading.Lock()
        self._busy = False

    def ask(self, work: Callable[[C], T]) -> asyncio.Future[T]:
        """Run it in a transaction."""
        return self._ask(work, shares=True)

    def ask_alone(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run it in the same thread, outside of any transaction."""
        return self._ask(lambda _: work(), shares=False)

    def close(self) -> None:
        """Accept no more work; finish what was accepted."""
        self._thread.shutdown(wait=False)

    def _ask(self, work: Callable[[Any], T], *, shares: bool) -> asyncio.Future[T]:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append(_Asked(work, answer, shares))
            idle, self._busy = not self._busy, True
        if idle:
            self._thread.submit(self._serve)
        return answer

    def _serve(self) -> None:
        while batch := self._next():
            self._do(batch)

    def _next(self) -> Sequence[_Asked]:
        """The next functions to run together, in order."""
        with self._lock:
            batch: list[_Asked] = []
            while self._waiting and len(batch) < TOGETHER and self._waiting[0].shares:
                batch.append(self._waiting.popleft())
            if not batch and self._waiting:
                batch.append(self._waiting.popleft())
            self._busy = bool(batch)
            return batch

    def _do(self, batch: Sequence[_Asked]) -> None:
        try:
            results = self._results(batch)
        except BaseException as error:
            if len(batch) == 1:
                _report(batch, [error], failed=True)
            else:
                for asked in batch:
                    self._do([asked])
        else:
            _report(batch, results)

    def _results(self, batch: Sequence[_Asked]) -> list[Any]:
        if not batch[0].shares:
            return [batch[0].work(None)]
        with self._transaction() as given:
            return [asked.work(given) for asked in batch]


def _report(batch: Sequence[_Asked], results: Sequence[Any], *, failed: bool = False) -> None:
    """Wake each event loop once for all finished work."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for asked, result in zip(batch, results, strict=True):
        by_loop.setdefault(asked.answer.get_loop(), []).append((asked.answer, result))
    for loop, answers in by_loop.items():
        # A closed event loop has no more waiting tasks.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_answer, answers, failed)


def _answer(answers: Sequence[tuple[asyncio.Future[Any], Any]], failed: bool) -> None:
    for answer, result in answers:
        if answer.done():
            continue
        if failed:
            answer.set_exception(result)
        else:
            answer.set_result(result)
