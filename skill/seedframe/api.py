"""Seedframe in a Python program: one call for a script, or an open studio for everything else.

In: Python arguments, and the environment where no `Settings` are given. Out: a `Result`, or a SeedreamError.
Never in here: a rule about arguments (they are checked as a tool's are), a second way to pay.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedframe.errors import SeedreamError
from seedframe.messages import Message
from seedframe.settings import Settings

if TYPE_CHECKING:
    import httpx

    from seedframe.studio.pipeline import Studio
    from seedframe.studio.types import Result

Report = Callable[[str], object]
"""Receives each sentence about the progress of a call, in the language of the settings."""


def generate(
    prompt: str | None = None, *, settings: Settings | None = None, report: Report | None = None, **options: Any
) -> Result:
    """Make pictures from a prompt and wait until they are on disk.

    `options` are the arguments of the tool `generate_image` (`ratio`, `model`, `count`, `save_as`, `dry_run` …).
    Settings come from the environment unless they are given. Raises SeedreamError; nothing is paid twice when the same
    call is made again after one that was interrupted.
    """
    return _call("generate_image", {"prompt": prompt, **options}, settings, report)


def edit(
    prompt: str | None,
    images: str | Path | Sequence[str | Path],
    *,
    settings: Settings | None = None,
    report: Report | None = None,
    **options: Any,
) -> Result:
    """Change pictures, or make new ones from them; otherwise as `generate`.

    `images` are paths, https addresses or ids of earlier pictures; the prompt calls them image 1, image 2 and so on.
    """
    several = [images] if isinstance(images, (str, Path)) else images
    return _call("edit_image", {"prompt": prompt, "images": [str(one) for one in several], **options}, settings, report)


def open_studio(settings: Settings | None = None, **options: Any) -> AbstractAsyncContextManager[Studio]:
    """A `Studio` for as long as an `async with` block lasts, for programs with an event loop or with many calls.

    Settings come from the environment unless they are given. The emulator runs in this process where it is the backend
    and no address was configured. `options` are those of `Studio.open`.
    """
    from seedframe.studio.pipeline import Studio

    chosen = settings or Settings.read(os.environ)
    return Studio.open(chosen, **{"transport": in_process_backend(chosen), **options})


def in_process_backend(settings: Settings) -> httpx.AsyncBaseTransport | None:
    """The emulator's transport when it is the backend and no address was configured, else None: the network."""
    if settings.backend != "emulator" or "SEEDFRAME_EMULATOR_BASE" in settings.environ:
        return None
    from seedframe.emulator import transport

    return transport()


def _call(tool: str, arguments: Mapping[str, Any], settings: Settings | None, report: Report | None) -> Result:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        given = {name: value for name, value in arguments.items() if value is not None}
        return asyncio.run(_made(tool, given, settings or Settings.read(os.environ), report))
    name = tool.removesuffix("_image")
    raise SeedreamError(
        Message("api.running-loop", call=name), advice=Message("api.running-loop-advice", call=name, tool=tool)
    )


async def _made(tool: str, arguments: Mapping[str, Any], settings: Settings, report: Report | None) -> Result:
    async def progress(message: Message) -> None:
        if report is not None:
            report(message.text(settings.language))

    async with open_studio(settings) as studio, studio.make(tool, arguments, report=progress) as result:
        return result
