"""Parses JSON from outside; refuses documents that are deeper or larger than any answer of the service.

In: bytes or text of bounded length. Out: the value; ValueError for invalid JSON and for documents that are too deep.
Never in here: the meaning of a document.
"""

from __future__ import annotations

import json
import re
from typing import Any

from seedframe.limits import limits

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BYTE_ORDER_MARK = "\ufeff"
_NOT_BRACKETS = re.compile(r"[^\[\]{}]+")


def parse(document: bytes | str) -> Any:
    """The value of a document. A name that occurs twice keeps its last non-empty value."""
    text = document if isinstance(document, str) else document.decode("utf-8")
    if sum(map(text.count, ",[{")) > limits().document_values:
        raise ValueError("too many values")
    try:
        value = json.loads(text.removeprefix(_BYTE_ORDER_MARK), object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if too_deep(text, limits().document_depth):
        raise ValueError("nested too deeply")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in pairs:
        if name not in read or value not in (None, "", [], {}):
            read[name] = value
    return read


def too_deep(text: str, most: int) -> bool:
    """Whether valid JSON is nested deeper than `most`: innermost brackets are taken away, one level at a time."""
    if text.count("[") + text.count("{") <= most:
        return False
    left = _NOT_BRACKETS.sub("", _STRING.sub("", text))
    for _ in range(most):
        if not left:
            return False
        left = left.replace("[]", "").replace("{}", "")
    return bool(left)
