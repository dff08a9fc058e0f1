"""Builds the styler's input for every entry point, so that what one approves all accept.

In: an offer, words and what is known about the call. Out: the styler's input, and the styled words with
everything noticed about them. Never in here: a rule, a judgement, a payment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from seedframe.catalog import Offer, catalog
from seedframe.prompting import PromptInput, StyledPrompt, face_trust, style


def prompt_input(
    offer: Offer,
    *,
    prompt: str | None = None,
    brief: Mapping[str, Any] | None = None,
    negative: str | None = None,
    images: int = 0,
    group: int | None = None,
    ratio: str | None = None,
    frame: bool = False,
    edit: bool = False,
    as_is: bool = False,
    layers: bool = False,
    strict: bool = False,
) -> PromptInput:
    """The styler's input for a call. `images` is how many input pictures there are, `group` the size of a related set.

    `frame`: an exact frame for video was asked for, so the picture is a keyframe. A picture split into `layers`
    needs no words. `strict` turns advice into errors.
    """
    return PromptInput(
        sheet=offer.model.prompt_style,
        model=offer.model.name,
        prompt="" if layers and not prompt and not brief else prompt,
        brief=brief,
        negative=negative,
        references=images,
        max_references=offer.references.count,
        group=group,
        ratio=ratio,
        edit=edit,
        negative_supported=offer.supports("negative_prompt"),
        as_is=as_is,
        keyframe=frame,
        groups_supported=offer.supports("related"),
        words_needed=not layers,
        strict=strict,
        most_characters=_longest(offer),
        most_marks=offer.model.edit_marks,
        mark_takers=_mark_takers(offer),
    )


def style_prompt_of(given: PromptInput, offer: Offer) -> StyledPrompt:
    """The words to send and everything noticed, not yet judged. InvalidRequest when the brief is not one.

    A realistic person from a call whose pictures Seedance does not trust adds a warning.
    """
    styled = style(given)
    eligible = offer.model.trust_days is not None and not given.references
    finding = face_trust(styled, eligible=eligible)
    return replace(styled, findings=(*styled.findings, finding)) if finding else styled


def _longest(offer: Offer) -> int | None:
    longest: int | None = offer.parameters["prompt"].schema.get("maxLength")
    return longest


def _mark_takers(offer: Offer) -> tuple[str, ...]:
    if offer.model.edit_marks is not None:
        return ()
    return tuple(model.name for model in catalog().models if model.edit_marks and model.ids_on(offer.backend))
