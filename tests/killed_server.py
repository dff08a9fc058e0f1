"""An MCP server that stops at a chosen stage, says so on stderr and waits to be killed, by way of clock and network."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx

from seedframe.mcp_server.app import build_server, serve_stdio
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

HERE = "stopped here"


def stop() -> None:
    print(HERE, file=sys.stderr, flush=True)  # noqa: T201 - the pipe is the answer
    threading.Event().wait()


class Stages:
    """Knows by the journal and the folder how far the call has come."""

    def __init__(self, settings: Settings, stage: str) -> None:
        self._settings, self._stage = settings, stage

    def now(self) -> float:
        """The clock is asked in every step of the journal, so a step can be stopped before it is written."""
        if self._reached():
            stop()
        return time.time()

    def before_post(self) -> None:
        self._stop_in("sent, not yet posted")

    def after_post(self) -> None:
        self._stop_in("posted, no answer yet")

    def in_the_answer(self) -> None:
        self._stop_in("in the middle of the answer")

    async def in_the_download(self) -> None:
        stage = "replied, picture not yet here"
        # The download begins before the answer is recorded, and a file has no event.
        while self._stage == stage and self._state() != "replied":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self._stop_in(stage)

    def _stop_in(self, stage: str) -> None:
        if self._stage == stage:
            stop()

    def _reached(self) -> bool:
        state, calls = self._state(), threading.current_thread().name
        records = any(self._settings.output_dir.glob("*.json"))
        reached = {
            "checked, styled and built": calls.startswith("seedframe-journal") and state is None,
            "intent recorded": state == "intent",
            "picture on the disk, not yet in the journal": state == "replied" and records,
            "saved, not yet delivered": state == "saved",
        }
        return reached.get(self._stage, False)

    def _state(self) -> str | None:
        if not self._settings.journal.exists():
            return None
        db = sqlite3.connect(self._settings.journal, timeout=5)
        try:
            row = db.execute("SELECT state FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        except sqlite3.OperationalError:
            return None
        finally:
            db.close()
        return row and str(row[0])


class Wire(httpx.AsyncBaseTransport):
    """The real network, which stops at the chosen stage."""

    def __init__(self, stages: Stages) -> None:
        self._stages, self._network = stages, httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            await self._stages.in_the_download()
            return await self._network.handle_async_request(request)
        self._stages.before_post()
        response = await self._network.handle_async_request(request)
        self._stages.after_post()
        return httpx.Response(
            response.status_code, headers=response.headers, stream=Half(response, self._stages.in_the_answer)
        )


class Half(httpx.AsyncByteStream):
    """A body that is stopped after its first bytes."""

    def __init__(self, response: httpx.Response, pause: Callable[[], None]) -> None:
        self._response, self._pause = response, pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._response.stream, httpx.AsyncByteStream)
        async for piece in self._response.stream:
            yield piece[:1]
            self._pause()
            yield piece[1:]

    async def aclose(self) -> None:
        await self._response.aclose()


async def main(stage: str) -> None:
    settings = Settings.read(os.environ)
    stages = Stages(settings, stage)
    server = build_server(lambda: Studio.open(settings, transport=Wire(stages), now=stages.now), "en")
    await serve_stdio(server)


if __name__ == "__main__":
    Path(os.environ["SEEDFRAME_OUTPUT_DIR"]).mkdir(exist_ok=True)
    asyncio.run(main(sys.argv[1]))
