"""What the picture should not show: a short negative list where the model takes one, else positive wording.

In: the caller's negative and wishes to avoid, and what the prompt asks for. Out: the negative to send, the wishes to
word positively, findings. Never in here: the wording of a prompt, whether the wire carries the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedframe.messages import Message
from seedframe.styling.brief import Words, avoid_id
from seedframe.styling.language import han
from seedframe.styling.lexicon import Lexicon, key_of
from seedframe.styling.notes import finding
from seedframe.styling.sheet import Sheet
from seedframe.styling.values import Finding, HostTask

_SEPARATORS = re.compile(r"\s*[,，、;；\n]\s*")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a negative could contradict: people, rendered text, a close framing, wanted blur, a picture to be edited."""

    people: bool = False
    empty: bool = False
    text: bool = False
    close: bool = False
    blur: bool = False
    edit: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """The names by which a sheet lists what contradicts the default."""
        found = {"text": self.text, "close": self.close, "no_people": self.empty, "edit": self.edit, "blur": self.blur}
        return tuple(name for name, holds in found.items() if holds)

    def wants(self, entry: Mapping[str, Any]) -> bool:
        """Whether a known wish makes sense in this scene."""
        facts = {"people": self.people, "full_body": self.people and not self.close, "text": self.text}
        return facts.get(entry.get("only", ""), True) and not facts.get(entry.get("unless", ""), False)


@dataclass(frozen=True, slots=True)
class Negative:
    """The decision: `send` on the wire (None: nothing), `positive` into the prompt, `absent` named as missing there."""

    send: str | None = None
    positive: tuple[Words, ...] = ()
    absent: tuple[Words, ...] = ()
    findings: tuple[Finding, ...] = ()
    tasks: tuple[HostTask, ...] = ()


@dataclass(frozen=True, slots=True)
class Ban:
    """Everything that bears on the decision."""

    given: str | None
    avoid: tuple[str | Words, ...]
    supported: bool
    scene: Scene
    sheet: Sheet
    lexicon: Lexicon


def decided(ban: Ban) -> Negative:
    """What becomes of the caller's negative and wishes to avoid."""
    wishes = tuple(ban.lexicon.avoid[wish] for wish in ban.avoid if isinstance(wish, str))
    positive = tuple(words for entry in wishes if (words := _positive(entry)))
    unknown = tuple(item for item in ban.avoid if isinstance(item, Words))
    if ban.sheet.negative["policy"] == "send" and ban.supported:
        return _sent(ban, positive, unknown)
    return _restated(ban, positive, unknown)


def _sent(ban: Ban, positive: tuple[Words, ...], unknown: tuple[Words, ...]) -> Negative:
    extra = [words.en for words in unknown if words.en]
    untold = tuple(words for words in unknown if not words.en)
    if ban.given is None:
        send = _default(ban, extra)
        return Negative(", ".join(send) or None, positive, untold, _raw(untold))
    items, tasks = _in_english(_parted(ban.given), ban)
    send = _distinct([*items, *extra])
    findings = (*_checked(send, ban), *_raw(untold))
    return Negative(", ".join(send) or None, positive, untold, findings, tasks)


def _default(ban: Ban, extra: Sequence[str]) -> list[str]:
    """The sheet's default without what the scene contradicts; the caller's own wishes keep their place in the limit."""
    policy = ban.sheet.negative
    against = {term for flag in ban.scene.flags for term in policy["contradicted"][flag]}
    kept = [term for term in policy["default"] if term not in against]
    return _distinct([*kept[: max(policy["max"] - len(extra), 0)], *extra])


def _restated(ban: Ban, positive: tuple[Words, ...], unknown: tuple[Words, ...]) -> Negative:
    restated: list[Words] = []
    told: list[str] = []
    left: list[str] = []
    for item in _parted(ban.given or ""):
        entry = ban.lexicon.avoid.get(avoid_id(item, ban.lexicon) or "")
        words = _positive(entry) if entry and ban.scene.wants(entry) else None
        if words:
            restated.append(words)
        (told if words else left).append(item)
    findings = _raw(unknown)
    if told or left:
        code = ban.sheet.negative["told"]
        findings = (finding(code, restated=told or ["-"], left=left or ["-"]), *findings)
    return Negative(None, tuple(dict.fromkeys((*positive, *restated))), unknown, findings)


def _positive(entry: Mapping[str, Any]) -> Words | None:
    return Words(zh=entry["zh"], en=entry["en"]) if "zh" in entry else None


def _raw(unknown: Iterable[Words]) -> tuple[Finding, ...]:
    return tuple(finding("AVOID_RAW", word=words.all) for words in unknown)


def _in_english(items: Iterable[str], ban: Ban) -> tuple[list[str], tuple[HostTask, ...]]:
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


def _checked(items: Sequence[str], ban: Ban) -> list[Finding]:
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
