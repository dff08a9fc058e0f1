"""A connection that breaks while the request is still leaving: nothing can have been billed, so it is sent again."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from seedframe.emulator import emulator, running
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

SIDE = 800
LET_THROUGH = 300_000
"""Bytes of the request that arrive, of about 2.5 million."""


@asynccontextmanager
async def breaking(base: str, times: int) -> AsyncIterator[tuple[str, list[int]]]:
    """A way to the service whose first connections break in the middle of a request; bytes that each let through."""
    passed: list[int] = []
    split = urlsplit(base)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int | None) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
                if number is None:
                    continue
                passed[number] += len(piece)
                if number < times and passed[number] > LET_THROUGH:
                    return

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed.append(0)
        inner_reader, inner_writer = await asyncio.open_connection(split.hostname, split.port)
        back = asyncio.create_task(carry(inner_reader, writer, None))
        await carry(reader, inner_writer, len(passed) - 1)
        for transport in (writer.transport, inner_writer.transport):
            transport.abort()
        await back

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}{split.path}", passed


@pytest.mark.slow
async def test_a_request_cut_off_before_its_end_is_sent_again_and_paid_once(environ: dict[str, str], tmp_path: Path):
    source = tmp_path / "picture.png"
    Image.frombytes("RGB", (SIDE, SIDE), random.Random(1).randbytes(SIDE * SIDE * 3)).save(source)
    service = emulator(paint="instant")
    with running(service) as base:
        async with breaking(base, times=1) as (way, passed):
            settings = Settings.read({**environ, "SEEDFRAME_EMULATOR_BASE": way})
            arguments = {"prompt": "把天空改成黄昏", "images": [str(source)], "preview": "none"}
            async with (
                Studio.open(settings, sleep=lambda _seconds: asyncio.sleep(0)) as studio,
                studio.make("edit_image", arguments) as result,
            ):
                facts = result.as_dict()
        bills = service.state.request_log.images

    assert facts["status"] == "done"
    assert Path(facts["pictures"][0]["path"]).stat().st_size == facts["pictures"][0]["bytes"]
    assert bills == 1
    assert passed[0] < 2 * LET_THROUGH < source.stat().st_size < max(passed)
