"""Rules about edit marks, `<point>x y</point>` and `<bbox>left top right bottom</bbox>`.

In: a `LintContext`. Out: findings. A model that knows no marks would paint them as words or overlook them, and bill the
picture. Source: vendor's interactive-edit page, 2026: whole numbers 0-999. Never in here: what a mark means in pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seedframe.prompting.lint_context import LintContext, Rule
from seedframe.prompting.lint_data import finding
from seedframe.prompting.types import PromptFinding

_MARK = re.compile(r"<(point|bbox)>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?\s*(?:point|bbox)\b[^>]*>?", re.IGNORECASE)
_NUMBERS = {"point": 2, "bbox": 4}


def marks(case: LintContext) -> Iterator[PromptFinding]:
    """A mark the model does not take, one that is not closed, or coordinates out of range."""
    tags, most = _TAG.findall(case.prompt), case.prompt_input.most_marks
    if not tags:
        return
    if most is None:
        takers = list(case.prompt_input.mark_takers)
        yield finding("MARK_UNREAD", model=case.prompt_input.model, mark=tags[0], models=takers)
        return
    found = list(_MARK.finditer(case.prompt))
    odd = [mark[0][:80] for mark in found if not _legal(mark[1].lower(), mark[2].split(), most)]
    if 2 * len(found) != len(tags):
        odd.append(tags[-1])
    if odd:
        yield finding("MARK_WRONG", items=odd, most=most)


def _legal(kind: str, numbers: list[str], most: int) -> bool:
    if len(numbers) != _NUMBERS[kind] or not all(re.fullmatch(r"\d{1,6}", number) for number in numbers):
        return False
    x = [int(number) for number in numbers]
    ordered = kind == "point" or (x[0] < x[2] and x[1] < x[3])
    return ordered and max(x) <= most


RULES: tuple[Rule, ...] = (marks,)
"""Every rule about edit marks."""
