"""Edit marks in a prompt, `<point>x y</point>` and `<bbox>left top right bottom</bbox>`, checked before paying.

In: the prompt that will be sent and the offer. Out: nothing, or InvalidRequest. A model that knows no marks would paint
them as words or overlook them, and bill the picture. Source: vendor's interactive-edit page, 2026: whole numbers 0-999.
Never in here: what a mark means in pixels, a model's name.
"""

from __future__ import annotations

import re

from seedframe.catalog import Offer, catalog
from seedframe.errors import InvalidRequest
from seedframe.messages import Message

_MARK = re.compile(r"<(point|bbox)>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?\s*(?:point|bbox)\b[^>]*>?", re.IGNORECASE)
_NUMBERS = {"point": 2, "bbox": 4}


def check_marks(prompt: str, offer: Offer) -> None:
    """InvalidRequest for a mark the model does not take, one that is not closed, or coordinates out of range."""
    tags = _TAG.findall(prompt)
    if not tags:
        return
    most = offer.model.edit_marks
    if most is None:
        takers = [model.name for model in catalog().models if model.edit_marks and offer.backend.ids in model.ids]
        raise InvalidRequest(
            Message("marks.not-taken", model=offer.model.name, mark=tags[0]),
            field="prompt",
            got=tags[0],
            allowed=takers,
            advice=Message("marks.not-taken-advice", models=takers),
        )
    marks = list(_MARK.finditer(prompt))
    if 2 * len(marks) != len(tags):
        raise _wrong(tags[-1], most)
    for mark in marks:
        if not _legal(mark[1].lower(), mark[2].split(), most):
            raise _wrong(mark[0][:80], most)


def _legal(kind: str, words: list[str], most: int) -> bool:
    if len(words) != _NUMBERS[kind] or not all(re.fullmatch(r"\d{1,6}", word) for word in words):
        return False
    numbers = [int(word) for word in words]
    ordered = kind == "point" or (numbers[0] < numbers[2] and numbers[1] < numbers[3])
    return ordered and max(numbers) <= most


def _wrong(got: str, most: int) -> InvalidRequest:
    return InvalidRequest(
        Message("marks.wrong", got=got, most=most),
        field="prompt",
        got=got,
        allowed=f"<point>x y</point>, <bbox>left top right bottom</bbox>, 0-{most}",
        advice=Message("marks.wrong-advice", most=most),
    )
