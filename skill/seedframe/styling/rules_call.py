"""Rules about the call the prompt is for: input images, edits, sets, keyframes, the ratio of the frame.

In: a `Case`. Out: findings. Never in here: rules about wording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seedframe.styling import reading
from seedframe.styling.case import Case, Rule
from seedframe.styling.notes import book, finding, limits
from seedframe.styling.pieces import orientation
from seedframe.styling.values import Finding

_RATIO = re.compile(r"(?<![\d.])(\d{1,2}(?:\.\d+)?)\s*[:：]\s*(\d{1,2})(?![\d.])")


def references(case: Case) -> Iterator[Finding]:
    """Images named that are not there, there and not named, or too many."""
    given = case.wish.references
    named = reading.images(case.bare, given=given > 0 and not case.set_size)
    missing = [number for number in named if number > given]
    uploaded = reading.says("uploaded", case.bare)
    if missing:
        yield finding("REF_MISSING", numbers=missing, count=given)
    elif uploaded and not given:
        yield finding("REF_NONE", items=uploaded)
    unused = [number for number in range(1, given + 1) if number not in named]
    if given > 1 and unused:
        yield finding("REF_UNUSED", numbers=unused)
    if given > case.wish.max_references:
        yield finding("REF_TOO_MANY", count=given, limit=case.wish.max_references, model=case.wish.model)


def edits(case: Case) -> Iterator[Finding]:
    """An edit that says "it", or does not say what stays."""
    if not case.scene.edit:
        return
    pronouns = reading.says("pronoun", case.bare)
    if pronouns:
        yield finding("PRONOUN", items=pronouns)
    if reading.says("edit", case.bare) and not reading.says("keep", case.bare):
        yield finding("EDIT_NO_KEEP")


def sets(case: Case) -> Iterator[Finding]:
    """A set the prompt asks for without the call or in another number, or one that is too large."""
    size = case.wish.group
    if size is None:
        asked = reading.set_asked(case.bare)
        if asked:
            yield finding("GROUP_UNSET", count=asked)
        return
    asked = reading.set_asked(case.bare)
    if asked and asked != size:
        yield finding("GROUP_COUNT", asked=asked, count=size)
    if case.wish.references + size > limits("GROUP_LIMIT")["above"]:
        yield finding("GROUP_LIMIT", references=case.wish.references, count=size, limit=limits("GROUP_LIMIT")["above"])
    if not case.wish.groups_supported:
        yield finding("GROUP_MODEL", model=case.wish.model)


def keyframe(case: Case) -> Iterator[Finding]:
    """A keyframe is one frozen moment in one picture."""
    if not case.keyframe:
        return
    motion = reading.says("motion", case.bare)
    if motion:
        yield finding("KEYFRAME_MOTION", items=motion)
    grid = reading.says("grid", case.bare)
    if grid:
        yield finding("KEYFRAME_GRID", items=grid)


def ratio(case: Case) -> Iterator[Finding]:
    """The prompt names another shape than the call asks for."""
    wanted = orientation(case.wish.ratio) if case.wish.ratio else None
    if not case.wish.ratio or not wanted:
        return
    told = [f"{match[1]}:{match[2]}" for match in _RATIO.finditer(case.bare)]
    shapes = {"square": (), "portrait": ("portrait",), "landscape": ("landscape",), "panorama": ("landscape",)}
    other = [name for name in told if name in book()["ratios"] and not _same(name, case.wish.ratio)]
    for shape, expression in book()["patterns"]["orientation"].items():
        if shape not in shapes[wanted]:
            other += [match[0] for match in re.finditer(expression, case.bare, re.IGNORECASE)]
    if other:
        yield finding("ASPECT_PROMPT_SIZE", items=other, ratio=case.wish.ratio)


def _same(first: str, second: str) -> bool:
    (a, b), (c, d) = (map(float, text.split(":")) for text in (first, second))
    return abs(a / b - c / d) < 0.01


RULES: tuple[Rule, ...] = (references, edits, sets, keyframe, ratio)
"""Every rule about the call."""
