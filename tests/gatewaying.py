"""A gateway on a real socket in front of an emulated service, for tests that speak HTTP to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from seedframe.gateway.app import gateway
from seedframe.gateway.serve import server_for
from seedframe.listening import listening
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

GENERATIONS = "/api/v3/images/generations"


@dataclass(frozen=True)
class Door:
    """A running gateway: its address, and a client that speaks to it."""

    base: str
    http: httpx.AsyncClient

    async def ask(self, body: Mapping[str, Any], path: str = GENERATIONS, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(self.base + path, json=body, headers={"authorization": "Bearer k", **named})


async def _at_once(_seconds: float) -> None:
    """Waits of the client take no time."""


@asynccontextmanager
async def served(
    environ: Mapping[str, str], transport: Any, *, host: str = "127.0.0.1", own_files: bool = False, **options: Any
) -> AsyncIterator[Door]:
    settings = Settings.read(environ)

    def opened(own: Settings) -> Any:
        return Studio.open(own, transport=transport, sleep=_at_once, connections=96, **options)

    app = gateway(settings, opened, host=host, own_files=own_files)
    listener = listening("127.0.0.1", 0)
    server = server_for(app, "127.0.0.1", 0, 5)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started:
            await asyncio.wait([serving], timeout=0.01)
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(timeout=60, limits=limits, trust_env=False) as http:
            yield Door(f"http://127.0.0.1:{listener.getsockname()[1]}", http)
    finally:
        server.should_exit = True
        await serving
        listener.close()
