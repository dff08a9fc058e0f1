"""The product under the bench: `Ours` fetches and saves a picture, `Product` takes all six stages.

In: a provider's address. Out: files. `without_extras` makes this process one without pybase64 and libturbojpeg.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from seedframe.catalog import catalog
from seedframe.images import turbojpeg
from seedframe.messages import Message
from seedframe.service.client import Client
from seedframe.service.dialects import Call
from seedframe.service.replies import Slot
from seedframe.service.request import ImageRequest, check
from seedframe.service.response_stream import Parts
from seedframe.settings import Settings
from seedframe.studio import postprocess
from seedframe.studio.pipeline import IMAGE_THREADS, Studio
from seedframe.studio.plan import build_calls, style_request
from seedframe.studio.store import Store

MANY = "100000000"


def environment(base: str, folder: Path) -> dict[str, str]:
    """A person's variables, with the provider of the bench in the emulator's place and no rate to wait for."""
    return {
        "SEEDFRAME_BACKEND": "emulator",
        "SEEDFRAME_EMULATOR_BASE": base,
        "SEEDFRAME_OUTPUT_DIR": str(folder),
        "SEEDFRAME_JOURNAL": str(folder / "journal.sqlite3"),
        "SEEDFRAME_IPM": MANY,
        "SEEDFRAME_LANG": "en",
    }


def without_extras() -> None:
    """Hide what is optional from this process, before anything asked for it."""
    sys.modules["pybase64"] = None  # type: ignore[assignment]
    sys.modules["turbojpeg"] = None  # type: ignore[assignment]
    turbojpeg._NAMES[sys.platform] = ()  # noqa: SLF001 - the only way to be a machine without the library


class Ours:
    """What the comparators do too, our way: POST, fetch, verify, frame, flush to the disk, preview (stages 4 and 5)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = Store(folder)
        self._images = ThreadPoolExecutor(IMAGE_THREADS)
        self._number = itertools.count()
        self._ready: dict[str, tuple[Client, ImageRequest, Call]] = {}

    async def make(self, base: str, target: Path) -> list[Path]:
        """One POST and what comes of it."""
        client, request, call = self._ready.get(base) or self._prepared(base)
        parts = Parts(self._store.prepare(), f"call-{next(self._number)}")
        landing: list[asyncio.Task[postprocess.FinishedPicture]] = []

        async def land(slot: Slot) -> postprocess.FinishedPicture:
            part = parts.path(slot.part if slot.part is not None else f"d{slot.index}")
            if slot.url:
                await client.download(slot.url, part)
            place = postprocess.Destination(slot.index, "bench", target.with_name(f"{target.name}-{slot.index}"))
            work = partial(postprocess.finish, part, slot, request, place, self._store, postprocess.utc(time.time()))
            picture = await asyncio.get_running_loop().run_in_executor(self._images, work)
            part.unlink()
            return picture

        async def arrived(slot: Slot) -> None:
            landing.append(asyncio.create_task(land(slot)))

        await client.send(call, request.offer, parts, arrived=arrived, sent=_silent, report=_silent)
        return [picture.saved.path for picture in await asyncio.gather(*landing)]

    async def close(self) -> None:
        """Let the connections go."""
        for client, *_ in self._ready.values():
            await client.close()
        self._images.shutdown()

    def _prepared(self, base: str) -> tuple[Client, ImageRequest, Call]:
        settings = Settings.read(environment(base, self._folder))
        request = check("generate_image", _arguments(0), catalog=catalog(), settings=settings)
        call = build_calls(request, style_request(request), (), settings)[0]
        self._ready[base] = Client(settings, catalog().backend(settings.backend)), request, call
        return self._ready[base]


class Product:
    """All six stages, as a host has them: also checked, styled, recorded before and after, with sidecars."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Studio] = {}
        self._stack = AsyncExitStack()
        self._number = itertools.count()

    async def make(self, base: str, target: Path, *, count: int = 1) -> list[Path]:
        """One request, unlike any before; the files it became."""
        studio = self._open.get(base) or await self._opened(base)
        arguments = {**_arguments(next(self._number)), "save_as": target.name}
        if count > 1:
            arguments |= {"prompt": f"生成一组共{count}张图：{arguments['prompt']}", "count": count, "related": True}
        async with studio.make("generate_image", arguments) as result:
            return list(result.paths)

    async def close(self) -> None:
        """Close every studio."""
        await self._stack.aclose()

    async def _opened(self, base: str) -> Studio:
        settings = Settings.read(environment(base, self._folder))
        studio = await self._stack.enter_async_context(Studio.open(settings))
        self._open[base] = studio
        return studio


async def _silent(_message: Message) -> None:
    """Nobody listens."""


def _arguments(number: int) -> dict[str, Any]:
    return {"prompt": f"海边的灯塔，第{number}夜，月光与薄雾", "model": "5.0-lite", "ratio": "9:16"}
