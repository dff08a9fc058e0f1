"""YAML 1.2 boards: the format for people, because it has comments.

In: text. Out: Document. `no` stays a word and `1:30` a text (YAML 1.2; ruamel.yaml, extra `storyboard`).
Never in here: tags that make Python objects (the safe loader refuses them).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from seedframe.errors import NotConfigured
from seedframe.messages import Message
from seedframe.storyboard.formats.document import Document, Place, Spot, refusal, spot_name
from seedframe.storyboard.formats.loose import canonical

DEEPEST = 12
"""The deepest nesting that is read: no board is deeper."""


def read_yaml(text: str, name: str) -> Document:
    """InvalidRequest for broken YAML or a file that is not a mapping; NotConfigured when ruamel.yaml is missing."""
    loader = _loader()
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        data = loader.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        problem = Message("storyboard.yaml-broken", reason=str(error.problem or error.context).split("\n")[0])
        raise refusal(name, place, problem) from error
    except (YAMLError, ValueError, RecursionError) as error:
        problem = Message("storyboard.yaml-broken", reason=str(error).split("\n")[0])
        raise refusal(name, Place(1, 1), problem) from error
    if not isinstance(data, (dict, list)) or data == []:
        raise refusal(name, Place(1, 1), Message("storyboard.no-object"), got=type(data).__name__, allowed="mapping")
    # Composed only when an error needs a place: the plain data has no line numbers.
    root = cache(lambda: _loader().compose(text))
    loose = canonical(_plain(data, name, root, (), {}), name)
    return Document(name, loose.data, lambda spot: _find(root(), loose.original(spot)), tuple(loose.notices))


def _loader() -> Any:
    try:
        from ruamel.yaml import YAML
    except ImportError as error:
        raise NotConfigured(Message("storyboard.yaml-missing"), advice=Message("storyboard.yaml-install")) from error
    return YAML(typ="safe", pure=True)


def _plain(value: Any, name: str, root: Callable[[], Any], spot: Spot, seen: dict[int, Any]) -> Any:
    """The same data with JSON's types only. `seen` keeps aliases shared, so that nested aliases do not multiply."""
    if len(spot) > DEEPEST:
        raise refusal(name, _find(root(), spot), Message("storyboard.too-deep"))
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if not isinstance(value, (dict, list)):
        return str(value)
    if id(value) not in seen:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        plain = {key: _plain(item, name, root, (*spot, key), seen) for key, item in items}
        seen[id(value)] = _named(plain, name, root, spot) if isinstance(value, dict) else list(plain.values())
    return seen[id(value)]


def _named(data: dict[Any, Any], name: str, root: Callable[[], Any], spot: Spot) -> dict[str, Any]:
    for key in data:
        if not isinstance(key, str):
            problem = Message("storyboard.key-not-text", key=repr(key))
            raise refusal(name, _find(root(), (*spot, key)), problem, got=repr(key), allowed="text")
    return data


def _find(node: Any, wanted: Spot) -> Place:
    """The nearest node to a spot."""
    mark = node.start_mark
    for part in wanted:
        step = _step(node, part)
        if step is None:
            break
        mark, node = step
    return Place(mark.line + 1, mark.column + 1, spot_name(wanted))


def _step(node: Any, part: str | int) -> tuple[Any, Any] | None:
    if node.id == "mapping":
        return next(((key.start_mark, value) for key, value in node.value if key.value == str(part)), None)
    if node.id == "sequence" and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark, node.value[part]
    return None
