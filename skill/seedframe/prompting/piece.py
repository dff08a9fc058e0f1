"""A stretch of prompt with what joining needs to know about it.

In: nothing. Out: `Piece`. Never in here: joining.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrase:
    """A stretch of prompt.

    `own` are the caller's words, never taken for a repetition; `opening` leads it when it opens a sentence; `said` are
    words that make it superfluous when they stand elsewhere; `bind` glues it to the one before.
    """

    slot: str
    text: str
    own: bool = False
    opening: str = ""
    said: tuple[str, ...] = ()
    bind: str | None = None
