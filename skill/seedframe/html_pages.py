"""Self-contained HTML pages: templates, their style and script, and a policy that blocks everything else.

In: a folder of the package that holds templates, styles and scripts; the words of one message file. Out: an
autoescaping Jinja environment, texts of assets, a Content-Security-Policy. Never in here: what a page shows.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from seedframe.messages import LANGUAGES, Language, Message, sentences

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

LIVE = "live-"
"""The prefix of sentences that the script shows; the others are in the template."""


@cache
def environment(folder: str, words: Callable[..., Message]) -> Environment:
    """Templates of `folder` ("storyboard/sheet"). Every value is escaped; a name that is missing is an error.

    `say('key')` puts the sentence `words('key')` into the page in both languages, of which one shows.
    `words_of('key', language)` is one of them, for an attribute. `bilingual(text)` does the same with a text of a user.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("seedframe", folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def say(key: str, **values: Any) -> Markup:
        message = words(key, **values)
        return _in_both({language: message.text(language) for language in LANGUAGES})

    def words_of(key: str, language: Language) -> str:
        return words(key).text(language)

    made.globals.update(say=say, words_of=words_of, bilingual=bilingual)
    return made


def bilingual(text: Mapping[str, str] | str | None) -> Markup | str:
    """A user's text, in both languages where it has both."""
    if text is None or isinstance(text, str):
        return text or ""
    return _in_both(text)


def _in_both(text: Mapping[str, str]) -> Markup:
    from markupsafe import Markup

    if len(text) == 1:
        ((language, words),) = text.items()
        return Markup('<span lang="{}">{}</span>').format(language, words)
    spans = (
        Markup('<span class="{0}" lang="{0}">{1}</span>').format(language, text[language])
        for language in LANGUAGES
        if language in text
    )
    return Markup("").join(spans)


@cache
def asset(folder: str, names: Sequence[str]) -> str:
    """Files of a folder as one text, in the order of `names` (a tuple)."""
    place = files("seedframe").joinpath(*folder.split("/"))
    return "".join(place.joinpath(name).read_text(encoding="utf-8") for name in names)


def as_script(source: str) -> str:
    """Sources as one strict script without global names."""
    return f'"use strict";\n(() => {{\n{source}}})();\n'


def live_words(words: str) -> dict[str, dict[str, str]]:
    """The sentences of the script, by language and key without `live-`."""
    prefix = f"{words}.{LIVE}"
    return {
        language: {
            key.removeprefix(prefix): text for key, text in sentences(language).items() if key.startswith(prefix)
        }
        for language in LANGUAGES
    }


def content_policy(style: str, script: str, *more: str, images: str = "data:") -> str:
    """Only `images` load, and only this style and script run: injected markup has no effect."""
    rules = (
        "default-src 'none'",
        f"img-src {images}",
        f"style-src '{_digest(style)}'",
        f"script-src '{_digest(script)}'",
        *more,
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(rules)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
