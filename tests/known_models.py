"""The models that texts written out in tests speak of: a new model changes neither those texts nor these tests."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from seedframe.catalog import Catalog, catalog

KNOWN = ("5.5", "5.0-flash", "5.0-pro", "5.0-lite", "4.5", "4.0")
"""Newest first, as they are advertised."""


@cache
def known_models() -> Catalog:
    """The catalog with these models only."""
    return replace(catalog(), models=tuple(model for model in catalog().models if model.name in KNOWN))
