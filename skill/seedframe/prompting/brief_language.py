"""The language a brief is worded in: the model's own where the words allow it, else the one the words are in.

In: a brief, the free text beside it, the sheet of the model. Out: the sheet to word it with. A prompt is never half one
language and half the other when it can be whole in one. Never in here: a wording, a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from seedframe.prompting.brief import Brief, BriefWords, prompt_words
from seedframe.prompting.style_sheet import Sheet, names, sheet


def spoken_sheet(brief: Brief, prompt: str, own: Sheet) -> Sheet:
    """The model's sheet, or the one of the other language when only that one has every word."""
    said = [prompt_words(prompt), *_said(brief)] if prompt.strip() else list(_said(brief))
    if all(words.get(own.language) for words in said):
        return own
    other: Literal["zh", "en"] = "en" if own.language == "zh" else "zh"
    if not all(words.get(other) for words in said):
        return own
    return next((found for found in map(sheet, names()) if found.language == other), own)


def _said(brief: Brief) -> Iterator[BriefWords]:
    """Everything only the caller can put into another language; the lexicon translates words of look."""
    yield from (*brief.free.values(), *brief.details, *brief.must_keep, *brief.frames)
    for subject in brief.subjects:
        yield from (words for words in (subject.text, subject.action) if words)
    for edit in brief.edits:
        yield from (words for words in (edit.target, edit.to) if words)
    for lettering in brief.text:
        if lettering.where:
            yield lettering.where
