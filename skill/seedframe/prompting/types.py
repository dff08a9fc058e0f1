"""The input and output of the styler, as frozen values.

In: nothing. Out: `PromptInput`, `StyledPrompt` (what to send and all findings), and the parts of `StyledPrompt`.
Never in here: a rule, a word of a prompt, a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seedframe.messages import Language, Message

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class PromptInput:
    """What the caller gave, and what is known about the call it is for.

    `sheet` names a file in prompts/styles; `model` is a short name, used only to word messages. `prompt` and `brief`
    may come alone or together; only where `words_needed` is False may both be missing (a picture split into layers).
    `group` is the number of pictures wanted as one related set, None for a single one. `strict` turns advice into
    errors. `most_marks` is the largest coordinate of an edit mark, None for a model that knows
    no marks; `mark_takers` names the models that do. `most_characters` is the longest prompt that can be sent.
    """

    sheet: str
    model: str
    prompt: str | None = None
    brief: Mapping[str, Any] | None = None
    negative: str | None = None
    references: int = 0
    max_references: int = 14
    group: int | None = None
    ratio: str | None = None
    edit: bool = False
    negative_supported: bool = False
    as_is: bool = False
    keyframe: bool = False
    groups_supported: bool = True
    words_needed: bool = True
    strict: bool = False
    most_characters: int | None = None
    most_marks: int | None = None
    mark_takers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptFinding:
    """One finding: a stable code, its severity, what it is and how to mend it."""

    code: str
    severity: Severity
    message: Message
    mend: Message | None = None

    def as_dict(self, language: Language = "en") -> dict[str, Any]:
        """`{code, severity, message, mend}` in one language; `mend` is None when there is nothing to mend."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message.text(language),
            "mend": self.mend.text(language) if self.mend else None,
        }


@dataclass(frozen=True, slots=True)
class HostTask:
    """Words only the calling agent can write: which field, in which language, from which text."""

    field: str
    want: Literal["zh", "en"]
    text: str
    message: Message

    def as_dict(self, language: Language = "en") -> dict[str, Any]:
        """`{field, want, text, message}` in one language."""
        return {"field": self.field, "want": self.want, "text": self.text, "message": self.message.text(language)}


@dataclass(frozen=True, slots=True)
class Counts:
    """Length of a prompt: Han characters, other words, and their share of the budget (1.0 is full)."""

    han: int
    words: int
    budget: float


@dataclass(frozen=True, slots=True)
class StyledPrompt:
    """The prompt to send and all findings about it.

    `dropped` are the brief's fields left out for length, in the order they went. `people` says that a person is in the
    picture, `realistic` that nothing asks for a drawn or rendered look, `keyframe` that it is one frame of a video.
    """

    prompt: str
    negative: str | None
    findings: tuple[PromptFinding, ...]
    needs_host: tuple[HostTask, ...]
    counts: Counts
    dropped: tuple[str, ...]
    people: bool
    realistic: bool
    keyframe: bool = False

    @property
    def errors(self) -> tuple[PromptFinding, ...]:
        """The findings that stop a payment."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def as_dict(self, language: Language = "en") -> dict[str, Any]:
        """Everything, JSON-ready, in one language."""
        return {
            "prompt": self.prompt,
            "negative": self.negative,
            "findings": [finding.as_dict(language) for finding in self.findings],
            "needs_host": [task.as_dict(language) for task in self.needs_host],
            "counts": {"han": self.counts.han, "words": self.counts.words, "budget": self.counts.budget},
            "dropped": list(self.dropped),
            "people": self.people,
            "realistic": self.realistic,
        }
