"""Recorded oddities of single models, which are the emulator's business alone.

In: `quirks.json`. Out: frozen values. Never in here: anything a client needs to know (that is in `models/`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from seedframe.catalog import Model


@dataclass(frozen=True, slots=True)
class Quirks:
    """How one model words its size errors and which optional fields its replies carry."""

    listed_sizes: tuple[str, ...]
    known_elsewhere: tuple[str, ...]
    reply: tuple[str, ...]


@cache
def quirks(name: str) -> Quirks:
    """Look up the oddities of the model of that name."""
    entry = _data()["models"].get(name, {})
    return Quirks(
        listed_sizes=tuple(entry.get("listed_sizes", ())),
        known_elsewhere=tuple(entry.get("known_elsewhere", ())),
        reply=tuple(entry.get("reply", ())),
    )


def listed_sizes(model: Model) -> tuple[str, ...]:
    """List the presets as the service names them in its message about a malformed size."""
    return quirks(model.name).listed_sizes or tuple(preset.lower() for preset in model.presets)


@cache
def result_host(backend: str) -> str:
    """Name the bucket that a backend's result URLs name."""
    return str(_data()["result_hosts"].get(backend, "emulator"))


@cache
def _data() -> dict[str, Any]:
    return dict(json.loads((files("seedframe") / "data" / "emulator" / "quirks.json").read_text(encoding="utf-8")))
