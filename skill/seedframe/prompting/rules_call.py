"""Rules about the call the prompt is for: input images, edits, sets, keyframes, the ratio of the frame.

In: a `LintContext`. Out: findings. Never in here: rules about wording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seedframe.prompting import text_analysis
from seedframe.prompting.lint_context import LintContext, Rule
from seedframe.prompting.lint_data import finding, limits, rule_table
from seedframe.prompting.pieces import orientation
from seedframe.prompting.types import PromptFinding

_RATIO = re.compile(r"(?<![\d.])(\d{1,2}(?:\.\d+)?)\s*[:：]\s*(\d{1,2})(?![\d.])")


def references(case: LintContext) -> Iterator[PromptFinding]:
    """Images that are named and missing, given and not named, or too many."""
    given = case.prompt_input.references
    named = text_analysis.images(case.bare, given=given > 0 and not case.set_size)
    missing = [number for number in named if number > given]
    uploaded = text_analysis.says("uploaded", case.bare)
    if missing:
        yield finding("REF_MISSING", numbers=missing, count=given)
    elif uploaded and not given:
        yield finding("REF_NONE", items=uploaded)
    unused = [number for number in range(1, given + 1) if number not in named]
    if given > 1 and unused:
        yield finding("REF_UNUSED", numbers=unused)
    if given > case.prompt_input.max_references:
        yield finding(
            "REF_TOO_MANY", count=given, limit=case.prompt_input.max_references, model=case.prompt_input.model
        )


def edits(case: LintContext) -> Iterator[PromptFinding]:
    """An edit that says only "it", or does not say what stays."""
    if not case.scene.edit:
        return
    pronouns = text_analysis.says("pronoun", case.bare)
    if pronouns:
        yield finding("PRONOUN", items=pronouns)
    if text_analysis.says("edit", case.bare) and not text_analysis.says("keep", case.bare):
        yield finding("EDIT_NO_KEEP")


def sets(case: LintContext) -> Iterator[PromptFinding]:
    """A set that the prompt asks for and the call does not, or in another number, or that is too large."""
    size = case.prompt_input.group
    if size is None:
        asked = text_analysis.set_asked(case.bare)
        if asked:
            yield finding("GROUP_UNSET", count=asked)
        return
    asked = text_analysis.set_asked(case.bare)
    if asked and asked != size:
        yield finding("GROUP_COUNT", asked=asked, count=size)
    if case.prompt_input.references + size > limits("GROUP_LIMIT")["above"]:
        yield finding(
            "GROUP_LIMIT", references=case.prompt_input.references, count=size, limit=limits("GROUP_LIMIT")["above"]
        )
    if not case.prompt_input.groups_supported:
        yield finding("GROUP_MODEL", model=case.prompt_input.model)


def keyframe(case: LintContext) -> Iterator[PromptFinding]:
    """A keyframe is one frozen moment in one picture."""
    if not case.keyframe:
        return
    motion = text_analysis.says("motion", case.bare)
    if motion:
        yield finding("KEYFRAME_MOTION", items=motion)
    grid = text_analysis.says("grid", case.bare)
    if grid:
        yield finding("KEYFRAME_GRID", items=grid)


def ratio(case: LintContext) -> Iterator[PromptFinding]:
    """The prompt names another shape than the call asks for."""
    wanted = orientation(case.prompt_input.ratio) if case.prompt_input.ratio else None
    if not case.prompt_input.ratio or not wanted:
        return
    named = [f"{match[1]}:{match[2]}" for match in _RATIO.finditer(case.bare)]
    shapes = {"square": (), "portrait": ("portrait",), "landscape": ("landscape",), "panorama": ("landscape",)}
    other = [name for name in named if name in rule_table()["ratios"] and not _same(name, case.prompt_input.ratio)]
    for shape, expression in rule_table()["patterns"]["orientation"].items():
        if shape not in shapes[wanted]:
            other += [match[0] for match in re.finditer(expression, case.bare, re.IGNORECASE)]
    if other:
        yield finding("ASPECT_PROMPT_SIZE", items=other, ratio=case.prompt_input.ratio)


def _same(first: str, second: str) -> bool:
    (a, b), (c, d) = (map(float, text.split(":")) for text in (first, second))
    return abs(a / b - c / d) < 0.01


RULES: tuple[Rule, ...] = (references, edits, sets, keyframe, ratio)
"""Every rule about the call."""
