"""What the picture should not show: a short negative list where the model takes one, else positive wording.

In: the caller's negative prompt and things to avoid, and the scene. Out: the negative prompt to send, the things to
word positively, findings. Never in here: what the scene is, the wording of a prompt, whether the field is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedframe.messages import Message
from seedframe.prompting.brief import BriefWords, avoid_id
from seedframe.prompting.language import han
from seedframe.prompting.lexicon import Lexicon, key_of
from seedframe.prompting.lint_data import finding
from seedframe.prompting.scene import SceneContent, number_word
from seedframe.prompting.style_sheet import Sheet
from seedframe.prompting.types import HostTask, PromptFinding

_SEPARATORS = re.compile(r"\s*[,，、;；\n]\s*")


@dataclass(frozen=True, slots=True)
class Negative:
    """The decision: `send` on the wire (None: nothing) and `positive` into the prompt."""

    send: str | None = None
    positive: tuple[BriefWords, ...] = ()
    findings: tuple[PromptFinding, ...] = ()
    tasks: tuple[HostTask, ...] = ()


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Everything the decision depends on."""

    given: str | None
    avoid: tuple[str | BriefWords, ...]
    supported: bool
    scene: SceneContent
    sheet: Sheet
    lexicon: Lexicon

    @property
    def sends(self) -> bool:
        """Whether a negative prompt goes to the model."""
        return self.sheet.negative["policy"] == "send" and self.supported


@dataclass(frozen=True, slots=True)
class _Avoided:
    """How the things to avoid are handled: worded positively, sent as negative terms, meaningless here, or not sent."""

    positive: tuple[BriefWords, ...] = ()
    terms: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    unsent: tuple[PromptFinding, ...] = ()

    def findings(self) -> tuple[PromptFinding, ...]:
        """The things to avoid that are not sent, with the reason."""
        unfit = (finding("AVOID_UNFIT", items=list(self.unfit)),) if self.unfit else ()
        return (*unfit, *self.unsent)


def decided(ban: Exclusion) -> Negative:
    """Decide how the caller's negative prompt and things to avoid are handled."""
    avoided = _avoided(ban)
    return _sent(ban, avoided) if ban.sends else _restated(ban, avoided)


def _avoided(ban: Exclusion) -> _Avoided:
    """A known term is worded positively where that is true of this picture; the rest goes where the model reads it."""
    positive: list[BriefWords] = []
    terms: list[str] = []
    unfit: list[str] = []
    unsent: list[PromptFinding] = []
    for item in ban.avoid:
        entry = ban.lexicon.avoid[item] if isinstance(item, str) else None
        name = _name(item, ban) if isinstance(item, str) else item.all
        tokens = _terms(item, entry)
        if entry and "parameter" in entry:
            continue
        if entry and not ban.scene.fits(entry, "only"):
            unfit.append(name)
        elif ban.sends and tokens and entry and "prefer" in entry:
            terms += tokens
        elif entry and (words := restated(entry, ban.scene)):
            positive.append(words)
        elif ban.sends and tokens:
            terms += tokens
        else:
            unsent.append(finding("AVOID_RAW", entry.get("unsent") if entry else None, word=name))
    return _Avoided(tuple(dict.fromkeys(positive)), tuple(terms), tuple(unfit), tuple(unsent))


def restated(entry: Mapping[str, Any], scene: SceneContent) -> BriefWords | None:
    """The first positive wording of a known term that is true of this picture."""
    if not scene.fits(entry, "only"):
        return None
    way = next((way for way in entry.get("when", ()) if scene.fits(way)), None)
    if way is None:
        return None
    said = {language: number_word(scene.count or 0, language) for language in ("zh", "en")}
    return BriefWords(zh=way["zh"].format(count=said["zh"]), en=way["en"].format(count=said["en"]))


def _terms(item: str | BriefWords, entry: Mapping[str, Any] | None) -> list[str]:
    """The negative terms for one thing to avoid."""
    if entry:
        terms: list[str] = entry.get("negative") or [entry["aliases_en"][0]]
        return terms
    return [item.en] if isinstance(item, BriefWords) and item.en else []


def _name(item: str, ban: Exclusion) -> str:
    return str(ban.lexicon.avoid[item][f"aliases_{ban.sheet.language}"][0])


def _sent(ban: Exclusion, avoided: _Avoided) -> Negative:
    if ban.given is None:
        send = _default(ban, avoided.terms)
        return Negative(", ".join(send) or None, avoided.positive, avoided.findings())
    items, tasks = _in_english(_parted(ban.given), ban)
    send = _distinct([*items, *avoided.terms])
    findings = (*_checked(send, ban), *avoided.findings())
    return Negative(", ".join(send) or None, avoided.positive, findings, tasks)


def _default(ban: Exclusion, extra: Sequence[str]) -> list[str]:
    """The sheet's default as far as it fits the scene; the caller's own terms have priority within the limit."""
    policy = ban.sheet.negative
    kept = [entry["term"] for entry in policy["default"] if ban.scene.fits(entry, "only")]
    return _distinct([*kept[: max(policy["max"] - len(extra), 0)], *extra])


def _restated(ban: Exclusion, avoided: _Avoided) -> Negative:
    said: list[BriefWords] = []
    worded: list[str] = []
    left: list[str] = []
    for item in _parted(ban.given or ""):
        entry = ban.lexicon.avoid.get(avoid_id(item, ban.lexicon) or "")
        words = restated(entry, ban.scene) if entry else None
        if words:
            said.append(words)
        (worded if words else left).append(item)
    findings = avoided.findings()
    if worded or left:
        code = ban.sheet.negative["finding"]
        findings = (finding(code, restated=worded or ["-"], left=left or ["-"]), *findings)
    return Negative(None, tuple(dict.fromkeys((*avoided.positive, *said))), findings)


def _in_english(items: Iterable[str], ban: Exclusion) -> tuple[list[str], tuple[HostTask, ...]]:
    english: list[str] = []
    tasks: list[HostTask] = []
    for item in items:
        if not han(item):
            english.append(item)
            continue
        entry = ban.lexicon.avoid.get(avoid_id(item, ban.lexicon) or "")
        if entry:
            english += entry.get("negative") or [entry["aliases_en"][0]]
        else:
            message = Message(
                "styling.host-write", field="negative", language=Message("styling.language-en"), text=item
            )
            tasks.append(HostTask("negative", "en", item, message))
    return english, tuple(tasks)


def _checked(items: Sequence[str], ban: Exclusion) -> list[PromptFinding]:
    policy, findings = ban.sheet.negative, []
    hazards = [item for item in items if any(_names(item, hazard) for hazard in policy["hazards"])]
    if hazards:
        findings.append(finding("NEG_HAZARD", items=hazards))
    if len(items) > policy["max"]:
        findings.append(finding("NEG_LONG", count=len(items), limit=policy["max"]))
    banned = [item for item in items if avoid_id(item, ban.lexicon) == "text_overlay"]
    if banned and ban.scene.text:
        findings.append(finding("NEG_CONFLICT_TEXT", items=banned))
    return findings


def _names(item: str, hazard: str) -> bool:
    return f" {hazard} " in f" {key_of(item)} " or f" {key_of(hazard)} " in f" {key_of(item)} "


def _parted(text: str) -> list[str]:
    return _distinct(part.strip(" .。") for part in _SEPARATORS.split(text))


def _distinct(items: Iterable[str]) -> list[str]:
    found: dict[str, str] = {}
    for item in items:
        if item.strip():
            found.setdefault(key_of(item), item)
    return list(found.values())
