"""Stage 2: the caller's text or brief becomes the prompt that its model understands best. No language model is called.

In: a `PromptInput` (free text, a brief, or both). Out: a `StyledPrompt` (prompt, negative, findings, host tasks).
Never in here: I/O beyond the packaged data, money, a request.
"""

from __future__ import annotations

from seedframe.prompting.brief_schema import brief_schema, checked_brief_schema
from seedframe.prompting.face_trust import face_trust
from seedframe.prompting.language import quotation, text_language
from seedframe.prompting.lint_data import worth_rewriting
from seedframe.prompting.style_sheet import names as sheets
from seedframe.prompting.styler import check_style, style
from seedframe.prompting.types import Counts, HostTask, PromptFinding, PromptInput, StyledPrompt
from seedframe.prompting.writing_rules import writing_rules

__all__ = [
    "Counts",
    "HostTask",
    "PromptFinding",
    "PromptInput",
    "StyledPrompt",
    "brief_schema",
    "check_style",
    "checked_brief_schema",
    "face_trust",
    "quotation",
    "sheets",
    "style",
    "text_language",
    "worth_rewriting",
    "writing_rules",
]
