"""Rules about the words: length, language, form, filler, foreign syntax, negations, text to render.

In: a `LintContext`. Out: findings. Never in here: rules about the call or about combinations.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from seedframe.messages import Message
from seedframe.prompting import text_analysis
from seedframe.prompting.language import han, quoted, words
from seedframe.prompting.lettering import unquoted as unquoted_in
from seedframe.prompting.lint_context import LintContext, Rule
from seedframe.prompting.lint_data import finding, limits, pattern, rule_table
from seedframe.prompting.types import PromptFinding

_SEGMENTS = re.compile(r"[,，;；。．.!?！？\n]+(?!\d)")
_DOUBLE = re.compile(r"“[^“”]*”|\"[^\"\n]*\"")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_STOPS = re.compile(r"[。！？!?]|\.(?=\s|$)")


def empty(case: LintContext) -> Iterator[PromptFinding]:
    """There is nothing to paint: no word and no meaningful sign."""
    if case.prompt_input.words_needed and not (case.has_content and any(map(_says, case.prompt))):
        yield finding("EMPTY")


def _says(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "LN" or unicodedata.category(sign) == "So"


def control(case: LintContext) -> Iterator[PromptFinding]:
    """Characters no service takes: they are refused there, or end the text early."""
    found = sorted({f"U+{ord(sign):04X}" for sign in _CONTROL.findall(case.prompt)})
    if found:
        yield finding("CONTROL", items=found)


def length(case: LintContext) -> Iterator[PromptFinding]:
    """Over the budget, near it, or so short that much is left to chance."""
    most = case.prompt_input.most_characters
    if most is not None and len(case.prompt) > most:
        yield finding("LEN_MAX", count=len(case.prompt), limit=most)
    share = case.counts.budget
    percent = round(share * 100)
    if share > limits("LEN_OVER")["above"]:
        advised = {f"most_{unit}": rule_table()["length"][unit] for unit in ("han", "words")}
        yield finding("LEN_OVER", han=case.counts.han, words=case.counts.words, percent=percent, **advised)
    elif share > limits("LEN_NEAR")["above"]:
        yield finding("LEN_NEAR", percent=percent)
    elif case.has_content and not case.scene.edit and share < limits("LEN_SHORT")["below"]:
        yield finding("LEN_SHORT")


def language(case: LintContext) -> Iterator[PromptFinding]:
    """The text is not in the language the model reads best."""
    if not case.has_content or not case.foreign:
        return
    code = "LANG_5" if case.concerns("LANG_5") else "LANG_45"
    name = case.text_language if case.text_language != case.sheet.language else "mixed"
    severity = limits(code)["as_is"] if case.prompt_input.as_is else None
    yield finding(code, severity, model=case.prompt_input.model, language=Message(f"styling.language-{name}"))


def form(case: LintContext) -> Iterator[PromptFinding]:
    """Keywords where prose is wanted, sentences where keywords are wanted, too many of them."""
    if case.foreign:
        return
    segments = [part for part in _SEGMENTS.split(case.bare) if part.strip()]
    if case.concerns("KEYWORDS_5") and _stacked(case, segments):
        yield finding("KEYWORDS_5", model=case.prompt_input.model)
    if case.concerns("SENTENCES_45") and _prose(case, segments):
        yield finding("SENTENCES_45", model=case.prompt_input.model)
    if case.concerns("STACK_LONG") and len(segments) > limits("STACK_LONG")["above"]:
        yield finding("STACK_LONG", count=len(segments), limit=limits("STACK_LONG")["above"])


def _stacked(case: LintContext, segments: list[str]) -> bool:
    limit = limits("KEYWORDS_5")
    short = sum(han(part) + words(part) <= limit["short"] for part in segments)
    stops = len(_STOPS.findall(case.bare))
    crowded = len(segments) >= int(limit["segments"]) and short > float(limit["share"]) * len(segments)
    return crowded and stops <= int(limit["stops"])


def _prose(case: LintContext, segments: list[str]) -> bool:
    limit = limits("SENTENCES_45")
    sentences = [part for part in _STOPS.split(case.bare) if words(part) > limit["fragment"]]
    if len(sentences) >= limit["sentences"] or pattern("opener", "en").search(case.bare):
        return True
    most = limit["mean_words"] if len(segments) > 1 else limit["lone_words"]
    return words(case.bare) > float(most) * len(segments)


def filler(case: LintContext) -> Iterator[PromptFinding]:
    """Quality words without visual meaning."""
    found = text_analysis.junk(case.bare)
    if found:
        yield finding("QUALITY_JUNK", items=found)


def foreign_syntax(case: LintContext) -> Iterator[PromptFinding]:
    """Weights, switches and tags of other generators."""
    found = [
        match[0].strip() for expression in rule_table()["patterns"]["foreign"] for match in _all(expression, case.bare)
    ]
    if found:
        yield finding("SYNTAX_FOREIGN", items=found)


def _all(expression: str, text: str) -> Iterator[re.Match[str]]:
    return re.finditer(expression, text, re.IGNORECASE)


def negations(case: LintContext) -> Iterator[PromptFinding]:
    """Negations such as "no …": image models follow them badly."""
    found = text_analysis.says("negation", case.bare)
    limit = limits("NEG_IN_PROMPT")["above_keyframe" if case.keyframe else "above"]
    if len(found) > limit:
        yield finding("NEG_IN_PROMPT", items=found)


def lettering(case: LintContext) -> Iterator[PromptFinding]:
    """Text to render that is not in double quotes, or is too long to come out right."""
    unquoted = unquoted_in(case.bare)
    if unquoted:
        yield finding("TEXT_UNQUOTED", items=unquoted)
    styled = [match[0] for match in pattern("quote_style", case.sheet.language).finditer(_DOUBLE.sub("", case.prompt))]
    if styled:
        yield finding("TEXT_QUOTE_STYLE", items=styled)
    limit = limits("TEXT_LONG")
    long = [text for text in quoted(case.prompt) if han(text) > limit["han"] or words(text) > limit["words"]]
    if long:
        yield finding("TEXT_LONG", items=long, han=limit["han"], words=limit["words"])


RULES: tuple[Rule, ...] = (empty, control, length, language, form, filler, foreign_syntax, negations, lettering)
