"""Shared seams: an emulator in this process, settings in a temporary home, a studio between them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from browsers import BROWSER, Chromium
from postgres import postgres
from seedframe.emulator import InProcess, transport
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio
from stdio_host import PATIENCE, Host
from vendor_sdks import interpreter

_DATABASES = itertools.count()
OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The variables of a person who just installed Seedframe and has no key."""
    return {
        "SEEDFRAME_BACKEND": "emulator",
        "SEEDFRAME_OUTPUT_DIR": str(tmp_path / "pictures"),
        "SEEDFRAME_JOURNAL": str(tmp_path / "journal.sqlite3"),
        "SEEDFRAME_INPUT_ROOTS": str(tmp_path),
        "SEEDFRAME_LANG": "en",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }


@pytest.fixture
def service() -> InProcess:
    """The emulated service, with pictures that cost no time. `service.app.state.request_log` has the bills."""
    return transport(paint="instant")


async def _at_once(_seconds: float) -> None:
    """Waits of the client take no time in tests."""


@pytest.fixture
def open_studio(environ: dict[str, str], service: InProcess) -> OpenStudio:
    """Opens a studio on the emulated service; keyword arguments are further variables."""

    @asynccontextmanager
    async def opened(*, transport: Any = service, **variables: str) -> AsyncIterator[Studio]:
        settings = Settings.read({**environ, **variables})
        async with Studio.open(settings, transport=transport, sleep=_at_once) as studio:
            yield studio

    return opened


@pytest.fixture
def browser() -> Chromium:
    """A real browser; a test that needs one is skipped where there is none."""
    if BROWSER is None:
        pytest.skip("chromium is not installed")
    pytest.importorskip("playwright")
    return Chromium(BROWSER)


@pytest.fixture(params=["2026-07-28", "2025-06-18"])
def era(request: pytest.FixtureRequest) -> str:
    """A version of MCP of either era."""
    return str(request.param)


@pytest.fixture
def started() -> Iterator[Any]:
    """Starts servers as a host does; whatever still runs at the end is ended."""
    hosts: list[Host] = []

    def start(era: str, environ: Mapping[str, str], *words: str) -> Host:
        hosts.append(Host(era, environ, *words))
        return hosts[-1]

    yield start
    for host in hosts:
        host.process.kill()
        host.process.wait(PATIENCE)
        for stream in (host.process.stdin, host.process.stdout, host.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter of the environment with the vendor's SDKs."""
    return interpreter()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A real PostgreSQL."""
    with postgres() as server:
        yield server


@pytest.fixture
def new_database(postgres_server: Any) -> Callable[[], str]:
    """Makes an empty database on that server; gives its URL."""

    def made() -> str:
        name = f"record{next(_DATABASES)}"
        postgres_server.psql(f"CREATE DATABASE {name};")
        return str(postgres_server.get_uri(database=name))

    return made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest) -> str | None:
    """The URL of a new PostgreSQL database; None for the file."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("new_database")())
