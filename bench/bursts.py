"""Senders that begin together, each in a process of its own: the floor under calls at once.

In: a function that makes itself ready, calls what it is given, and then sends. Out: milliseconds.
Never in here: what is sent.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

Begin = Callable[[], object]


def burst(count: int, send: Callable[..., None], *arguments: Any) -> float:
    """Milliseconds from the moment when `count` senders are ready until the last of them is done.

    `send` receives a `Begin` and the arguments; it must be a function of a module.
    """
    context = multiprocessing.get_context("spawn")
    together, last = context.Barrier(count + 1), context.Barrier(count + 1)
    senders = [context.Process(target=_sender, args=(together, last, send, arguments)) for _ in range(count)]
    for sender in senders:
        sender.start()
    together.wait()
    began = time.perf_counter()
    last.wait()
    wall = time.perf_counter() - began
    for sender in senders:
        sender.join()
    return wall * 1000


def _sender(together: Any, last: Any, send: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    send(together.wait, *arguments)
    last.wait()
