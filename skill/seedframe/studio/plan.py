"""Stages 2 and 3: a checked request becomes everything that will be sent.

In: an `ImageRequest`, its styled prompt, references. Out: `CallPlan`, a frozen value with its fingerprint.
Never in here: a file, a network, money.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from seedframe.geometry import ratio_text
from seedframe.messages import Message
from seedframe.payments import PaidFrame, fingerprint
from seedframe.prompting import StyledPrompt, check_style
from seedframe.prompting.prompt_input import prompt_input
from seedframe.prompting.prompt_input import style_prompt_of as worded_input
from seedframe.redaction import redact
from seedframe.service.body import described
from seedframe.service.dialects import Call, dialect_named
from seedframe.service.dialects.base import patience
from seedframe.service.references import Reference
from seedframe.service.request import ImageRequest
from seedframe.settings import Settings
from seedframe.studio.scratch import Scratch


@dataclass(frozen=True, slots=True)
class CallPlan:
    """Stages 1 to 3 are done: everything is known and nothing has been sent."""

    request: ImageRequest
    styled: StyledPrompt
    references: tuple[Reference, ...]
    calls: tuple[Call, ...]
    warnings: tuple[Message, ...]
    scratch: Scratch
    key: str | None = None
    frame: PaidFrame | None = None
    emulated: bool = False

    @property
    def fingerprint(self) -> str:
        """The identity of a request: all that is sent and its framing; or its `key`, or the `frame` that is made.

        Different ids of one model, blanks around the prompt and the timeout make no difference; an emulator does.
        """
        if self.frame is not None:
            return self.frame.fingerprint
        if self.key is not None:
            return fingerprint({"key": self.key})
        wanted = self.request.frame
        body = {**self.calls[0].body, "image": [reference.sha256 for reference in self.references]}
        body = {name: value.strip() if isinstance(value, str) else value for name, value in body.items()}
        body["model"] = self.request.offer.canonical_id
        body.pop("timeout_seconds", None)
        frame = {
            "ratio": wanted.ratio and ratio_text(wanted.ratio),
            "frame": wanted.frame and str(wanted.frame),
        }
        anchor = [wanted.anchor.x, wanted.anchor.y]
        who = {"backend": self.request.offer.backend.name, "calls": len(self.calls), "path": self.calls[0].path}
        if self.emulated:
            who["emulated"] = True
        return fingerprint({**who, **frame, "anchor": anchor, "body": body})

    def shown(self, secrets: tuple[str, ...]) -> dict[str, Any]:
        """The body that is sent, safe to show and to store: pictures described, addresses and keys removed."""
        shown: dict[str, Any] = redact(described(self.calls[0].body), secrets)
        return shown


def style_request(request: ImageRequest) -> StyledPrompt:
    """Stage 2. PromptRejected for a prompt that would waste the payment, InvalidRequest for a malformed brief."""
    styled = style_prompt_of(request)
    if request.verbatim:
        return replace(styled, prompt=request.prompt or "", negative=request.negative_prompt)
    check_prompt(styled, request)
    return styled


def style_prompt_of(request: ImageRequest) -> StyledPrompt:
    """The prompt to send and all findings about it; errors among them are not raised."""
    ratio = request.frame.ratio
    given = prompt_input(
        request.offer,
        prompt=request.prompt,
        brief=request.brief,
        negative=request.negative_prompt,
        images=len(request.images),
        group=request.group,
        ratio=ratio_text(ratio) if ratio is not None else None,
        frame=request.frame.frame is not None,
        edit=request.tool == "edit_image",
        as_is=request.as_is,
        layers=request.layers,
        strict=request.strict,
    )
    return worded_input(given, request.offer)


def check_prompt(styled: StyledPrompt, request: ImageRequest) -> None:
    """PromptRejected where the findings include errors and the request does not force it."""
    check_style(styled, force=request.force)


def build_calls(
    request: ImageRequest, styled: StyledPrompt, references: tuple[Reference, ...], settings: Settings
) -> tuple[Call, ...]:
    """Stage 3: the POSTs of the request, in its backend's dialect."""
    dialect = dialect_named(request.offer.backend.dialect)
    return tuple(
        dialect.build(
            request,
            prompt=styled.prompt,
            negative=styled.negative,
            images=[reference.value for reference in references],
            outputs=outputs,
            response_format=settings.response_format or request.offer.response_format,
            seconds=patience(settings.timeout, request.weight(outputs)),
        )
        for outputs in dialect.calls(request)
    )
