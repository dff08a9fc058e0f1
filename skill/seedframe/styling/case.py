"""A prompt under inspection, with everything the rules look at.

In: the wish, its sheet, the prompt made from it. Out: a `Case`. Never in here: a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seedframe.styling.lexicon import Lexicon, Term
from seedframe.styling.notes import limits
from seedframe.styling.scene import Scene
from seedframe.styling.sheet import Sheet
from seedframe.styling.values import Counts, Finding, Wish


@dataclass(frozen=True, slots=True)
class Case:
    """`bare` is the prompt with quotations emptied; `picked` are the brief's terms, `terms` those of free words too."""

    wish: Wish
    sheet: Sheet
    lexicon: Lexicon
    prompt: str
    bare: str
    counts: Counts
    scene: Scene
    picked: tuple[Term, ...]
    terms: tuple[Term, ...]
    told: bool
    set_size: int | None

    def concerns(self, code: str) -> bool:
        """Whether a code that belongs to one language concerns this sheet."""
        return limits(code).get("language") in (None, self.sheet.language)


Rule = Callable[[Case], Iterator[Finding]]
