"""JSON boards.

In: text. Out: Document whose places are found by walking the tokens, only when an error needs one.
Never in here: leniency (comments, trailing commas): what is accepted here is valid JSON everywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from seedframe.messages import Message
from seedframe.storyboard.formats.document import Document, Place, Spot, place_at, refusal, spot_name
from seedframe.storyboard.formats.loose import canonical

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


class _Repeated(ValueError):
    """A key stands twice in one object; json would silently keep the last."""


class _NotFinite(ValueError):
    """NaN or Infinity, which JSON does not have."""


def read_json(text: str, name: str) -> Document:
    """InvalidRequest for text that is not JSON, repeats a key, or is not an object."""
    try:
        data = json.loads(text, object_pairs_hook=_unrepeated, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        problem = Message("storyboard.json-broken", reason=error.msg)
        raise refusal(name, Place(error.lineno, error.colno), problem) from error
    except _Repeated as error:
        key = str(error)
        raise refusal(name, _second(text, key), Message("storyboard.key-twice", key=key), got=key) from error
    except _NotFinite as error:
        place = place_at(text, text.find(str(error)))
        raise refusal(name, place, Message("storyboard.json-broken", reason=str(error)), got=str(error)) from error
    except RecursionError as error:
        raise refusal(name, Place(1, 1), Message("storyboard.too-deep")) from error
    if not isinstance(data, (dict, list)) or data == []:
        raise refusal(name, Place(1, 1), Message("storyboard.no-object"), got=type(data).__name__, allowed="object")
    known = cache(lambda: dict(_spots(text)))
    loose = canonical(data, name)
    return Document(name, loose.data, lambda spot: _find(text, known(), loose.original(spot)), tuple(loose.notices))


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Repeated(key)
            seen.add(key)
    return result


def _no_constant(constant: str) -> Any:
    raise _NotFinite(constant)


def _second(text: str, key: str) -> Place:
    seen: set[Spot] = set()
    for spot, offset in _spots(text):
        if spot and spot[-1] == key and spot in seen:
            return place_at(text, offset, spot_name(spot))
        seen.add(spot)
    return Place(1, 1)


def _find(text: str, known: Mapping[Spot, int], wanted: Spot) -> Place:
    nearest = (wanted[:length] for length in range(len(wanted), 0, -1))
    offset = next((known[spot] for spot in nearest if spot in known), 0)
    return place_at(text, offset, spot_name(wanted))


def _spots(text: str) -> Iterator[tuple[Spot, int]]:
    """Each key and list item of valid JSON with its offset, in file order."""
    open_at: list[str | int] = []
    expects_key = False
    for match in TOKEN.finditer(text):
        sign = match.group()
        if sign in "]}":
            open_at.pop()
            expects_key = False
        elif sign == ",":
            expects_key = isinstance(open_at[-1], str)
            if not expects_key:
                open_at[-1] = int(open_at[-1]) + 1
        elif sign == ":":
            continue
        elif expects_key:
            open_at[-1] = json.loads(sign)
            expects_key = False
            yield tuple(open_at), match.start()
        else:
            if open_at and isinstance(open_at[-1], int):
                yield tuple(open_at), match.start()
            if sign in "[{":
                open_at.append(0 if sign == "[" else "")
                expects_key = sign == "{"
