"""The shape of a brief: a small schema to advertise, a strict one to check with.

In: whatever a caller sent as `brief`. Out: nothing, or InvalidRequest that names the field. Never in here: what a word
means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from seedframe.errors import InvalidRequest
from seedframe.messages import LANGUAGES, Message
from seedframe.prompting.language import han, without_quoted

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

FREE = ("subject", "action", "setting")
"""Fields in the caller's own words."""
PICKED = (
    "image_use",
    "shot_size",
    "camera_angle",
    "composition",
    "camera_movement",
    "lens",
    "depth_of_field",
    "lighting",
    "time_of_day",
    "weather",
    "palette",
    "material",
    "art_style",
    "film_medium",
    "mood",
    "quality",
)
"""Fields whose words are looked up in the lexicon; an unknown word stays as it is."""
LISTED = ("details", "must_keep", "avoid")
"""Fields that hold one or several free wordings."""
CAST = ("text", "name", "position", "action")
"""Words about each of several subjects; `text` says what it looks like."""
KINDS = ("person", "animal", "place", "thing")
OPERATIONS = ("add", "remove", "replace", "modify")

_UNADVERTISED = {
    "generate_image": ("camera_movement", "quality"),
    "edit_image": (
        "camera_movement",
        "quality",
        "lens",
        "depth_of_field",
        "film_medium",
        "image_use",
        "material",
        "mood",
    ),
}
"""Accepted but not advertised: a still does not move, quality words help little, an edit keeps its camera."""
_TEXT: dict[str, Any] = {"type": "string"}
_SAID = {"type": "string", "pattern": r"\S", "description": "text"}
_EITHER = {"properties": {"zh": _SAID, "en": _SAID}, "additionalProperties": False, "minProperties": 1}
_WORDS: dict[str, Any] = {
    "description": 'text in Chinese or English, or {"zh": text, "en": text}',
    "type": ["string", "object"],
    "pattern": r"\S",
    **_EITHER,
}
_MANY = {
    **_WORDS,
    "description": 'text in Chinese or English, {"zh": text, "en": text}, or a list of these',
    "type": ["string", "object", "array"],
    "items": _WORDS,
    "minItems": 1,
}
_IMAGE = {"type": "integer", "minimum": 1, "description": "an integer from 1: the number of the input image"}


def brief_schema(tool: str = "generate_image") -> dict[str, Any]:
    """The advertised schema of `brief`: flat, closed, every object with its properties.

    Each tool shows the fields for its purpose and accepts those of the other. A text may hold both languages
    (`中文 | English`, see `tidy_brief`), so that hosts which only send texts can say everything.
    """
    texts: dict[str, Any] = {"type": "array", "items": _TEXT}
    own: dict[str, dict[str, Any]] = {
        "generate_image": {
            "subjects": {"type": "array", "items": _object(**dict.fromkeys(CAST, _TEXT))},
            "enrich": {"type": "boolean"},
        },
        "edit_image": {
            "must_keep": texts,
            "edits": {
                "type": "array",
                "items": _object(
                    op={"type": "string", "enum": list(OPERATIONS)}, n={"type": "integer"}, target=_TEXT, to=_TEXT
                ),
            },
            "references": {**texts, "description": "Role of image 1, 2…: face, scene…"},
        },
    }
    return {
        "type": "object",
        "description": _BRIEF_HINTS[tool],
        "additionalProperties": False,
        "properties": {
            **dict.fromkeys(FREE, _TEXT),
            "details": texts,
            **dict.fromkeys((name for name in PICKED if name not in _UNADVERTISED[tool]), _TEXT),
            "avoid": texts,
            "people": {"type": "boolean"},
            "text": {"type": "array", "items": _object(content=_TEXT, where=_TEXT, type=_TEXT)},
            **own[tool],
        },
    }


_BRIEF_HINTS = {
    "generate_image": "Instead of prompt; each part may be 中文 | English. text: lettering.",
    "edit_image": "Parts, as 中文 | English. n: number of the image.",
}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@cache
def checked_brief_schema() -> dict[str, Any]:
    """The strict JSON Schema (2020-12) a brief is checked with."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "description": "an object with the fields of a brief",
        "additionalProperties": False,
        "properties": {
            **dict.fromkeys(FREE, _WORDS),
            **dict.fromkeys((*PICKED, *LISTED), _MANY),
            "setting_lead": {**_WORDS, "pattern": ""},
            "people": {"type": "boolean", "description": "true or false"},
            "enrich": {"type": "boolean", "description": "true or false"},
            "subjects": _list(_subject()),
            "references": _list(_reference()),
            "text": _list(_item({"content": _SAID, "where": _WORDS, "type": _WORDS}, "content")),
            "edits": _list(_edit()),
            "group": _item(
                {
                    "count": {"type": "integer", "minimum": 2, "maximum": 15, "description": "an integer from 2 to 15"},
                    "link": _WORDS,
                    "items": {**_list(_WORDS), "maxItems": 15},
                }
            ),
        },
    }


_BOTH = re.compile(r"\s[|｜]\s")
_MEANS_NONE = ("setting_lead",)
"""Fields in which an empty text has a meaning."""


def tidy_brief(brief: Mapping[str, Any]) -> dict[str, Any]:
    """A brief without its empty parts, and `中文 | English` as `{"zh": …, "en": …}`.

    Hosts that fill every property send empty parts; hosts that only send texts give both languages in one.
    """
    return {
        name: value
        for name, raw in brief.items()
        if (value := raw if name in _MEANS_NONE else _tidy(raw, name)) not in (None, "", [], {})
    }


def _tidy(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return tidy_brief(value)
    if isinstance(value, (list, tuple)):
        if name == "references" and "" in value:
            # The position in the list is the number of the image, so it must not depend on empty entries before it.
            value = [
                {"n": n, "role": role} if isinstance(role, str) and role else role for n, role in enumerate(value, 1)
            ]
        return [kept for entry in value if (kept := _tidy(entry, name)) not in (None, "", [], {})]
    if not isinstance(value, str):
        return value
    return _both_languages(value) if value.strip() and name != "content" else value.strip()


def _both_languages(text: str) -> str | dict[str, str]:
    """A text in two parts, exactly one of them Chinese, is one wording in two languages."""
    parts = [part.strip() for part in _BOTH.split(text)]
    chinese = [bool(han(without_quoted(part))) for part in parts]
    if len(parts) != len(LANGUAGES) or sum(chinese) != 1 or not all(parts):
        return text
    zh, en = parts if chinese[0] else reversed(parts)
    return {"zh": zh, "en": en}


def check_brief(brief: Any) -> None:
    """InvalidRequest naming the field when `brief` does not have the shape of a brief."""
    from jsonschema.exceptions import best_match

    validator = _validator()
    if validator.is_valid(brief):
        return
    error = best_match(validator.iter_errors(brief))
    assert error is not None
    raise _refusal(error)


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(checked_brief_schema())


def _refusal(error: ValidationError) -> InvalidRequest:
    field = "brief" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    rule: Any = error.schema
    given: Any = error.instance
    if error.validator == "additionalProperties":
        return _unknown_field(given, list(rule["properties"]), field)
    if error.validator == "required":
        missing = next(name for name in rule["required"] if name not in given)
        return _wrong(f"{field}.{missing}", None, rule["properties"][missing]["description"])
    return _wrong(field, given, rule.get("enum") or rule["description"])


def _wrong(field: str, got: object, allowed: object) -> InvalidRequest:
    shown = json.dumps(got, ensure_ascii=False, default=str)[:200]
    message = Message("styling.brief-wrong", field=field, got=shown, allowed=allowed)
    return InvalidRequest(message, field=field, got=got, allowed=allowed, advice=Message("styling.brief-advice"))


def _unknown_field(given: Iterable[str], known: Sequence[str], field: str) -> InvalidRequest:
    got = next(name for name in given if name not in known)
    near = get_close_matches(got, known, n=3)
    advice = Message("styling.field-near", near=near) if near else Message("styling.brief-advice")
    message = Message("styling.field-unknown", field=field, got=got, allowed=list(known))
    return InvalidRequest(message, field=f"{field}.{got}", got=got, allowed=list(known), advice=advice)


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1, "description": "a list with at least one entry"}


def _item(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": "an object with " + ", ".join(properties),
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _reference() -> dict[str, Any]:
    entry = _item({"n": _IMAGE, "role": _WORDS, "take": _WORDS})
    description = "a role such as face, outfit or scene, or {n, role, take}"
    return {**entry, "description": description, "type": ["string", "object"], "pattern": r"\S"}


def _subject() -> dict[str, Any]:
    kind = {"enum": list(KINDS), "description": ", ".join(KINDS)}
    count = {"type": "integer", "minimum": 1, "maximum": 99, "description": "an integer from 1 to 99"}
    parts = {"zh": _SAID, "en": _SAID, **dict.fromkeys(CAST, _WORDS), "kind": kind, "count": count}
    description = "text, or an object with text, name, position, action, kind, count"
    return {**_WORDS, "properties": parts, "description": description}


def _edit() -> dict[str, Any]:
    operation = {"enum": list(OPERATIONS), "description": ", ".join(OPERATIONS)}
    return _item({"op": operation, "n": _IMAGE, "target": _WORDS, "to": _WORDS}, "op")
