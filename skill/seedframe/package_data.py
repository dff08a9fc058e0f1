"""Finds the texts and data that ship beside the code.

In: the name of a folder. Out: the folder, readable the same way from a wheel and from a checkout.
Never in here: parsing, caching, a decision about what is read.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


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
