"""The place of the scene as a phrase that opens or closes the lead sentence: 旧沙发上, in a pottery studio.

In: the words of a setting and the sheet's rules. Out: the phrase and what is left of the words. Never in here: who is
there, the order of a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def placed(text: str, rule: Mapping[str, Any]) -> tuple[str, str] | None:
    """The place and the rest of a setting; None when its first clause is not a place one can be in, on or before."""
    first, _, rest = text.partition(rule["comma"])
    if re.search(rule["never"], first, re.IGNORECASE):
        return None
    phrase = _phrase(re.sub(rule["strip"], "", first), rule, stripped=bool(re.match(rule["strip"], first)))
    return (phrase, rest.strip()) if phrase else None


def _phrase(place: str, rule: Mapping[str, Any], *, stripped: bool) -> str | None:
    if re.search(rule["complete"], place, re.IGNORECASE):
        return place
    head = re.split(rule["tail"], place, maxsplit=1)[0]
    for pattern, form in rule["heads"]:
        if re.search(pattern, head, re.IGNORECASE):
            return str(form).format(place=_articled(place, head, rule))
    return place if stripped else None


def _articled(place: str, head: str, rule: Mapping[str, Any]) -> str:
    """The place with a or an, where its language has articles and it names one thing without."""
    if "article" not in rule or re.match(rule["article"], place, re.IGNORECASE) or re.search(rule["plural"], head):
        return place
    if place[0].isupper() and head.rsplit(maxsplit=1)[-1][0].isupper():
        return place
    return ("an " if place[0].casefold() in "aeiou" else "a ") + place
