"""Turns shot numbers as people write them into E01_SC01_SH010.

In: "3", "3A", "1-3", "SC02_SH030", "镜头5", nothing; the number of the scene it stands in. Out: the canonical id.
Never in here: whether an id is taken.
"""

from __future__ import annotations

import re

from seedframe.messages import Message
from seedframe.storyboard.formats.cells import Unreadable

FULL_DIGITS = 3
CANONICAL = re.compile(r"E\d{2,4}_SC\d{2,4}_SH\d{3,6}")
WRITTEN = re.compile(
    r"(?:(?:e|ep|第)?\s*(?P<episode>\d+)\s*集?[_\s.\-–]*(?=s|第|\d+[_\s.\-–]+\D*\d))?"
    r"(?:(?:sc|s|场|第)?\s*(?P<scene>\d+)\s*场?[_\s.\-–]+)?"
    r"(?:shot|sh|s|镜头|分镜|镜|第|#)?\s*(?P<shot>\d+)\s*(?P<insert>[a-z])?\s*镜?",
    re.IGNORECASE,
)


def shot_id(written: str, *, scene: int, order: int) -> str:
    """The canonical id; `scene` and `order` (both from 1) fill in what is not written. Unreadable for other text.

    Numbers are counted in tens, so that one fits between: "3" is SH030, "3A" SH031; three digits stay: "030" is SH030.
    """
    written = written.strip()
    if not written:
        return _id(1, scene, order * 10)
    if CANONICAL.fullmatch(written.upper()):
        return written.upper()
    match = WRITTEN.fullmatch(written)
    if match is None:
        raise Unreadable(Message("storyboard.not-shot-id", got=written), "E01_SC01_SH010, 1-3, 3, 3A")
    digits = match["shot"]
    number = int(digits) if len(digits) >= FULL_DIGITS else int(digits) * 10
    number += ord(match["insert"].lower()) - ord("a") + 1 if match["insert"] else 0
    return _id(int(match["episode"] or 1), int(match["scene"] or scene), number)


def _id(episode: int, scene: int, shot: int) -> str:
    return f"E{episode:02}_SC{scene:02}_SH{shot:03}"
