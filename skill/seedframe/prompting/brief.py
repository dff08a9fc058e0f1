"""A brief as understood: every word either a term of the lexicon or the caller's own words, with their language.

In: the caller's `brief` mapping. Out: a `Brief` and what was noticed while reading it. Never in here: a prompt.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seedframe.messages import Message
from seedframe.prompting.brief_schema import FREE, PICKED, check_brief, tidy_brief
from seedframe.prompting.language import han, has_letters
from seedframe.prompting.lexicon import Lexicon, Term, key_of
from seedframe.prompting.lint_data import finding
from seedframe.prompting.types import PromptFinding

_CODE = re.compile(r"[A-Z]{2,4}|[a-z_]+\.[a-z0-9_]+|[a-z0-9]+(?:_[a-z0-9]+)+")
"""An abbreviation (CU) or an id of the lexicon (lighting.rim, close_up): it names a term and is not a wording."""
_COMMAS = re.compile(r"\s*[,，、;；]\s*")


@dataclass(frozen=True, slots=True)
class BriefWords:
    """The caller's own words, in one language or both."""

    zh: str | None = None
    en: str | None = None

    def get(self, language: Literal["zh", "en"]) -> str | None:
        """The words in a language, when there are any."""
        return self.zh if language == "zh" else self.en

    @property
    def all(self) -> str:
        """The words in both languages, for rules that read both."""
        return " / ".join(text for text in (self.zh, self.en) if text)


@dataclass(frozen=True, slots=True)
class Subject:
    """One of several subjects: what it looks like, its name, place in the frame and doing; `count` of a group."""

    text: BriefWords
    name: BriefWords | None = None
    position: BriefWords | None = None
    action: BriefWords | None = None
    kind: Literal["person", "animal", "place", "thing"] | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class BriefReference:
    """What to take from input image `n`; `role` is the lexicon's name for it, when it has one."""

    n: int
    take: BriefWords
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Lettering:
    """Text to render, where it stands and how it looks."""

    content: str
    where: BriefWords | None
    type: Term | BriefWords | None


@dataclass(frozen=True, slots=True)
class Edit:
    """One change to input image `n`."""

    op: str
    n: int
    target: BriefWords | None
    to: BriefWords | None


@dataclass(frozen=True, slots=True)
class Brief:
    """A brief as understood.

    `avoid` holds ids of known terms and the caller's own words for the others; `setting_lead` replaces the words a
    sheet opens the setting with, empty for none. `given` holds the words a term was picked by, by id; a term picked by
    its id is not in it. `enrich` asks for the lexicon's fuller wordings.
    """

    free: Mapping[str, BriefWords]
    picked: Mapping[str, tuple[Term | BriefWords, ...]]
    setting_lead: BriefWords | None = None
    details: tuple[BriefWords, ...] = ()
    must_keep: tuple[BriefWords, ...] = ()
    avoid: tuple[str | BriefWords, ...] = ()
    references: tuple[BriefReference, ...] = ()
    text: tuple[Lettering, ...] = ()
    edits: tuple[Edit, ...] = ()
    count: int | None = None
    link: BriefWords | None = None
    frames: tuple[BriefWords, ...] = ()
    people: bool | None = None
    subjects: tuple[Subject, ...] = ()
    given: Mapping[str, BriefWords] = dataclasses.field(default_factory=dict)
    enrich: bool = False
    findings: tuple[PromptFinding, ...] = ()

    @property
    def has_content(self) -> bool:
        """Whether it describes the content of the picture."""
        return bool(self.free or self.subjects or self.text or self.edits or self.frames)

    @property
    def terms(self) -> tuple[Term, ...]:
        """Every term of the lexicon that was picked."""
        return tuple(item for items in self.picked.values() for item in items if isinstance(item, Term))

    def own_words(self, language: Literal["zh", "en"]) -> Iterator[str]:
        """What the caller says in free words, preferably in one language; not rendered text or things to avoid."""
        picked = (item for items in self.picked.values() for item in items if isinstance(item, BriefWords))
        edited = (words for edit in self.edits for words in (edit.target, edit.to) if words)
        cast = (
            words
            for subject in self.subjects
            for words in (subject.name, subject.position, subject.text, subject.action)
            if words
        )
        for words in (*self.free.values(), *cast, *self.details, *self.frames, *picked, *edited):
            yield words.get(language) or words.all


def read_brief(raw: Mapping[str, Any], lexicon: Lexicon) -> Brief:
    """The brief behind a caller's mapping; InvalidRequest when it has the wrong shape."""
    raw = tidy_brief(raw) if isinstance(raw, Mapping) else raw
    check_brief(raw)
    reading = _Reading(lexicon)
    group = raw.get("group", {})
    picked = reading.picked(raw)
    return Brief(
        free={field: prompt_words(raw[field]) for field in FREE if field in raw},
        picked=picked,
        setting_lead=_optional(raw.get("setting_lead")),
        details=tuple(map(prompt_words, _several(raw.get("details")))),
        must_keep=tuple(map(prompt_words, _listed(raw.get("must_keep")))),
        avoid=tuple(_avoided(item, lexicon) for item in _listed(raw.get("avoid"))),
        references=tuple(_reference(place, item, lexicon) for place, item in enumerate(raw.get("references", ()), 1)),
        text=tuple(reading.lettering(item) for item in raw.get("text", ())),
        edits=tuple(_edit(item) for item in raw.get("edits", ())),
        count=group.get("count") or len(group.get("items", ())) or None,
        link=_optional(group.get("link")),
        frames=tuple(map(prompt_words, group.get("items", ()))),
        people=raw.get("people"),
        subjects=tuple(_subject(item) for item in raw.get("subjects", ())),
        given=reading.given,
        enrich=raw.get("enrich", False),
        findings=tuple(reading.findings),
    )


def prompt_words(raw: str | Mapping[str, str]) -> BriefWords:
    """A caller's text with its language: Han makes it Chinese, letters English, figures alone fit both."""
    if not isinstance(raw, str):
        return BriefWords(zh=raw.get("zh"), en=raw.get("en"))
    if han(raw):
        return BriefWords(zh=raw)
    return BriefWords(en=raw) if has_letters(raw) else BriefWords(zh=raw, en=raw)


class _Reading:
    """Looks words up and collects findings."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.findings: list[PromptFinding] = []
        self.given: dict[str, BriefWords] = {}

    def picked(self, raw: Mapping[str, Any]) -> dict[str, tuple[Term | BriefWords, ...]]:
        """Field → items; a word of another field's vocabulary moves to that field."""
        picked: dict[str, list[Term | BriefWords]] = {}
        for field in PICKED:
            for item in _several(raw.get(field)):
                for found in self._looked_up(field, item):
                    home = found.category if isinstance(found, Term) and found.category in PICKED else field
                    picked.setdefault(home, []).append(found)
        return {field: tuple(dict.fromkeys(picked[field])) for field in PICKED if field in picked}

    def lettering(self, raw: Mapping[str, Any]) -> Lettering:
        """One text to render."""
        found = next(iter(self._looked_up("typography", raw["type"])), None) if "type" in raw else None
        return Lettering(raw["content"], _optional(raw.get("where")), found)

    def _looked_up(self, field: str, item: str | Mapping[str, str]) -> list[Term | BriefWords]:
        if not isinstance(item, str):
            known = (self.lexicon.term(field, text) for text in item.values())
            term = next((term for term in known if term), None)
            return [self._known(term, prompt_words(item)) if term else prompt_words(item)]
        whole = self.lexicon.term(field, item)
        if whole:
            return [self._known(whole, prompt_words(item))]
        parts = [part for part in _COMMAS.split(item) if part]
        terms = [self.lexicon.term(field, part) for part in parts]
        if not any(terms):
            return [self._unknown(field, item)]
        return [
            self._known(term, prompt_words(part)) if term else self._unknown(field, part)
            for term, part in zip(terms, parts, strict=True)
        ]

    def _known(self, term: Term, words: BriefWords) -> Term:
        """The term, with the words that named it kept; an id names the lexicon's own wording."""
        if not _CODE.fullmatch(words.all):
            self.given.setdefault(term.id, words)
        return term

    def _unknown(self, field: str, word: str) -> BriefWords:
        found = self.lexicon.near(field, word)
        near = Message("styling.word-near", near=found) if found else ""
        self.findings.append(finding("WORD_UNKNOWN", field=field, word=word, near=near))
        words = prompt_words(word)
        named = words.zh is None and any(character.isdigit() for character in word)
        return BriefWords(zh=word, en=word) if named else words


def _several(raw: Any) -> Iterable[Any]:
    """One wording or a list of them, as a list."""
    if raw is None:
        return ()
    return raw if isinstance(raw, list | tuple) else (raw,)


def _listed(raw: Any) -> Iterable[Any]:
    """Like `_several`, with a plain string taken apart at its commas."""
    for item in _several(raw):
        if isinstance(item, str):
            yield from (part for part in _COMMAS.split(item.strip()) if part)
        else:
            yield item


def _optional(raw: Any) -> BriefWords | None:
    return None if raw is None else prompt_words(raw)


def _avoided(raw: str | Mapping[str, str], lexicon: Lexicon) -> str | BriefWords:
    for text in (raw,) if isinstance(raw, str) else raw.values():
        known = avoid_id(text, lexicon)
        if known:
            return known
    return prompt_words(raw)


_BAN = re.compile(r"^(?:no|without|avoid|any|不要|没有|无|避免|禁止)\s*", re.IGNORECASE)


def avoid_id(text: str, lexicon: Lexicon) -> str | None:
    """The known term behind "text", "no text", 文字 or 不要文字."""
    return lexicon.avoid_index.get(key_of(text)) or lexicon.avoid_index.get(key_of(_BAN.sub("", text.strip())))


def _reference(place: int, raw: str | Mapping[str, Any], lexicon: Lexicon) -> BriefReference:
    if isinstance(raw, str):
        raw = {"role": raw}
    given = raw.get("role", {})
    role = lexicon.role_index.get(key_of(given)) if isinstance(given, str) else None
    known = {language: lexicon.roles[role][language] for language in ("zh", "en")} if role else given
    return BriefReference(raw.get("n", place), prompt_words(raw.get("take", known)), role)


def _subject(raw: str | Mapping[str, Any]) -> Subject:
    if isinstance(raw, str):
        return Subject(prompt_words(raw))
    own = {language: raw[language] for language in ("zh", "en") if language in raw}
    name, position, action = (_optional(raw.get(part)) for part in ("name", "position", "action"))
    text, kind, count = _optional(raw.get("text") or own or None), raw.get("kind"), raw.get("count")
    if text is None:
        return Subject(name or action or BriefWords(), None, position, action if name else None, kind, count)
    return Subject(text, name, position, action, kind, count)


def _edit(raw: Mapping[str, Any]) -> Edit:
    return Edit(raw["op"], raw.get("n", 1), _optional(raw.get("target")), _optional(raw.get("to")))
