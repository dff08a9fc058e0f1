"""Limits the size of the arguments of one tool call, before anything else is done with them.

In: a tool's name and its arguments as received. Out: nothing, or InvalidRequest. Never in here: what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedframe.errors import InvalidRequest
from seedframe.limits import limits
from seedframe.messages import Message

_PICTURES = "images"
_BOARD = "board"


def check_size(tool: str, arguments: Mapping[str, Any]) -> None:
    """InvalidRequest when pictures and words together, or the words alone, are longer than any real call."""
    sizes = {name: characters(value) for name, value in arguments.items()}
    words = sum(size for name, size in sizes.items() if name not in {_PICTURES, _BOARD})
    for got, allowed in (
        (sum(sizes.values()), limits().argument_characters),
        (sizes.get(_BOARD, 0), limits().board_text),
        (words, limits().argument_text),
    ):
        if got > allowed:
            raise too_long(tool, got, allowed, max(sizes, key=lambda name: sizes[name]))


def too_long(tool: str, got: int, allowed: int, field: str) -> InvalidRequest:
    """The error for a call that is longer than allowed; `field` is its longest argument."""
    return InvalidRequest(
        Message("network.arguments-long", tool=tool, got=got, allowed=allowed),
        field=field[: limits().error_name],
        got=got,
        allowed=allowed,
        advice=Message("network.arguments-advice"),
    )


def characters(value: Any) -> int:
    """The length of all texts and keys in a value; any other value counts as one."""
    size, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            size += len(one)
        elif isinstance(one, Mapping):
            size += 1
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple)):
            size += 1
            waiting += one
        else:
            size += 1
    return size
