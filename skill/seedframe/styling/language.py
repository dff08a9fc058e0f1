"""How long a text is and which language it is in, decided by counting.

In: text. Out: counts, shares, the text with its quotations emptied. Never in here: a limit, a guess by meaning.
"""

from __future__ import annotations

import re

_HAN = r"\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HAN_CHAR = re.compile(f"[{_HAN}]")
_WORD = re.compile(rf"[^\W_{_HAN}]+(?:[-'’./:][^\W_{_HAN}]+)*")
_LETTER = re.compile(rf"[^\W\d_{_HAN}]")
_EDIT_MARK = re.compile(r"<(point|bbox)>[\d\s.,-]*(?:</\1>)?", re.IGNORECASE)
_QUOTED = re.compile(r"“([^“”]*)”|\"([^\"\n]*)\"|「([^「」]*)」|『([^『』]*)』")


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
    """What stands in double or corner quotes, in order."""
    return tuple(next(part for part in match.groups() if part is not None) for match in _QUOTED.finditer(text))


def hollow(text: str) -> str:
    """The text with every quotation emptied but its marks kept, so rules about wording do not read quoted words."""
    return _QUOTED.sub(lambda match: match[0][0] + match[0][-1], text)


def han_share(text: str) -> float:
    """Share of Han outside quotes and edit marks, a word counting as one character; 1.0 for a text without letters."""
    bare = _EDIT_MARK.sub(" ", hollow(text))
    count = han(bare)
    other = words(bare) if has_letters(bare) else 0
    return count / (count + other) if count + other else 1.0
