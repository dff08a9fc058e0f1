"""The product under the bench: the whole corridor, from arguments to the journal's last word, and its parts.

In: a provider's address. Out: files. `without_extras` makes this process one without pybase64 and libturbojpeg.
"""

from __future__ import annotations

import itertools
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from seedframe.pictures import turbojpeg
from seedframe.pipeline import Studio
from seedframe.settings import Settings

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
    """Check, style, journal, call, verify, frame, save, sidecar, preview: all of it, as a host would have it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Studio] = {}
        self._stack = AsyncExitStack()
        self._number = itertools.count()

    async def make(self, base: str, target: Path, *, count: int = 1) -> list[Path]:
        """One wish, unlike any before; the files it became."""
        studio = self._open.get(base) or await self._opened(base)
        wish = {"prompt": f"海边的灯塔，第{next(self._number)}夜，月光与薄雾", "model": "5.0-lite", "ratio": "9:16"}
        if count > 1:
            wish |= {"count": count, "related": True}  # type: ignore[dict-item]
        async with studio.make("generate_image", {**wish, "save_as": target.name}) as result:
            return list(result.paths)

    async def close(self) -> None:
        """Close every studio."""
        await self._stack.aclose()

    async def _opened(self, base: str) -> Studio:
        settings = Settings.read(environment(base, self._folder))
        studio = await self._stack.enter_async_context(Studio.open(settings))
        self._open[base] = studio
        return studio
