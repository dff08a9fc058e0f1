"""Words a text wants rendered in the picture without marking them by quotes.

In: text. Out: the places. A place counts only where a word that announces lettering (标题为, "a sign that says") is
followed by the lettering itself: not where a quotation comes later in the sentence, not where the lettering is only
described (刻着符文, 标题是烫金的). The words are data: prompts/lint.json. Never in here: what to do about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seedframe.prompting.language import han
from seedframe.prompting.lint_data import pattern

_SENTENCE = {"zh": re.compile(r"[。！？!?\n]"), "en": re.compile(r"[.!?](?=\s|$)|[。！？\n]")}
_CLAUSE = re.compile(r"[，,；;、。！？!?\n]|\.(?=\s|$)")
_MARKS = re.compile("[“”\"「」『』‘’《》【】«»`]|(?<!\\w)'|'(?!\\w)")
_NAME = re.compile(r"[A-Z0-9][\w&'’!-]*(?:\s+[\w&'’!-]+)*")
_MOST_HAN = 24
_FAR = 400


def unquoted(text: str) -> list[str]:
    """Every announcement with the lettering that follows it, in the order of the text."""
    found = _chinese(text) if han(text) else iter(())
    return list(dict.fromkeys((*found, *_english(text))))


def _chinese(text: str) -> Iterator[str]:
    for cue, rest, clause in _announced(text, "zh"):
        mentioned = pattern("lettering_described", "zh").search(clause)
        if not mentioned and not _MARKS.search(rest) and len(clause) > 1 and han(clause) <= _MOST_HAN:
            yield cue[0] + clause


def _english(text: str) -> Iterator[str]:
    for cue, rest, clause in _announced(text, "en"):
        mentioned = pattern("lettering_described", "en").search(clause)
        if clause and not mentioned and not _MARKS.search(rest) and (cue["carrier"] or _NAME.match(clause)):
            yield cue[0] + clause


def _announced(text: str, language: str) -> Iterator[tuple[re.Match[str], str, str]]:
    """Each announcement, the rest of its sentence, and the clause right after it."""
    for match in pattern("lettering_cue", language).finditer(text):
        rest = _SENTENCE[language].split(text[match.end() : match.end() + _FAR], maxsplit=1)[0]
        yield match, rest, _CLAUSE.split(rest, maxsplit=1)[0].strip()
