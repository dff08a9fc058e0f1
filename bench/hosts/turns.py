"""What a host asks a model and what the model answers, whichever provider's API carries it.

In: nothing. Out: frozen values. Never in here: a provider's spelling of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

TOOL = "generate_image"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a host: the tools it offers, and the text and pictures that are newer than the model's last turn.

    `tools`: every name as the host spells it. `images`: the bytes of each picture.
    """

    tools: tuple[str, ...]
    text: str
    images: tuple[bytes, ...] = ()

    @property
    def has_tool(self) -> bool:
        """Whether our tool is among them."""
        return any(name.endswith(TOOL) for name in self.tools)


@dataclass(frozen=True, slots=True)
class CallTool:
    """The model's turn: call our tool with these arguments."""

    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Say:
    """The model's turn: words, which end the run of a host."""

    text: str


Turn = CallTool | Say
Script = Callable[[Asked], Turn]
"""What the model answers to a request."""
