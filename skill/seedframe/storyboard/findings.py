"""A finding: something worth saying about a board or a manifest that does not stop it by itself.

In: a code, a severity, a message, the shot or frame meant. Out: the same as JSON in both languages.
Never in here: deciding whether a finding blocks a payment (`actions` does).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from seedframe.messages import LANGUAGES, Message

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class BoardFinding:
    """`shot` is a shot id, `frame` a frame key; both None: the whole board."""

    code: str
    severity: Severity
    message: Message
    shot: str | None = None
    frame: str | None = None

    def as_json(self) -> dict[str, Any]:
        """`{code, severity, message: {en, zh}, shot?, frame?}`."""
        texts = {language: self.message.text(language) for language in LANGUAGES}
        where = {"shot": self.shot, "frame": self.frame}
        return {
            "code": self.code,
            "severity": self.severity,
            "message": texts,
            **{k: v for k, v in where.items() if v},
        }
