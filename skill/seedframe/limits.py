"""How much is taken from outside: every limit on bytes, pixels, words and time, read once from `limits.json`.

In: nothing. Out: one frozen value with a number for each limit; the data file gives the reason for each.
Never in here: a check, an error, a limit of one model (those are in its own file).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class InputLimits:
    """Numbers in the units that `limits.json` names."""

    document_bytes: int
    document_values: int
    document_depth: int
    reply_bytes: int
    reply_slots: int
    picture_bytes: int
    decoded_pixels: int
    scaled_pixels: int
    fitted_pixels: int
    decoder_bytes: int
    error_text: int
    error_name: int
    redirects: int
    download_seconds: int
    download_floor: int
    reference_seconds: int
    argument_characters: int
    argument_text: int
    board_text: int
    http_request_bytes: int
    upload_bytes: int
    link_seconds: int


@cache
def limits() -> InputLimits:
    """The limits in force; TypeError when the data file names one more or one less."""
    return InputLimits(**{name: row["value"] for name, row in limit_rows().items()})


@cache
def limit_rows() -> Mapping[str, Mapping[str, Any]]:
    """Name → `value`, `unit`, `why`, in the order of the file."""
    rows: dict[str, dict[str, Any]] = json.loads(
        (files("seedframe") / "data" / "limits.json").read_text(encoding="utf-8")
    )
    return rows
