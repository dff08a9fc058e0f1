"""The studios behind the gateway: one with the installation's key, or one for each key that callers bring.

In: how a studio is opened. Out: open studios; at the end paid calls in flight are awaited.
Never in here: a key in a log or an error.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace

from seedframe.gateway.ark_errors import RequestRefused
from seedframe.messages import Message
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

OpenStudio = Callable[[Settings], AbstractAsyncContextManager[Studio]]
MOST_KEYS = 32


class StudioPool:
    """Opens a studio at its first call. `key_setting` is the variable that a caller's key replaces."""

    def __init__(self, settings: Settings, open_studio: OpenStudio, key_setting: str | None) -> None:
        self._settings, self._open, self._key_setting = settings, open_studio, key_setting
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._studios: dict[str | None, Studio] = {}

    async def get(self, key: str | None) -> Studio:
        """The studio for a caller's key, or the installation's own (None)."""
        async with self._opening:
            if key not in self._studios:
                if len(self._studios) >= MOST_KEYS:
                    raise RequestRefused("TooMany", Message("gateway.too-many-keys", most=MOST_KEYS))
                opened = self._open(self._with_key(key))
                self._studios[key] = await self._stack.enter_async_context(opened)
            return self._studios[key]

    async def close(self) -> None:
        """Wait for paid calls in flight, bounded; a cancellation meanwhile does not shorten the wait."""
        closing = asyncio.ensure_future(self._stack.aclose())
        while not closing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(closing)
        closing.result()

    def _with_key(self, key: str | None) -> Settings:
        if key is None or self._key_setting is None:
            return self._settings
        return replace(self._settings, environ={**self._settings.environ, self._key_setting: key})
