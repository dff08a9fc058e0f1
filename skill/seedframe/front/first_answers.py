"""The static answers that come with the program, for a start before which none were kept.

In: an environment. Out: what the server would say under these settings, or nothing where they change a list.
`data/first_answers.json` is computed (`scripts.first_answers`) and a test holds it equal to the server byte for byte;
a later start has the answers of the server that ran. Never in here: the SDK, the reading of a setting's value.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from seedframe.front.kept_answers import PREFIX, Answers, config_file

BACKEND = "SEEDFRAME_BACKEND"
CHANGING = frozenset(
    {"SEEDFRAME_MODEL", "SEEDFRAME_RATIO", "SEEDFRAME_ENDPOINTS", "SEEDFRAME_PRICES", "SEEDFRAME_PREVIEW"}
)
"""Settings whose values are in the tools' descriptions; no other setting but the backend changes an answer."""

FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data", "first_answers.json")  # noqa: PTH100, PTH118, PTH120
_PLACEHOLDER = re.compile(r"\$\{[\w.:-]+\}")


def first_answers(environ: Mapping[str, str]) -> Answers:
    """The answers under these settings; empty where a list depends on one of them, or the backend is not known."""
    given = {**_stored(environ), **_given(environ)}
    document = _read(FILE)
    if CHANGING & given.keys() or not document:
        return {}
    return chosen(document, given.get(BACKEND, document["default"]))


def chosen(document: Mapping[str, Any], backend: str) -> Answers:
    """The answers for one backend out of the whole document; empty for one that it does not have.

    `answers`: version → method → place in `texts`, for the default backend; `backends`: what other places another has.
    """
    instead = document["backends"].get(backend)
    if instead is None:
        return {}
    texts = document["texts"]
    return {
        version: {method: texts[instead.get(str(place), place)] for method, place in methods.items()}
        for version, methods in document["answers"].items()
    }


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    """Our variables; one that a host left as a placeholder is not set."""
    ours = {name: value.strip() for name, value in environ.items() if name.startswith(PREFIX)}
    return {name: value for name, value in ours.items() if value and not _PLACEHOLDER.fullmatch(value)}


def _stored(environ: Mapping[str, str]) -> dict[str, str]:
    """What `seedframe setup` stored; its own shape is checked by who uses it."""
    variables = _read(config_file(environ)).get("variables")
    return _given(variables) if isinstance(variables, dict) else {}


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not loaded here
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
