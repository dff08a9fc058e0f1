"""Finds and reads the texts and data that ship with the code.

In: the name of a folder or a file. Out: the folder, readable the same way from a wheel and from a checkout, or the
content of a JSON file. Never in here: keeping what was read, a decision about what is read.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any


@cache
def folder(name: str) -> Traversable:
    """The folder `name` ("prompts", "references"): packaged under `_data` in a wheel, at the root of a checkout.

    FileNotFoundError when it is in neither place.
    """
    packaged = files("seedframe") / "_data" / name
    if packaged.is_dir():
        return packaged
    checkout = Path(__file__).resolve().parents[2] / name
    if checkout.is_dir():
        return checkout
    raise FileNotFoundError(
        f"Seedframe's folder {name!r} is neither packaged ({packaged}) nor checked out ({checkout})."
    )


def data_json(name: str) -> Any:
    """The content of a JSON file of `data/`, such as "limits.json"; read anew each time."""
    return read_json(files("seedframe") / "data" / name)


def read_json(file: Traversable) -> Any:
    """The content of a packaged JSON file; read anew each time."""
    return json.loads(file.read_text(encoding="utf-8"))
