"""What a prompt asks to see: things, their colours and numbers, time and land; and what an edit changes.

In: a prompt in Chinese or English, and for an edit the scene that is edited. Out: a `DrawnScene`. All words are data.
Where a prompt is silent the seed decides; the pictures of a set (`take`) differ in hour and places, not in things.
Never in here: pixels, files.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from seedframe.emulator.drawn_scene import MOST_LETTERS, DrawnScene, Thing, data, things
from seedframe.emulator.placing import placed, put

CLAUSE = re.compile(
    r"[,，。;；.!！?？、\n]+|\band (?=change|make|replace|add|remove|put|turn)|(?:并|再|然后)(?=[把将加让去])"
)
LETTERS = re.compile(r"[\"“「『]([^\"“”「」『』]{1,40})[\"”」』]")
REACH = 24
"""How far before a thing its colour or number may stand, in characters."""

ABSENCE = 12
"""How far before a thing a word such as `no` may stand."""


@dataclass(frozen=True, slots=True)
class NamedThing:
    """A thing that a text names; `colour` is one of the data's, None where none is said."""

    name: str
    colour: str | None
    count: int = 1


def scene_of(prompt: str, seed: int, take: int = 0, looks: Mapping[str, str | None] | None = None) -> DrawnScene:
    """Read the scene a prompt speaks of. `looks`: colours that things have in the input pictures."""
    chance, layout = (random.Random(f"{prompt}/{seed}{which}") for which in ("", f"/{take}"))  # noqa: S311 - pictures, not secrets
    mood = _mentioned(prompt, data("scenery")["moods"]) or layout.choice(data("scenery")["moods"])["name"]
    named = [replace(m, colour=m.colour or (looks or {}).get(m.name)) for m in mentions(LETTERS.sub(" ", prompt))]
    land = _mentioned(prompt, data("scenery")["lands"]) or _land_for(named, chance)
    zoom = next((view["zoom"] for view in data("things")["views"] if _says_any(prompt, view["words"])), 1.0)
    return DrawnScene(
        mood,
        land,
        placed([(m.name, m.colour) for m in named for _ in range(m.count)], land, zoom, layout),
        seed + take,
        _letters(prompt),
        _says_any(prompt, data("things")["colourless"]),
    )


def is_edit(prompt: str) -> bool:
    """Whether a prompt changes a picture, or names nothing that could be drawn instead of it."""
    scenery = data("scenery")
    drawable = mentions(prompt) or _mentioned(prompt, scenery["lands"]) or _mentioned(prompt, scenery["moods"])
    return not drawable or next(_changes(prompt), None) is not None


def edited(scene: DrawnScene, prompt: str, looks: Mapping[str, str | None] | None = None) -> DrawnScene:
    """Change only what a prompt names in a scene. `looks`: colours that things have in the other input pictures."""
    for kind, before, after in _changes(prompt):
        scene = _changed(scene, kind, before, after, looks or {})
    return scene


def mentions(text: str) -> list[NamedThing]:
    """Find the things a text names, each once, in their order. Clothes are the colour of who wears them."""
    lower, found, last = text.lower(), dict[str, NamedThing](), 0
    for match in _vocabulary().finditer(lower):
        name = _meaning()[match[0]] if match[0] in _meaning() else _meaning()[match[0].rstrip("s")]
        before, last = lower[max(last, match.start() - REACH) : match.start()], match.end()
        before = CLAUSE.split(before)[-1]
        colour = _colour(before)
        wearer = next((n for n in reversed(found) if _kind(n) in {"person", "animal"}), "person" if colour else "")
        if name == "clothes" and _kind(wearer) == "person":
            found[wearer] = NamedThing(wearer, colour or (found[wearer].colour if wearer in found else None))
        elif name in things() and name not in found and not _absent(before):
            found[name] = NamedThing(name, colour, _count(before))
    return _specific(list(found.values()))


def _specific(found: Sequence[NamedThing]) -> list[NamedThing]:
    """Leave out `person` where a closer word says who it is; the colour of the clothes goes to that one."""
    people = [m for m in found if _kind(m.name) == "person" and m.name != "person"]
    anybody = next((m for m in found if m.name == "person"), None)
    if not people or not anybody:
        return list(found)
    first = replace(people[0], colour=people[0].colour or anybody.colour)
    return [first if m.name == first.name else m for m in found if m.name != "person"]


def _changes(prompt: str) -> Iterator[tuple[str, str, str]]:
    """Kind of change, the words before and the words after, for each clause that changes something."""
    for clause in CLAUSE.split(prompt):
        if _says_any(clause.lower(), data("things")["kept"]):
            continue
        for kind, pattern in data("things")["changes"]:
            if match := re.search(pattern, clause, re.IGNORECASE):
                yield kind, match[1], match[match.lastindex or 1]
                break


def _changed(scene: DrawnScene, kind: str, before: str, after: str, looks: Mapping[str, str | None]) -> DrawnScene:
    letters = _letters(after)
    scene = replace(scene, letters=letters) if letters and kind != "remove" else scene
    old, new = mentions(LETTERS.sub(" ", before)), mentions(LETTERS.sub(" ", after))
    new = [replace(m, colour=m.colour or looks.get(m.name)) for m in new]
    if kind == "remove":
        return _without(scene, {m.name for m in new})
    moved = _moved(scene, after)
    if kind == "replace" and old:
        return _replaced(moved, old[0].name, new, _colour(after.lower()))
    here = {thing.name for thing in scene.things}
    colour = _colour(after.lower())
    for mention in new:
        if mention.name in here and kind in {"make", "replace"}:
            moved = _recoloured(moved, mention.name, mention.colour or colour)
        elif mention.name not in here or mention.name in looks:
            moved = put(moved, mention.name, mention.colour)
    return moved


def _moved(scene: DrawnScene, after: str) -> DrawnScene:
    """Move a scene to another time, weather or place where the words say so."""
    mood, land = _mentioned(after, data("scenery")["moods"]), _mentioned(after, data("scenery")["lands"])
    colourless = scene.colourless or _says_any(after, data("things")["colourless"])
    return replace(scene, mood=mood or scene.mood, land=land or scene.land, colourless=colourless)


def _replaced(scene: DrawnScene, old: str, new: Sequence[NamedThing], colour: str | None) -> DrawnScene:
    """Put another thing into the place of one, or give it another colour; only the first of its kind is meant."""
    at = next((number for number, thing in enumerate(scene.things) if _is(thing.name, old)), None)
    if at is None:
        for mention in new:
            scene = put(scene, mention.name, mention.colour)
        return scene
    kept = scene.things[at]
    other = next((m for m in new if m.name != kept.name), None)
    if other is None:
        return _recoloured(scene, kept.name, colour)
    return put(scene, other.name, other.colour, instead_of=at)


def _recoloured(scene: DrawnScene, name: str, colour: str | None) -> DrawnScene:
    recoloured = tuple(replace(t, colour=colour or t.colour) if t.name == name else t for t in scene.things)
    return replace(scene, things=recoloured)


def _without(scene: DrawnScene, names: set[str]) -> DrawnScene:
    """Take things away, and with them what they hold."""
    left: dict[int, int] = {}
    kept: list[Thing] = []
    for number, thing in enumerate(scene.things):
        gone = any(_is(thing.name, name) for name in names) or (thing.holder >= 0 and thing.holder not in left)
        if not gone:
            left[number] = len(kept)
            kept.append(replace(thing, holder=left.get(thing.holder, -1)))
    return replace(scene, things=tuple(kept))


def _is(name: str, asked: str) -> bool:
    """Whether a thing is what a word means: `person` means whoever is there."""
    return name == asked or (asked == "person" and _kind(name) == "person")


def _land_for(named: Sequence[NamedThing], chance: random.Random) -> str:
    """Choose a land for things without one: water for ships, a plain ground for goods, the wide world for the rest."""
    kinds = {_kind(m.name) for m in named}
    if "float" in kinds:
        return "sea"
    if kinds and kinds <= {"small"}:
        return "studio"
    if "table" in kinds or (
        kinds and kinds <= {"small", "table", "stand"} and not {"car", "bicycle"} & {m.name for m in named}
    ):
        return "room"
    wide = [entry["name"] for entry in data("scenery")["lands"] if entry.get("anywhere")]
    return str(chance.choice(wide))


def _letters(prompt: str) -> str:
    match = LETTERS.search(prompt)
    return match[1][:MOST_LETTERS] if match else ""


def _kind(name: str) -> str:
    return str(things()[name]["kind"]) if name in things() else ""


def _absent(before: str) -> bool:
    return _says_any(before[-ABSENCE:], data("things")["absent"])


def _colour(text: str) -> str | None:
    """Find the last colour a text names."""
    matches = list(_colours().finditer(text))
    if not matches:
        return None
    said = matches[-1][0]
    return next(str(entry["colour"]) for entry in data("things")["colours"] if said in entry["words"])


def _count(before: str) -> int:
    counts: Mapping[str, int] = data("things")["counts"]
    return next((n for word, n in counts.items() if _says(before, word)), 1)


def _mentioned(prompt: str, entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Find the entry whose words appear most often, the earlier one on a tie; None when none appears."""
    lower = LETTERS.sub(" ", prompt).lower()
    scores = [sum(_says(lower, word) for word in entry["words"]) for entry in entries]
    best = max(scores)
    return str(entries[scores.index(best)]["name"]) if best else None


def _says_any(text: str, words: Sequence[str]) -> bool:
    return any(_says(text.lower(), word) for word in words)


def _says(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text) is not None if word.isascii() else word in text


@cache
def _meaning() -> Mapping[str, str]:
    """Word → what it means; "" for words that hold a thing's word and mean something else."""
    meaning = {word: entry["name"] for entry in data("things")["things"] for word in entry["words"]}
    meaning |= dict.fromkeys(data("things")["clothes"], "clothes")
    return meaning | dict.fromkeys(data("things")["passed_over"], "")


@cache
def _vocabulary() -> re.Pattern[str]:
    return _any_of(tuple(_meaning()), plural="s?")


@cache
def _colours() -> re.Pattern[str]:
    return _any_of(tuple(word for entry in data("things")["colours"] for word in entry["words"]))


def _any_of(words: Sequence[str], plural: str = "") -> re.Pattern[str]:
    """Match any of the words, the longest first."""
    longest = sorted(words, key=len, reverse=True)
    return re.compile(
        "|".join(rf"\b{re.escape(word)}{plural}\b" if word.isascii() else re.escape(word) for word in longest)
    )
