"""A prompt under inspection, with everything the rules look at.

In: a `PromptInput`, its sheet, the prompt made from it. Out: a `LintContext`. Never in here: a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from seedframe.prompting.language import mixed
from seedframe.prompting.lexicon import Lexicon, Term
from seedframe.prompting.lint_data import limits
from seedframe.prompting.scene import SceneContent
from seedframe.prompting.style_sheet import Sheet
from seedframe.prompting.types import Counts, PromptFinding, PromptInput


@dataclass(frozen=True, slots=True)
class LintContext:
    """`bare` is the prompt with quotations emptied; `picked` are the brief's terms, `terms` those of free words too.

    `text_language` is that of the prompt (None without letters), `keyframe` whether the picture is a frame of a video.
    """

    prompt_input: PromptInput
    sheet: Sheet
    lexicon: Lexicon
    prompt: str
    bare: str
    counts: Counts
    scene: SceneContent
    picked: tuple[Term, ...]
    terms: tuple[Term, ...]
    has_content: bool
    set_size: int | None
    text_language: str | None
    keyframe: bool

    @property
    def foreign(self) -> bool:
        """Whether the prompt is in another language than the model reads best, or partly so."""
        if self.text_language is None:
            return False
        return self.text_language != self.sheet.language or (self.sheet.language == "en" and mixed(self.prompt))

    def concerns(self, code: str) -> bool:
        """Whether a code that belongs to one language concerns this sheet."""
        return limits(code).get("language") in (None, self.sheet.language)


Rule = Callable[[LintContext], Iterator[PromptFinding]]
