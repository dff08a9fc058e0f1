"""A part of a prompt with what joining needs to know about it.

In: nothing. Out: `Phrase`. Never in here: joining.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrase:
    """A part of a prompt.

    `own` are the caller's words, never dropped as a repetition; `opening` precedes it at the start of a sentence;
    `said` are words that make it redundant when they are elsewhere; `bind` joins it to the part before.
    """

    slot: str
    text: str
    own: bool = False
    opening: str = ""
    said: tuple[str, ...] = ()
    bind: str | None = None
