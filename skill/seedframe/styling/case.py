"""A prompt under inspection, with everything the rules look at.

In: the wish, its sheet, the prompt made from it. Out: a `Case`. Never in here: a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seedframe.styling.language import mixed
from seedframe.styling.lexicon import Lexicon, Term
from seedframe.styling.notes import limits
from seedframe.styling.scene import Scene
from seedframe.styling.sheet import Sheet
from seedframe.styling.values import Counts, Finding, Wish


@dataclass(frozen=True, slots=True)
class Case:
    """`bare` is the prompt with quotations emptied; `picked` are the brief's terms, `terms` those of free words too.

    `spoken` is the prompt's language (None without letters), `keyframe` whether the picture is one frame of a video.
    """

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
    spoken: str | None
    keyframe: bool

    @property
    def foreign(self) -> bool:
        """Whether the prompt is in another language than the model reads best, or partly so."""
        if self.spoken is None:
            return False
        return self.spoken != self.sheet.language or (self.sheet.language == "en" and mixed(self.prompt))

    def concerns(self, code: str) -> bool:
        """Whether a code that belongs to one language concerns this sheet."""
        return limits(code).get("language") in (None, self.sheet.language)


Rule = Callable[[Case], Iterator[Finding]]
