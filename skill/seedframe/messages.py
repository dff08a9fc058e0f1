"""Every text for people and agents, as a key and values, rendered in English or Chinese.

In: a key (`<file>.<entry>`) and the values its sentence needs. Out: the sentence in the language asked for.
The sentences are data: `data/messages/<language>/<file>.json`.
Never in here: a decision, a default language, a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


class Message:
    """A sentence without a language yet. Frozen and comparable; `str()` is English.

    A value that is itself a `Message` (or a list of them) is rendered in the same language.
    """

    __slots__ = ("key", "values")
    key: str
    values: Mapping[str, Any]

    def __init__(self, key: str, /, **values: Any) -> None:
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "values", MappingProxyType(values))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Message is frozen: cannot set {name!r}")

    def text(self, language: Language = "en") -> str:
        """The sentence; KeyError when the key or one of its values is missing (a defect, found by the tests)."""
        words = {name: _in_language(value, language) for name, value in self.values.items()}
        return sentences(language)[self.key].format(**words)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Message({self.key!r}, {', '.join(f'{name}={value!r}' for name, value in self.values.items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and (self.key, dict(self.values)) == (other.key, dict(other.values))

    def __hash__(self) -> int:
        return hash((self.key, tuple(sorted((name, repr(value)) for name, value in self.values.items()))))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.key, dict(self.values))


def _rebuild(key: str, values: dict[str, Any]) -> Message:
    return Message(key, **values)


def _in_language(value: Any, language: Language) -> Any:
    if isinstance(value, Message):
        return value.text(language)
    if isinstance(value, (list, tuple)):
        return (", " if language == "en" else "、").join(str(_in_language(item, language)) for item in value)
    return value


@cache
def sentences(language: Language) -> Mapping[str, str]:
    """Every sentence of a language by its full key."""
    return MappingProxyType(dict(_read(language)))


def _read(language: Language) -> Iterator[tuple[str, str]]:
    folder = files("seedframe") / "data" / "messages" / language
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".json"):
            group = entry.name.removesuffix(".json")
            for name, sentence in json.loads(entry.read_text(encoding="utf-8")).items():
                yield f"{group}.{name}", sentence
