"""Paid calls that stay under way until a test lets them go on: the emulated service's latency lasts until then."""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from seedframe.payments import Payments
from stdio_host import PATIENCE

CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}


class Held:
    """The emulated service's latency lasts until `release`; `reached` says that a paid call is waiting there."""

    def __init__(self) -> None:
        self.reached, self.release = threading.Event(), threading.Event()

    async def sleep(self, _seconds: float) -> None:
        self.reached.set()
        await asyncio.to_thread(self.release.wait)


class Gate:
    """The emulated service's `latency` lasts until the gate opens; `reached` says that a call is waiting there."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, _seconds: float) -> None:
        self.reached.set()
        await self.open.wait()

    async def awaited(self) -> None:
        async with asyncio.timeout(20):
            await self.reached.wait()


async def until_finished(environ: Mapping[str, str]) -> None:
    async with await Payments.open(Path(environ["SEEDFRAME_JOURNAL"])) as payments:
        (entry,) = await payments.entries()
        finished = await payments.finished(entry.id, timeout=PATIENCE)
    assert finished.state == "saved"


def whole_group_is_killed(process: subprocess.Popen[bytes]) -> None:
    """As an editor does that walks from its children to theirs."""
    import psutil

    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.kill()
