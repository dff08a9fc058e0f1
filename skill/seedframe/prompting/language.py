"""The length and the language of a text, by counting.

In: text. Out: counts, shares, a language's code, the text with its quotations emptied. Never in here: a limit on
prompts, a guess by meaning. How languages are told apart is data: prompts/languages.json.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from seedframe.package_data import folder, read_json

_HAN = r"\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN_CHAR = re.compile(f"[{_HAN}]")
_WORD = re.compile(rf"[^\W_{_HAN}]+(?:[-'’./:][^\W_{_HAN}]+)*")
_PLAIN = re.compile(r"(?<![A-Za-z\d_])[a-z\u00e0-\u024f][a-zA-Z\u00c0-\u024f'’-]*(?![\d_])")
_LETTER = re.compile(rf"[^\W\d_{_HAN}]")
_EDIT_MARK = re.compile(r"<(point|bbox)>[\d\s.,-]*(?:</\1>)?", re.IGNORECASE)
_QUOTED = re.compile(r"“([^“”]*)”|\"([^\"\n]*)\"|「([^「」]*)」|『([^『』]*)』")
_ANY_QUOTES = re.compile(
    r"“[^“”]+”|\"[^\"]+\"|「[^「」]+」|『[^『』]+』|‘[^‘’]+’|《[^《》]+》|【[^【】]+】|(?<!\w)'[^'\n]+'(?!\w)|``?[^`']+''?"
)
_LETTERS_A_WORD = 5


@lru_cache(1024)  # many rules ask it of the same texts
def han(text: str) -> int:
    """Number of Han characters, extensions and compatibility forms included."""
    return len(_HAN_CHAR.findall(text))


def words(text: str) -> int:
    """Number of words outside Han; "f/1.4", "close-up" and "16:9" are one each."""
    return len(_WORD.findall(text))


def has_letters(text: str) -> bool:
    """Whether the text has letters other than Han."""
    return _LETTER.search(text) is not None


def quoted(text: str) -> tuple[str, ...]:
    """The texts in double or corner quotes, in order."""
    return tuple(next(part for part in match.groups() if part is not None) for match in _QUOTED.finditer(text))


def quotation(text: str) -> bool:
    """Whether anything is in quotes of any kind, titles (《》) included."""
    return _ANY_QUOTES.search(text) is not None


def without_quoted(text: str) -> str:
    """The text with every quotation emptied and its marks kept, so that rules about wording skip quoted words."""
    return _QUOTED.sub(lambda match: match[0][0] + match[0][-1], text)


def text_language(text: str) -> str | None:
    """The language a text is written in outside its quotations: zh, en, ja, ko, es …; None without a letter.

    Names (Nike, MacBook Pro M3) and terms with figures (85mm) do not count against Chinese around them. Latin keywords
    that no list of small words knows are taken for English.
    """
    bare = _bare(text)
    if not han(bare) and not has_letters(bare):
        return None
    counts = {"zh": float(han(bare)), "latin": float(_plain_words(bare))}
    kana = len(_letters("kana").findall(bare))
    if kana > 1 and kana >= _data()["least"]["kana_share"] * (kana + counts["zh"]):
        counts["ja"], counts["zh"] = kana + counts["zh"], 0.0
    for code in _data()["scripts"]:
        counts[code] = len(_letters(code).findall(bare)) / _LETTERS_A_WORD
    best = max(counts, key=lambda code: counts[code])
    return best if counts[best] and best != "latin" else _latin(bare)


def mixed(text: str) -> bool:
    """Whether Chinese stands beside another language outside quotations and marks, beyond single words."""
    least = _data()["least"]["mixed"]
    bare = _bare(text)
    count, other = han(bare), _plain_words(bare)
    return count > 1 and other > 1 and least <= count / (count + other) <= 1 - least


def _bare(text: str) -> str:
    return _EDIT_MARK.sub(" ", without_quoted(text))


def _plain_words(text: str) -> int:
    """Latin words that are neither names nor terms with figures."""
    return len(_PLAIN.findall(text))


def _latin(text: str) -> str:
    """The language of a text in Latin letters, by its small words."""
    least = _data()["least"]
    tokens = Counter(word.casefold() for word in _WORD.findall(text))
    hits = {code: sum(tokens[word] for word in known if word in tokens) for code, known in _small_words().items()}
    best = max((code for code in hits if code != "en"), key=lambda code: hits[code])
    enough = hits[best] >= max(least["small_words"], least["share"] * tokens.total())
    return best if enough and hits[best] >= least["over_english"] * hits["en"] else "en"


@cache
def _data() -> Mapping[str, Any]:
    data: Mapping[str, Any] = read_json(folder("prompts") / "languages.json")
    return data


@cache
def _letters(name: str) -> re.Pattern[str]:
    return re.compile(f"[{_data()['kana'] if name == 'kana' else _data()['scripts'][name]}]")


@cache
def _small_words() -> Mapping[str, frozenset[str]]:
    return {code: frozenset(line.split()) for code, line in _data()["small_words"].items()}
