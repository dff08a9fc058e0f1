"""What a text says about its picture: the images it names, whether it asks for a set, a keyframe or a drawn look.

In: text. Out: facts found by patterns and word lists. Never in here: whether that is right or wrong.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import product
from typing import Literal

from seedframe.prompting.lexicon import lexicon
from seedframe.prompting.lint_data import pattern

LANGUAGES: tuple[Literal["zh", "en"], ...] = ("zh", "en")
_HAN_DIGITS = {sign: value for value, sign in enumerate("一二三四五六七八九", 1)} | {"两": 2, "十": 10}
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()  # noqa: SIM905
)
_ORDINALS = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth".split()  # noqa: SIM905
_FIGURE = re.compile(rf"\d+|[一二三四五六七八九十]|{'|'.join(_ORDINALS[1:])}", re.IGNORECASE)


def says(rule: str, text: str) -> list[str]:
    """Everything in the text that a rule's pattern matches, in either language."""
    return [match[0].strip() for language in _languages(text) for match in pattern(rule, language).finditer(text)]


def images(text: str, *, given: bool = False) -> tuple[int, ...]:
    """Numbers of the input images a text addresses (图1, 图一, Image 1, images 1 to 3), sorted.

    Where images are `given`, 第三张图, "the third image" and "Figure 3" are taken for input images too: without any
    they may be parts of the picture.
    """
    found: set[int] = set()
    rules = ("image", "image_given") if given else ("image",)
    for rule, language in product(rules, _languages(text)):
        for match in pattern(rule, language).finditer(text):
            mention = next(part for part in match.groups() if part)
            numbers = [_number(part.casefold()) or 0 for part in _FIGURE.findall(mention)]
            span = re.search(r"-|to|至|到", mention) and len(numbers) == 2
            found.update(range(numbers[0], numbers[1] + 1) if span else numbers)
    return tuple(sorted(found))


def set_asked(text: str) -> int | None:
    """How many pictures a text asks for as one set; None when it asks for none or one."""
    for language in _languages(text):
        for match in pattern("set_asked", language).finditer(text):
            count = _number(next((part for part in match.groups() if part), ""))
            if count and count > 1:
                return count
    return None


def asks_set(text: str) -> bool:
    """Whether a text asks for several pictures: by a word for a set, or by a number of pictures."""
    return bool(says("trigger", text)) or set_asked(text) is not None


def keyframe(text: str) -> bool:
    """Whether a text calls its picture a frame of a video."""
    return bool(says("keyframe", text))


def _languages(text: str) -> tuple[Literal["zh", "en"], ...]:
    """The languages whose patterns can match; a purely Latin text has no Chinese."""
    return ("en",) if text.isascii() else LANGUAGES


def drawn(text: str) -> bool:
    """Whether a text asks for a drawn or rendered look, by word lists."""
    return bool(_english("drawn").search(text)) or any(word in text for word in lexicon().lists["drawn"]["zh"])


def junk(text: str) -> list[str]:
    """Quality words without visual meaning that a text holds."""
    return [match[0] for match in _english("junk").finditer(text)] + [
        word for word in lexicon().lists["junk"]["zh"] if word in text
    ]


@cache
def _english(name: str, kind: str = "") -> re.Pattern[str]:
    words = sorted(lexicon().lists[name][f"en{kind}"], key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, words))})(?![\w-])", re.IGNORECASE)


def _number(figure: str) -> int | None:
    if figure.isdigit():
        return int(figure)
    if figure in _ORDINALS:
        return _ORDINALS.index(figure)
    if figure in _NUMBER_WORDS:
        return _NUMBER_WORDS.index(figure)
    if figure.startswith("十") and len(figure) > 1:
        return 10 + _HAN_DIGITS.get(figure[1], 0)
    return _HAN_DIGITS.get(figure)
