"""Who is named in the words of a shot: characters, products and props that a shot shows without listing them.

In: a Board. Out: the same Board with them listed, and a finding for each; where two could be meant, or somebody is
named but need not be visible (a letter from 阿雨), only a finding. Data: `mentions.json`.
Never in here: identity sentences, prompts, scenes (a place is where the shot says it is).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from seedframe.messages import Message
from seedframe.package_data import data_json
from seedframe.prompting.language import without_quoted
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.types import Board, Character, Element, Shot
from seedframe.storyboard.wording import HAN, wording

KINDS: tuple[Literal["characters", "products", "props"], ...] = ("characters", "products", "props")
TOLD = ("subject", "action", "details")
"""Parts that say what is seen; dialogue and camera moves name people who are not."""

CODE = re.compile(r"[A-Za-z]{1,6}[-_]?\d{1,4}")
ARTICLE = re.compile(r"^(?:the|an?)\s+", re.IGNORECASE)
ARTICLE_BEFORE = re.compile(r"(?:the|an?)\s+$", re.IGNORECASE)
OWNED = re.compile(r"['’]s?\s+[\w-]+")
OWNED_BY = re.compile(r"['’]s?\s+(?P<what>[\w-]+(?:\s+[\w-]+)?)")
PARTS = re.compile(r"[,，;；。]")
SHORTEST = 2

Sight = Literal["seen", "mentioned", "owner"]


@dataclass(frozen=True, slots=True)
class Name:
    """One thing an element is called, and the elements called so."""

    text: str
    owners: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in words: where, and whether who is named is in the picture."""

    start: int
    end: int
    name: Name
    sight: Sight


def bind_named(board: Board) -> Board:
    """The board with everybody listed who is named as seen; `notices` name each, and what stays open."""
    names: dict[str, Sequence[Name]] = {kind: names_of(getattr(board, kind)) for kind in KINDS}
    found: list[BoardFinding] = []
    shots = tuple(_bound(shot, names, found) for shot in board.shots)
    return replace(board, shots=shots, notices=(*board.notices, *found))


def names_of(elements: Sequence[Element]) -> tuple[Name, ...]:
    """Every name of these elements, longest first; a first name counts unless it is somebody else's whole name."""
    owners: dict[str, list[str]] = defaultdict(list)
    for element in elements:
        for text in _called(element):
            if element.id not in owners[text]:
                owners[text].append(element.id)
    for element in elements:
        for text in list(_called(element)):
            first = text.split(" ")[0]
            if not HAN.search(text) and first != text and len(first) > SHORTEST and first[0].isupper():
                owners[first] += [] if element.id in owners[first] else [element.id]
    return tuple(Name(text, tuple(ids)) for text, ids in sorted(owners.items(), key=lambda item: -len(item[0])))


def _called(element: Element) -> Iterator[str]:
    for text in (element.name or {}).values():
        bare = ARTICLE.sub("", text.strip(), count=1) if not HAN.search(text) else text.strip()
        if len(bare) >= SHORTEST:
            yield bare
    if len(element.id) >= SHORTEST:
        yield element.id


def mentions(text: str, names: Sequence[Name], *, things: bool = False) -> list[Mention]:
    """Every name in a text outside quotation marks, the longest where several would fit, in the order of the text.

    What belongs to a thing is part of it (the moon's crack); what belongs to somebody need not be (阿雨's letter).
    """
    bare, taken = _blanked(text), [False] * len(text)
    found = []
    for name in names:
        for match in _pattern(name.text).finditer(bare):
            if any(taken[match.start() : match.end()]):
                continue
            taken[match.start() : match.end()] = [True] * (match.end() - match.start())
            sight = _sight(bare, match.start(), match.end(), name.text)
            if sight == "owner":
                sight = "seen" if things else "mentioned"
            if sight:
                found.append(Mention(match.start(), match.end(), name, sight))
    return sorted(found, key=lambda mention: mention.start)


def introduced(text: str, element: Element, sentence: str) -> str | None:
    """The text with the identity sentence at the first mention of the element; None: it is not named as seen there.

    A sentence of several parts follows the name in brackets; a short one that holds the name takes its place.
    """
    things = not isinstance(element, Character)
    seen = [mention for mention in mentions(text, names_of([element]), things=things) if mention.sight == "seen"]
    if not seen:
        return None
    start, end = seen[0].start, seen[0].end
    name, rest = text[start:end], text[end:]
    chinese = bool(HAN.search(name))
    if sentence.casefold() == name.casefold():
        return text
    if name.casefold() in sentence.casefold() and not PARTS.search(sentence):
        article = None if chinese else ARTICLE_BEFORE.search(text[:start])
        return text[: article.start() if article else start] + sentence + rest
    owned = None if chinese else OWNED.match(rest)
    if owned:
        return f"{text[:end]}{owned[0]} ({name}: {sentence}){rest[owned.end() :]}"
    named: str = wording()["named"]["zh" if chinese else "en"].format(name=name, text=sentence)
    return text[:start] + named + rest


def _blanked(text: str) -> str:
    """The text with its quotations emptied, every character in its place."""
    left = without_quoted(text)
    if len(left) == len(text):
        return text
    quoted = re.compile(r"“[^“”]*”|\"[^\"\n]*\"|「[^「」]*」|『[^『』]*』|《[^《》]*》")
    return quoted.sub(lambda match: "\0" * len(match[0]), text)


@cache
def _pattern(name: str) -> re.Pattern[str]:
    if HAN.search(name):
        return re.compile(re.escape(name))
    # A name is written with its capital: a rose is not Rose. A description such as `courier` may begin a sentence.
    flags = re.IGNORECASE if name.islower() or CODE.fullmatch(name) else 0
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])", flags)


def _sight(text: str, start: int, end: int, name: str) -> Sight | None:
    before, after = text[:start], text[end:]
    return _chinese(before, after, name) if HAN.search(name) else _english(before, after)


def _chinese(before: str, after: str, name: str) -> Sight | None:
    words = _words("zh")
    if name in words["weather"] and _is_weather(before, after, words):
        return None
    if before.endswith(tuple(words["other_before"])) or after.startswith(tuple(words["compound_after"])):
        return None
    owned = after.startswith(words["owned_after"])
    if owned and not after[1:].startswith(tuple(words["body"])):
        return "owner"
    absent = before.endswith(tuple(words["absent_before"])) or after.startswith(tuple(words["absent_after"]))
    return "mentioned" if absent else "seen"


def _is_weather(before: str, after: str, words: Mapping[str, Any]) -> bool:
    return before.endswith(tuple(words["weather_before"])) or after.startswith(tuple(words["weather_after"]))


def _english(before: str, after: str) -> Sight | None:
    words = _words("en")
    left = " " + re.sub(r"\s+(?:the|an?)$", "", before[-60:].rstrip().lower())
    if left.endswith(tuple(f" {word}" for word in words["other_before"])):
        return None
    owned = OWNED_BY.match(after)
    if owned:
        what = owned["what"].lower()
        return "seen" if any(what == part or what.startswith(f"{part} ") for part in words["body"]) else "owner"
    if set(left.split()) & set(words["giving"]):
        return "seen"  # "a letter to Mia" does not show her; "hands Mia a letter" does
    gone = after.lstrip().lower().startswith(tuple(words["absent_after"]))
    return "mentioned" if gone or left.endswith(tuple(f" {word}" for word in words["absent_before"])) else "seen"


@cache
def _words(language: str) -> Mapping[str, Any]:
    words: Mapping[str, Any] = data_json("storyboard/mentions.json")[language]
    return words


def with_arrivals(shot: Shot, elements: Mapping[str, Sequence[Element]]) -> Shot:
    """The shot as its last frame shows it: with everybody who is named as seen in the last frame's words alone."""
    named = _bound(replace(shot, brief={}, frames=("last",)), {kind: names_of(elements[kind]) for kind in KINDS}, [])
    return replace(shot, characters=named.characters, products=named.products, props=named.props)


def _bound(shot: Shot, names: Mapping[str, Sequence[Name]], found: list[BoardFinding]) -> Shot:
    both = "first" in shot.frames and bool(shot.last)
    parts = (shot.brief,) if both else (shot.brief, shot.last)
    bound = _listed(shot, [text for part in parts for text in _texts(part)], names, found)
    if both:
        late: list[BoardFinding] = []
        _listed(bound, list(_texts(shot.last)), names, late)
        found += [replace(each, message=_late(each.message)) for each in late if not _is_found(found, each)]
    return bound


def _late(message: Message) -> Message:
    """Bound to the last frame alone: who arrives there must not stand in the first frame."""
    return Message("naming.bound-last", **message.values) if message.key == "naming.bound" else message


def _is_found(found: Sequence[BoardFinding], late: BoardFinding) -> bool:
    return any(each.shot == late.shot and each.message == late.message for each in found)


def _listed(shot: Shot, texts: Sequence[str], names: Mapping[str, Sequence[Name]], found: list[BoardFinding]) -> Shot:
    listed = {kind: list(getattr(shot, kind)) for kind in KINDS}
    changed = False
    for kind in KINDS:
        things = kind != "characters"
        every = [mention for text in texts for mention in mentions(text, names[kind], things=things)]
        for mention in sorted(every, key=lambda mention: mention.sight != "seen"):
            owners = [owner for owner in mention.name.owners if owner in listed[kind]]
            if owners or _already(found, shot, mention):
                continue
            if mention.sight == "seen" and len(mention.name.owners) == 1:
                listed[kind].append(mention.name.owners[0])
                changed = True
            found.append(_finding(shot, kind, mention))
    if not changed:
        return shot
    characters, products, props = (tuple(listed[kind]) for kind in KINDS)
    return replace(shot, characters=characters, products=products, props=props)


def _texts(part: Mapping[str, Any]) -> Iterator[str]:
    for name in TOLD:
        content: Any = part.get(name, ())
        for text in content if isinstance(content, (list, tuple)) else [content]:
            yield from text.values()


def _already(found: Sequence[BoardFinding], shot: Shot, mention: Mention) -> bool:
    noticed = [each.message.values for each in found if each.shot == shot.id]
    owners = list(mention.name.owners)
    return any(values.get("ids") == owners or [values.get("id")] == owners for values in noticed)


def _finding(shot: Shot, kind: str, mention: Mention) -> BoardFinding:
    what = {"name": mention.name.text, "kind": Message(f"storyboard.kind-{kind}")}
    owners = list(mention.name.owners)
    if len(owners) > 1:
        return BoardFinding("NAME_AMBIGUOUS", "warning", Message("naming.ambiguous", ids=owners, **what), shot.id)
    if mention.sight == "mentioned":
        return BoardFinding("NAME_UNSEEN", "info", Message("naming.mentioned", id=owners[0], **what), shot.id)
    return BoardFinding("NAME_BOUND", "info", Message("naming.bound", id=owners[0], **what), shot.id)
