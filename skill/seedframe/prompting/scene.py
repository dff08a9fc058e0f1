"""What is in the picture, as far as its words say: people and how many, animals, things, places, what the frame shows.

In: the brief, the words, the terms. Out: a `Scene` of flags that conditions in the data are checked against. The flags
and their words are data: prompts/scene.json. Never in here: a wording, what follows from a flag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from seedframe.package_data import folder, read_json
from seedframe.prompting import text_analysis
from seedframe.prompting.brief import Brief, Subject
from seedframe.prompting.language import han, quoted, without_quoted
from seedframe.prompting.lexicon import Lexicon, Term
from seedframe.prompting.people import people

Kind = Literal["person", "animal", "place", "thing"]
_PLURAL = re.compile(r"\b(\w{3,}?)s\b")
_JOINTS = re.compile(r"\band\b|&|,|\bwith\b")


@dataclass(frozen=True, slots=True)
class SceneContent:
    """The picture as flags (`people`, `hands`, `place` …); `count` is how many people there are, None when unknown."""

    flags: frozenset[str] = frozenset()
    count: int | None = None

    @property
    def people(self) -> bool:
        """Whether a person is in the picture."""
        return "people" in self.flags

    @property
    def text(self) -> bool:
        """Whether there is text to render."""
        return "text" in self.flags

    @property
    def edit(self) -> bool:
        """Whether a given picture is changed."""
        return "edit" in self.flags

    def fits(self, condition: Mapping[str, Any], needed: str = "if") -> bool:
        """Whether all flags under `needed` hold and none under `unless`."""
        return self.flags.issuperset(condition.get(needed, ())) and self.flags.isdisjoint(condition.get("unless", ()))


@cache
def scene_data() -> Mapping[str, Any]:
    """The data as in the file."""
    data: Mapping[str, Any] = read_json(folder("prompts") / "scene.json")
    return data


def scene_of(brief: Brief, text: str, terms: Iterable[Term], lexicon: Lexicon, *, edit: bool) -> SceneContent:
    """The scene of a brief; `text` is everything said in words, the free prompt included, `terms` those found in it."""
    bare, terms = without_quoted(text), tuple(terms)
    flags = {*_termed({term.id for term in terms}), *_worded(bare)}
    flags |= {name for name, holds in (("text", brief.text or quoted(text)), ("edit", edit or brief.edits)) if holds}
    flags |= {"drawn"} if any(term.look == "drawn" for term in terms) or text_analysis.drawn(bare) else set()
    people = _people(brief, bare, lexicon)
    kinds = {"people"} if people else set()
    kinds |= {kind for kind in subject_kinds(brief, bare) if kind != "person"}
    count = people_count(brief, bare) if people else None
    if count is not None:
        kinds.add("one_person" if count == 1 else "counted")
    return SceneContent(_derived(frozenset(flags | kinds), count), count)


def subject_kinds(brief: Brief, text: str) -> set[Kind]:
    """The kind of each subject of the picture, as stated or read from its words; without a brief, from the text."""
    if brief.subjects:
        return {subject.kind or kind_of(subject.text.all) for subject in brief.subjects}
    words = brief.free.get("subject") or brief.free.get("setting")
    return {kind_of(text if words is None else words.zh or words.all)}


def kind_of(text: str) -> Kind:
    """Person, animal, place or thing, by the last noun of the first phrase."""
    language = "zh" if han(text) else "en"
    kinds = scene_data()["kinds"]
    found = re.match(kinds["head"][language], text.strip(), re.IGNORECASE)
    head = (found[0] if found else text).strip()
    if people_in(head):
        return "person"
    if re.search(kinds["animal"][language], head, re.IGNORECASE):
        return "animal"
    return "place" if re.search(kinds["place"][language], head, re.IGNORECASE) else "thing"


def people_in(text: str) -> bool:
    """Whether a text names a person, in the singular or the plural."""
    return people(text) or people(_PLURAL.sub(r"\1", text))


def people_count(brief: Brief, text: str) -> int | None:
    """How many people there are; None when the words do not settle it."""
    if brief.subjects:
        counts = [_counted(subject) for subject in brief.subjects if _is_person(subject)]
        return None if None in counts else sum(filter(None, counts)) or None
    subject = brief.free.get("subject")
    words = (subject.zh or subject.all) if subject else text
    language = "zh" if han(words) else "en"
    rest = text.replace(words, " ") if subject else ""
    if re.search(scene_data()["count"][language]["others"], rest, re.IGNORECASE):
        return None
    return _count_zh(words) if language == "zh" else _count_en(words)


def position_of(words: str) -> Mapping[str, str] | None:
    """The wording of a known position (left, 右侧 …) in both languages."""
    key = words.strip().casefold()
    return next((entry for entry in scene_data()["positions"].values() if key in entry["names"]), None)


def number_word(count: int, language: str) -> str:
    """两, three; figures beyond ten."""
    said: list[str] = scene_data()["count"]["said"][language]
    return said[count] if count < len(said) else str(count)


def _people(brief: Brief, bare: str, lexicon: Lexicon) -> bool:
    if brief.people is not None:
        return brief.people
    shown = any(lexicon.roles[item.role].get("people") for item in brief.references if item.role)
    return shown or any(map(_is_person, brief.subjects)) or people_in(bare)


def _is_person(subject: Subject) -> bool:
    return subject.kind == "person" if subject.kind else people_in(subject.text.all)


def _counted(subject: Subject) -> int | None:
    if subject.count:
        return subject.count
    words = subject.text.zh or subject.text.all
    return (_count_zh(words) if han(words) else _count_en(words)) or 1


def _count_zh(text: str) -> int | None:
    rules = scene_data()["count"]["zh"]
    end = re.search(r"[，；。]", text)
    while end and re.match(rules["joined"], text[end.start() :]):
        end = re.compile(r"[，；。]").search(text, end.end())
    clause = text[: end.start()] if end else text
    total = 0
    for match in re.finditer(rules["number"], clause):
        number = _number(match[1]) or 0
        if match[2] in rules["person_measures"]:
            total += number
        elif people_in(re.split("[和与及、]", clause[match.end() :])[0]):
            total += number * 2 if match[2] in rules["pair_measures"] else number
    if total or re.search(rules["many"], clause):
        return total or None
    return 2 if re.search(rules["pairs"], clause) else 1 if people_in(clause) else None


def _count_en(text: str) -> int | None:
    rules = scene_data()["count"]["en"]
    counts = [_count_part(part.strip(), rules) for part in _JOINTS.split(text) if people_in(part)]
    return None if not counts or None in counts else sum(filter(None, counts))


def _count_part(part: str, rules: Mapping[str, str]) -> int | None:
    if re.search(rules["pairs"], part, re.IGNORECASE):
        return 2
    number = _number(part.split(maxsplit=1)[0].casefold())
    if number:
        return number
    found = re.match(scene_data()["kinds"]["head"]["en"], part, re.IGNORECASE)
    head = (found[0] if found else part).strip()
    if re.search(rules["many"], part, re.IGNORECASE) or re.search(rules["plural"], head, re.IGNORECASE):
        return None
    return 1


def _number(figure: str) -> int | None:
    if figure.isdigit():
        return int(figure)
    lists = scene_data()["count"]["said"].values()
    return {"二": 2, **{name: value for names in lists for value, name in enumerate(names)}}.get(figure)


def _termed(present: set[str]) -> Iterator[str]:
    return (flag for flag, ids in scene_data()["terms"].items() if not present.isdisjoint(ids))


def _worded(text: str) -> Iterator[str]:
    for flag, patterns in scene_data()["words"].items():
        if any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns.values()):
            yield flag


def _derived(flags: frozenset[str], count: int | None) -> frozenset[str]:
    for flag, ways in scene_data()["derived"].items():
        if any(SceneContent(flags, count).fits(way) for way in ways):
            flags |= {flag}
    return flags
