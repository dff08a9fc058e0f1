"""The language of texts, and the fixed words that continuity adds (data: `wording.json`).

In: a text as written. Out: `{"zh": …}` / `{"en": …}`; fixed wordings filled with names.
Never in here: which words a shot needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from seedframe.package_data import data_json
from seedframe.storyboard.types import Text

HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
LANGUAGES = ("zh", "en")


@cache
def wording() -> Mapping[str, Any]:
    """The fixed words."""
    content: Mapping[str, Any] = data_json("storyboard/wording.json")
    return content


def text_of(value: str | Text) -> dict[str, str]:
    """A text in its canonical shape: a plain string is filed under the language it is written in."""
    if isinstance(value, str):
        return {"zh" if HAN.search(value) else "en": value}
    return dict(value)


def filled(pattern: Text, **texts: Text) -> dict[str, str]:
    """A fixed wording in each language that every one of its texts has."""
    languages = [lang for lang in LANGUAGES if all(lang in text for text in texts.values())]
    return {lang: pattern[lang].format(**{name: text[lang] for name, text in texts.items()}) for lang in languages}


def joined(texts: Iterable[Text], between: Text) -> dict[str, str] | None:
    """Texts in a row, in each language that all of them have; None when there is none."""
    listed = list(texts)
    languages = [lang for lang in LANGUAGES if listed and all(lang in text for text in listed)]
    return {lang: between[lang].join(text[lang] for text in listed) for lang in languages} or None
