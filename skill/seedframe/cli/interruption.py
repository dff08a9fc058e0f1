"""A paid command whose user presses Ctrl-C, or whose parent process is gone.

In: the process that started this worker, the studio at work. Out: the command ends where nothing was sent; where a
call is paid for, a sentence says that it goes on, and it goes on. Never in here: a signal (the front gets those).
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
async def heeding_the_parent(studio: Any, settings: Settings) -> AsyncIterator[None]:
    """While the block lasts, it is cancelled when the parent is gone, or interrupted before anything was sent."""
    above, loop = parent(), asyncio.get_running_loop()
    if above is None:
        yield
        return
    task = asyncio.current_task()
    assert task is not None
    loop.add_reader(above.channel.fileno(), _heed, above, task, studio, settings)
    try:
        yield
    finally:
        loop.remove_reader(above.channel.fileno())


def _heed(above: Parent, task: asyncio.Task[Any], studio: Any, settings: Settings) -> None:
    if above.channel.recv(16) != INTERRUPTED:
        asyncio.get_running_loop().remove_reader(above.channel.fileno())
        task.cancel()
    elif entries := studio.under_way:
        click.echo(say("leaving.goes-on", settings.language, entry=", ".join(entries)), err=True)
    else:
        task.cancel()
