"""Room 2: what the caller wants said becomes the prompt its model understands best. No model is ever called.

In: a `Wish` (free text, a brief, or both). Out: a `Styled` (prompt, negative, findings, tasks for the host).
Never in here: I/O beyond the packaged data, money, a request.
"""

from __future__ import annotations

from seedframe.styling.language import quotation, spoken
from seedframe.styling.notes import worth_rewriting
from seedframe.styling.schema import brief_schema, checked_brief_schema
from seedframe.styling.sheet import names as sheets
from seedframe.styling.stylist import check_style, style
from seedframe.styling.trust import face_trust
from seedframe.styling.values import Counts, Finding, HostTask, Styled, Wish
from seedframe.styling.writing_rules import writing_rules

__all__ = [
    "Counts",
    "Finding",
    "HostTask",
    "Styled",
    "Wish",
    "brief_schema",
    "check_style",
    "checked_brief_schema",
    "face_trust",
    "quotation",
    "sheets",
    "spoken",
    "style",
    "worth_rewriting",
    "writing_rules",
]
