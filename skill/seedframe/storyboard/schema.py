"""The two published schemas of storyboards, and the errors for documents that break them.

In: a document with places. Out: nothing, or InvalidRequest naming line, column, what was given and what is allowed.
Never in here: rules a schema cannot express (see `validate`, `handoff`).
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator

from seedframe.messages import Message
from seedframe.package_data import data_json
from seedframe.storyboard.formats.document import Document, Spot, refusal

FURTHER = 5
"""The most further breaches that the advice lists."""


def schema_named(name: str) -> dict[str, Any]:
    """A fresh copy of a published schema: `board` or `manifest`."""
    schema: dict[str, Any] = data_json(f"storyboard/{name}.schema.json")
    return schema


@cache
def _validator(name: str) -> Any:
    return Draft202012Validator(schema_named(name))


def breaches(name: str, data: Any) -> Iterator[tuple[Spot, Message, Any, Any]]:
    """Every breach: where, what is wrong, what was given, what is allowed."""
    for error in _validator(name).iter_errors(data):
        yield (_spot(error), _problem(error), _got(error), _allowed(error))


def check_schema(name: str, document: Document) -> None:
    """InvalidRequest for the breach nearest the top of the file; further ones are listed in its advice."""
    found = list(islice(breaches(name, document.data), 50))
    if not found:
        return
    placed = sorted(((document.place(spot), problem, got, allowed) for spot, problem, got, allowed in found), key=_line)
    place, problem, got, allowed = placed[0]
    others = [Message("storyboard.further", place=p.message(), problem=m) for p, m, _, _ in placed[1 : FURTHER + 1]]
    advice = Message("storyboard.also-wrong", others=others) if others else Message("storyboard.see-schema")
    raise refusal(document.name, place, problem, got=got, allowed=allowed, advice=advice)


def _line(entry: Any) -> tuple[int, int]:
    return entry[0].line, entry[0].column


def _spot(error: Any) -> Spot:
    spot = tuple(error.absolute_path)
    unknown = _unknown(error)
    return (*spot, unknown[0]) if unknown else spot


def _unknown(error: Any) -> list[str]:
    if error.validator != "additionalProperties" or error.validator_value is not False:
        return []
    return [name for name in error.instance if name not in error.schema.get("properties", {})]


def _problem(error: Any) -> Message:
    unknown = _unknown(error)
    if unknown:
        known = sorted(error.schema.get("properties", {}))
        close = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.6)
        if close:
            return Message("storyboard.field-misspelt", field=unknown[0], close=close[0])
        return Message("storyboard.field-unknown", field=unknown[0], known=", ".join(known))
    got, allowed = _short(error.instance), _allowed(error)
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return Message("storyboard.field-missing", field=missing[0])
    key = {
        "type": "wrong-type",
        "enum": "wrong-choice",
        "const": "wrong-choice",
        "pattern": "wrong-pattern",
        "minLength": "empty-value",
        "minItems": "empty-value",
        "minProperties": "empty-value",
        "uniqueItems": "twice-in-list",
    }.get(str(error.validator), "wrong-value")
    return Message(f"storyboard.{key}", got=got, allowed=allowed, rule=error.validator)


def _allowed(error: Any) -> Any:
    value = error.validator_value
    if error.validator in ("required", "additionalProperties"):
        return sorted(error.schema.get("properties", {}))
    if error.validator == "pattern":
        return error.schema.get("description", value)
    return value if isinstance(value, (str, int, float, list)) else str(value)


def _got(error: Any) -> Any:
    unknown = _unknown(error)
    return _short(error.instance[unknown[0]] if unknown else error.instance)


def _short(value: Any) -> Any:
    return value if isinstance(value, (int, float, bool, type(None))) else reprlib.repr(value)
