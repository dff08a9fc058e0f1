"""What every child process of a test gets from the system, and nothing of the person who runs the tests."""

from __future__ import annotations

import os

SYSTEM = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH")
MEASURING = ("COVERAGE_PROCESS_CONFIG",)
"""By this a child process takes part in a measurement of what the tests reach."""


def system(*more: str) -> dict[str, str]:
    """The variables a process needs to start, and those of the given names, where they are set."""
    return {name: os.environ[name] for name in (*SYSTEM, *MEASURING, *more) if name in os.environ}
