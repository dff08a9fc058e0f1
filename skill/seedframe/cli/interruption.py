"""Ends a paid command whose user presses Ctrl-C, or whose parent process has ended.

In: the process that started this worker, an open studio. Out: the command ends when nothing was sent; after a payment
it goes on, and a sentence says so. Never in here: a signal (the front handles them).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click

from seedframe.cli.common import say
from seedframe.front.worker_process import INTERRUPTED, Parent, parent
from seedframe.settings import Settings


@asynccontextmanager
async def cancelled_with_parent(studio: Any, settings: Settings) -> AsyncIterator[None]:
    """The block is cancelled when the parent has ended, or when it is interrupted before anything was sent."""
    above, loop = parent(), asyncio.get_running_loop()
    if above is None:
        yield
        return
    task = asyncio.current_task()
    assert task is not None
    loop.add_reader(above.channel.fileno(), _watch_parent, above, task, studio, settings)
    try:
        yield
    finally:
        loop.remove_reader(above.channel.fileno())


def _watch_parent(above: Parent, task: asyncio.Task[Any], studio: Any, settings: Settings) -> None:
    if above.channel.recv(16) != INTERRUPTED:
        asyncio.get_running_loop().remove_reader(above.channel.fileno())
        task.cancel()
    elif entries := studio.under_way:
        click.echo(say("leaving.goes-on", settings.language, entry=", ".join(entries)), err=True)
    else:
        task.cancel()
