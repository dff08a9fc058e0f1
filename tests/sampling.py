"""Long tables of cases: some rows run every time, all of them with the slow tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(rows: Iterable[Any], every: int) -> list[Any]:
    """All rows for `parametrize`; every n-th is quick to run in sum, the others are marked slow."""
    return [pytest.param(row, marks=[pytest.mark.slow] if number % every else []) for number, row in enumerate(rows)]
