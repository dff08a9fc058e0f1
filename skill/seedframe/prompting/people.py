"""Whether a text names a person, by a list of words for people, occupations and parts of the body.

In: text. Out: yes or no. Exceptions are matched before the word they contain: 王企鹅 and "king penguin" show no king.
The words are data: prompts/people.json. Never in here: how many people, who they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

from seedframe.package_data import folder, read_json
from seedframe.prompting.language import han

_TOKEN = re.compile(r"(?<![\w-])([a-zé]+(?:-[a-z]+)*)(?![\w-])(?=(?: ([a-z]+))?)")
_NEAR = 40
_SIBILANT = re.compile(r"(?:s|x|z|ch|sh)$")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")


@lru_cache(1024)  # many rules ask it of the same texts
def people(text: str) -> bool:
    """Whether a text names a person, in Chinese or English."""
    return bool(han(text) and _chinese(text)) or _english(text.casefold())


def _chinese(text: str) -> bool:
    return any(match.lastgroup == "person" for match in _chinese_words().finditer(text))


@cache
def _chinese_words() -> re.Pattern[str]:
    data = _data()
    return re.compile(f"(?P<other>{_any(data['zh_not'].split())})|(?P<person>{_any(_words(data['zh']))})")


def _english(text: str) -> bool:
    """Words are looked up one by one; exceptions are sought only around a word for a person."""
    known, traps = _english_words(), _english_traps()
    for match in _TOKEN.finditer(text):
        if match[1] in known or f"{match[1]} {match[2]}" in known:
            around = text[max(match.start() - _NEAR, 0) : match.end() + _NEAR]
            place = min(match.start(), _NEAR)
            if not any(trap.start() <= place < trap.end() for trap in traps.finditer(around)):
                return True
    return False


@cache
def _english_words() -> frozenset[str]:
    return frozenset(form for word in _words(_data()["en"]) for form in _forms(word.replace("_", " ")))


@cache
def _english_traps() -> re.Pattern[str]:
    data = _data()
    animals = _any(form for word in data["animals"].split() for form in _forms(word))
    before, after = (_any(data[name].split("|")) for name in ("before_animals", "after_animals"))
    traps = f"(?:{before}) (?:{animals})|(?:{animals}) (?:{after})|{_any(data['en_not'].split('|'))}"
    return re.compile(rf"(?<![\w-])(?:{traps})(?![\w-])")


def _any(words: Iterable[str]) -> str:
    """Words as alternatives, longer ones first."""
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


def _words(lists: Mapping[str, str]) -> Iterator[str]:
    for line in lists.values():
        yield from line.split()


def _forms(word: str) -> Iterator[str]:
    """Singular and plural: fisherman and fishermen, nanny and nannies."""
    yield word
    if word.endswith("man"):
        yield f"{word[:-2]}en"
    elif _CONSONANT_Y.search(word):
        yield f"{word[:-1]}ies"
    else:
        yield f"{word}{'es' if _SIBILANT.search(word) else 's'}"


@cache
def _data() -> Mapping[str, Any]:
    data: Mapping[str, Any] = read_json(folder("prompts") / "people.json")
    return data
