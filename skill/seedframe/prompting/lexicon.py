"""The terms of photography in both languages, read once from prompts/lexicon.json.

In: a word in either language, or a text. Out: the terms meant. Never in here: how a prompt is put together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

from seedframe.package_data import folder, read_json
from seedframe.prompting.language import han, without_quoted

_OBJECTS = {"en_object": ",", "zh_phrase_object": "，"}
_GAPS = re.compile(r"[\s\-_]+")
_TOKEN = re.compile(r"[a-z0-9][a-z0-9'’./:&]*")
_BREAK = re.compile(r"[,;!?()\n，。；、“”\"「」]|\.\s")


@dataclass(frozen=True, slots=True)
class Term:
    """One term: its keyword (`en`), its Chinese name (`zh`) and the clause for Chinese prose (`zh_phrase`).

    `plain` is what the word alone says, by language and form. The `*_object` forms are for pictures without people;
    `bare` clauses need no lead; terms of one `group` exclude each other unless their `rank` is close; `look` is
    "photo", "drawn" or None; `leads` says a use opens an English prompt.
    """

    id: str
    en: str
    zh: str
    zh_phrase: str
    en_object: str
    zh_phrase_object: str
    plain: Mapping[str, str] = field(hash=False)
    names: tuple[str, ...]
    bare: bool
    group: str | None
    rank: int | None
    look: str | None
    leads: bool

    @property
    def category(self) -> str:
        """The brief's field this term belongs to."""
        return self.id.partition(".")[0]

    def plainly(self, form: str) -> str:
        """What the word alone says, in the language and for the kind of picture of a wording's form."""
        return self.plain.get(form) or self.plain[form.partition("_")[0]]

    def wording(self, form: str) -> str:
        """The wording called `form`: en, zh, zh_phrase, en_object or zh_phrase_object."""
        return str(getattr(self, form))


class Conflict(NamedTuple):
    """Two contradicting terms; a `hard` conflict is certain, a soft one likely."""

    first: str
    second: str
    hard: bool


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Every term with its indexes, and the word lists that are not terms (raw, as in the file)."""

    terms: Mapping[str, Term]
    index: Mapping[str, Mapping[str, str]]
    anywhere: Mapping[str, str]
    by_tokens: Mapping[tuple[str, ...], str]
    token_sizes: Mapping[str, tuple[int, ...]]
    written: Mapping[str, str]
    written_sizes: Mapping[str, tuple[int, ...]]
    written_start: re.Pattern[str]
    conflicts: tuple[Conflict, ...]
    tolerance: Mapping[str, int]
    roles: Mapping[str, Any]
    avoid: Mapping[str, Any]
    avoid_index: Mapping[str, str]
    role_index: Mapping[str, str]
    lists: Mapping[str, Any]

    def term(self, category: str, word: str) -> Term | None:
        """The term a word means, sought first in its own category and then, when unmistakable, anywhere."""
        names, key = self.index[category], _key(word)
        found = names.get(key) or self.anywhere.get(key)
        if not found:
            found = next((names[short] for short in _keys(word, _suffixes(self.lists)) if short in names), None)
        return self.terms[found] if found else None

    def near(self, category: str, word: str) -> list[str]:
        """Up to three known words of a category that look like an unknown one."""
        return get_close_matches(_key(word), self.index[category], n=3, cutoff=0.6)

    def found(self, text: str) -> tuple[str, ...]:
        """Ids of the terms a text names outside quotes, longest match first, in the order of the text by language."""
        bare = without_quoted(text).casefold()
        return tuple(dict.fromkeys((*self._written_in(bare), *self._spoken_in(bare))))

    def _written_in(self, text: str) -> Iterator[str]:
        start = self.written_start.search(text) if han(text) else None
        while start:
            place = start.start()
            sizes = self.written_sizes[text[place]]
            match = next((n for n in sizes if text[place : place + n] in self.written), 0)
            if match:
                yield self.written[text[place : place + match]]
            start = self.written_start.search(text, place + (match or 1))

    def _spoken_in(self, text: str) -> Iterator[str]:
        for part in _BREAK.split(text):
            tokens = _tokens(part)
            place = 0
            while place < len(tokens):
                sizes = self.token_sizes.get(tokens[place], ())
                match = next((n for n in sizes if tokens[place : place + n] in self.by_tokens), 0)
                if match:
                    yield self.by_tokens[tokens[place : place + match]]
                place += match or 1


@cache
def lexicon() -> Lexicon:
    """The packaged lexicon, read at first use."""
    raw = read_json(folder("prompts") / "lexicon.json")
    terms = {entry["id"]: _term(entry) for entry in raw["terms"]}
    unscanned = {_key(word) for word in raw["unscanned"]}
    spelled = [(name, term.id) for term in terms.values() for name in term.names if _key(name) not in unscanned]
    by_tokens = {_tokens(name.casefold()): owner for name, owner in spelled if name.isascii()}
    written = {name.casefold(): owner for name, owner in spelled if not name.isascii()}
    return Lexicon(
        terms=terms,
        index=_index(terms.values(), _suffixes(raw)),
        anywhere=_unmistakable(terms.values()),
        by_tokens=by_tokens,
        token_sizes=_sizes(by_tokens),
        written=written,
        written_sizes=_sizes(written),
        written_start=re.compile(f"[{re.escape(''.join(sorted({name[0] for name in written})))}]"),
        conflicts=tuple(
            Conflict(first, second, entry["hard"]) for entry in raw["conflicts"] for first, second in [entry["ids"]]
        ),
        tolerance=raw["tolerance"],
        roles=raw["roles"],
        avoid=raw["avoid"],
        avoid_index=_aliases(raw["avoid"]),
        role_index=_aliases(raw["roles"]),
        lists={name: raw[name] for name in ("junk", "drawn", "suffixes")},
    )


def key_of(word: str) -> str:
    """A word as in the indexes: without case, hyphens and spacing."""
    return _key(word)


def _term(entry: Mapping[str, Any]) -> Term:
    clause = entry.get("zh_phrase", entry["zh"])
    short = entry["en"].partition(",")[0]
    spelled = [entry["en"], short, entry["zh"], clause, *entry.get("aliases_en", ()), *entry.get("aliases_zh", ())]
    return Term(
        id=entry["id"],
        en=entry["en"],
        zh=entry["zh"],
        zh_phrase=clause,
        en_object=entry.get("en_object", entry["en"]),
        zh_phrase_object=entry.get("zh_phrase_object", clause),
        plain={
            "en": entry.get("plain_en", short),
            "zh": entry.get("plain_zh", clause.partition("，")[0]),
            **{name: entry[name].partition(mark)[0] for name, mark in _OBJECTS.items() if name in entry},
        },
        names=tuple(dict.fromkeys(spelled)),
        bare=entry.get("zh_bare", False),
        group=entry.get("group"),
        rank=entry.get("rank"),
        look=entry.get("look"),
        leads=entry.get("lead", False),
    )


def _index(terms: Iterable[Term], suffixes: tuple[str, ...]) -> dict[str, dict[str, str]]:
    index: dict[str, dict[str, str]] = {}
    loose: list[tuple[dict[str, str], str, str]] = []
    for term in terms:
        names = index.setdefault(term.category, {})
        names[_key(term.id)] = names[_key(term.id.partition(".")[2])] = term.id
        for name in term.names:
            exact, *shorter = _keys(name, suffixes)
            names[exact] = term.id
            loose += [(names, key, term.id) for key in shorter]
    for names, key, owner in loose:
        names.setdefault(key, owner)
    return index


def _unmistakable(terms: Iterable[Term]) -> dict[str, str]:
    owners: dict[str, set[str]] = {}
    for term in terms:
        for name in (term.id, *term.names):
            owners.setdefault(_key(name), set()).add(term.id)
    return {key: ids.pop() for key, ids in owners.items() if len(ids) == 1}


def _aliases(entries: Mapping[str, Any]) -> dict[str, str]:
    return {
        _key(word): name
        for name, entry in entries.items()
        for word in (name, entry.get("zh", ""), entry.get("en", ""), *entry["aliases_en"], *entry["aliases_zh"])
        if word
    }


def _suffixes(raw: Mapping[str, Any]) -> tuple[str, ...]:
    return (*(f" {word}" for word in raw["suffixes"]["en"]), *raw["suffixes"]["zh"])


def _keys(word: str, suffixes: tuple[str, ...]) -> list[str]:
    """The spelled key first, then without a suffix such as " lighting" or 风格."""
    key = _key(word)
    return [key, *(key.removesuffix(end) for end in suffixes if key.endswith(end) and len(key) > len(end) + 1)]


def _key(word: str) -> str:
    return _GAPS.sub(" ", word.casefold()).strip()


def _tokens(text: str) -> tuple[str, ...]:
    return tuple(token.rstrip("'’./:") for token in _TOKEN.findall(_GAPS.sub(" ", text)))


def _sizes(names: Iterable[Sequence[str]]) -> dict[str, tuple[int, ...]]:
    """First character or word → lengths of the names that start with it, longest first."""
    sizes: dict[str, set[int]] = {}
    for name in names:
        sizes.setdefault(name[0], set()).add(len(name))
    return {first: tuple(sorted(found, reverse=True)) for first, found in sizes.items()}
