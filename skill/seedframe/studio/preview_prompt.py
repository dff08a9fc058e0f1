"""Stages 1 and 2 without a request: how a prompt would be worded and what size would be asked for.

In: the arguments of `style_prompt` or `seedframe style`. Out: a `PromptPreview`. Free of charge, no network, no disk.
Never in here: a payment, a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seedframe.catalog import Catalog
from seedframe.errors import InvalidRequest
from seedframe.geometry import exact_size, parse_ratio
from seedframe.messages import Language, Message
from seedframe.prompting import StyledPrompt, worth_rewriting, writing_rules
from seedframe.prompting.prompt_input import prompt_input, style_prompt_of
from seedframe.service.request import coerced
from seedframe.settings import Settings

MOST_PICTURES = 99
"""Pictures in or out; the limit of a model is a finding."""


@dataclass(frozen=True, slots=True)
class PromptPreview:
    """The prompt that `generate_image` would send, what was noticed about it, and the size it would ask for."""

    model: str
    style: str
    styled: StyledPrompt
    size: str

    @property
    def usable(self) -> bool:
        """Whether `generate_image` would send the prompt."""
        return not self.styled.errors

    @property
    def rewrite(self) -> dict[str, Any]:
        """The codes of findings that a rewriting would mend, with the rules for writing; or nothing."""
        codes = worth_rewriting(self.styled.findings)
        return {"because": list(codes), "rules": writing_rules(self.style)} if codes else {}

    def as_dict(self, language: Language) -> dict[str, Any]:
        """Prompt, negative, findings, counts, dropped, needs_host, size, usable; `rewrite` where it would help."""
        rewrite = self.rewrite
        return {
            "model": self.model,
            "style": self.style,
            **self.styled.as_dict(language),
            "size": self.size,
            "usable": self.usable,
            **({"rewrite": rewrite} if rewrite else {}),
        }


def preview_prompt(arguments: Mapping[str, Any], catalog: Catalog, settings: Settings) -> PromptPreview:
    """Word a prompt as `generate_image` would. InvalidRequest for wrong arguments."""
    given = coerced("style_prompt", arguments)
    if "prompt" not in given and "brief" not in given:
        raise InvalidRequest(Message("requests.words-missing"), field="prompt", got=None, allowed=["prompt", "brief"])
    offer = catalog.offer(given.get("model", settings.model), catalog.backend(settings.backend), settings.endpoints)
    for name in ("references", "count"):
        _check_count(name, given.get(name, 0), offer.model.name)
    ratio, count = given.get("ratio", settings.ratio), given.get("count", 1)
    asked = prompt_input(
        offer,
        prompt=given.get("prompt"),
        brief=given.get("brief"),
        negative=given.get("negative_prompt"),
        images=given.get("references", 0),
        group=count if count > 1 and given.get("related") else None,
        ratio=ratio,
        frame="frame" in given,
        edit=given.get("references", 0) > 0,
        as_is=given.get("as_is", False),
        strict=settings.strict_prompts,
    )
    styled = style_prompt_of(asked, offer)
    size = str(exact_size(parse_ratio(ratio), offer.model.target_pixels, offer.limits)) if ratio else None
    return PromptPreview(offer.model.name, offer.model.prompt_style, styled, size or offer.model.default_size)


def _check_count(name: str, got: int, model: str) -> None:
    """Refuse counts far beyond any model, since each picture would be written out."""
    if not 0 <= got <= MOST_PICTURES:
        key, allowed = ("requests.too-large", MOST_PICTURES) if got > 0 else ("requests.too-small", 0)
        shown = got if abs(got) < 1 << 63 else "…"
        raise InvalidRequest(
            Message(key, name=name, model=model, allowed=allowed, got=shown), field=name, got=shown, allowed=allowed
        )
