"""Rooms 1 and 2 without a wish to pay: how a prompt would be worded and what would be asked.

In: the arguments of `style_prompt` or `seedframe style`. Out: JSON-ready facts. Free of charge, no network, no disk.
Never in here: a payment, a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedframe.catalog import Catalog
from seedframe.errors import InvalidRequest
from seedframe.geometry import exact_size, parse_ratio
from seedframe.messages import Message
from seedframe.prompting import StyledPrompt, worth_rewriting, writing_rules
from seedframe.prompting.prompt_input import prompt_input, style_prompt_of
from seedframe.service.request import coerced
from seedframe.settings import Settings

MOST_PICTURES = 99
"""Pictures in or out; how many a model really takes is a finding about the words."""


def preview_prompt(arguments: Mapping[str, Any], catalog: Catalog, settings: Settings) -> dict[str, Any]:
    """Prompt, negative, findings, counts, dropped, needs_host and a size hint. InvalidRequest for wrong arguments.

    Where other words would serve better, `rewrite` holds the codes that say why and the rules by which the caller's own
    model can write them at once. `usable` is whether `generate_image` would send the prompt.
    """
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
    return {
        "model": offer.model.name,
        "style": offer.model.prompt_style,
        **styled.as_dict(settings.language),
        "size": size or offer.model.default_size,
        "usable": not styled.errors,
        **_rewriting(styled, offer.model.prompt_style),
    }


def _rewriting(styled: StyledPrompt, sheet: str) -> dict[str, Any]:
    codes = worth_rewriting(styled.findings)
    if not codes:
        return {}
    return {"rewrite": {"because": list(codes), "rules": writing_rules(sheet)}}


def _check_count(name: str, got: int, model: str) -> None:
    """What no model comes near is a mistake, and would be written out one by one."""
    if not 0 <= got <= MOST_PICTURES:
        key, allowed = ("requests.too-large", MOST_PICTURES) if got > 0 else ("requests.too-small", 0)
        shown = got if abs(got) < 1 << 63 else "…"
        raise InvalidRequest(
            Message(key, name=name, model=model, allowed=allowed, got=shown), field=name, got=shown, allowed=allowed
        )
