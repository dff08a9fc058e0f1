"""The callers of a server: each has a folder, a payment record, a studio and a few simultaneous calls.

In: the settings of the server, a caller's name. Out: a `Caller` for the length of one call. All callers share
one client (one connection pool and one rate limit, since they share one key) and the threads that work on pictures.
Never in here: a token, a request, what goes on the wire.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from seedframe.mcp_server.app import AppContext
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

LOCAL = "local"
"""The one caller of a server on loopback that asks for no token: its folder and record are the person's own."""

CALLS_AT_ONCE = 8
"""Calls of one caller under way at once; more wait in order, so that one caller does not delay another."""

MOST_OPEN = 256
"""Studios kept open; above that the least recently used idle one is closed."""

OpenStudio = Callable[[Settings], AbstractAsyncContextManager[Studio]]


class Caller:
    """One caller and its open studio."""

    def __init__(self, name: str, settings: Settings, open_studio: OpenStudio) -> None:
        self.name = name
        self.settings = settings
        self.root = settings.output_dir
        self.app = AppContext(lambda: open_studio(settings))
        self.turns = asyncio.Semaphore(CALLS_AT_ONCE)
        self.calls = 0


class Callers:
    """The callers of one server. Make it with `open`; at its end paid calls under way are awaited."""

    def __init__(self, settings: Settings, open_studio: OpenStudio) -> None:
        self._settings = settings
        self._open_studio = open_studio
        self._known: OrderedDict[str, Caller] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self.active = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, open_studio: OpenStudio) -> AsyncIterator[Callers]:
        """Callers for as long as the block lasts."""
        callers = cls(settings, open_studio)
        try:
            yield callers
        finally:
            await callers.close()

    async def close(self) -> None:
        """Close every studio; what is paid for is finished first."""
        await asyncio.gather(*(caller.app.close() for caller in self._known.values()), *self._closing)

    def folder(self, name: str) -> Path:
        """Where a caller's pictures lie."""
        return caller_settings(self._settings, name).output_dir

    @asynccontextmanager
    async def calling(self, name: str) -> AsyncIterator[Caller]:
        """The caller, kept open while the block lasts."""
        caller = self._known.get(name)
        if caller is None:
            caller = self._known[name] = Caller(name, caller_settings(self._settings, name), self._open_studio)
        self._known.move_to_end(name)
        caller.calls += 1
        self.active += 1
        try:
            yield caller
        finally:
            caller.calls -= 1
            self.active -= 1
            self._close_idle()

    def _close_idle(self) -> None:
        idle = [name for name, caller in self._known.items() if not caller.calls]
        for name in idle[: max(0, len(self._known) - MOST_OPEN)]:
            closing = asyncio.create_task(self._known.pop(name).app.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def caller_settings(settings: Settings, name: str) -> Settings:
    """The server's settings with the folder and the payment record of one caller; nothing else can be read from."""
    if name == LOCAL:
        folder, record = settings.output_dir, settings.journal
    else:
        folder = settings.output_dir / "callers" / name
        record = settings.journal.parent / "callers" / f"{name}.sqlite3"
    own = {
        "SEEDFRAME_OUTPUT_DIR": str(folder),
        "SEEDFRAME_JOURNAL": str(record),
        "SEEDFRAME_INPUT_ROOTS": str(folder),
    }
    return Settings.read({**settings.environ, "SEEDFRAME_BACKEND": settings.backend, **own})


@asynccontextmanager
async def shared_studios(
    settings: Settings, transport: Callable[[], object], *, now: Callable[[], float] = time.time
) -> AsyncIterator[OpenStudio]:
    """How studios are opened that share one client and the picture threads. `transport` is asked once."""
    from seedframe.catalog import catalog
    from seedframe.service.client import Client
    from seedframe.studio.pipeline import IMAGE_THREADS, SharedWork

    async with AsyncExitStack() as stack:
        client = Client(settings, catalog().backend(settings.backend), transport=transport())  # type: ignore[arg-type]
        stack.push_async_callback(client.close)
        images = ThreadPoolExecutor(IMAGE_THREADS, thread_name_prefix="pictures")
        stack.callback(images.shutdown, wait=False, cancel_futures=True)
        shared = SharedWork(client, images, asyncio.Semaphore(DOWNLOADS))
        yield lambda own: Studio.open(own, now=now, shared=shared)


DOWNLOADS = 16
"""Finished pictures fetched at once, for all callers together."""
