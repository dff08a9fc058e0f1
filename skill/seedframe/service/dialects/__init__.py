"""The dialects of the backends: one module for each, found by the name in a backend's file.

In: a dialect's name. Out: its module, which has the functions of `base.Dialect`. A new dialect is a new module.
Never in here: a dialect's fields.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import cast

from seedframe.errors import NotConfigured
from seedframe.messages import Message
from seedframe.service.dialects.base import Call, Dialect

__all__ = ["Call", "Dialect", "dialect_named"]


@cache
def dialect_named(name: str) -> Dialect:
    """The dialect of that name. NotConfigured, with a list of the known ones, when there is no such module."""
    known = sorted(entry.name.removesuffix(".py") for entry in files(__package__).iterdir() if _is_dialect(entry.name))
    if name not in known:
        raise NotConfigured(
            Message("catalog.unknown-dialect", got=name, allowed=known), facts={"dialect": name, "allowed": known}
        )
    return cast("Dialect", import_module(f"{__package__}.{name}"))


def _is_dialect(file: str) -> bool:
    return file.endswith(".py") and file not in {"__init__.py", "base.py"}
