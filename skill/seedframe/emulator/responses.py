"""The bodies of good answers: whole replies, stream events, the model list.

In: what was planned and the entries of its pictures. Out: JSON-ready values as recorded. Never in here: HTTP, painting.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seedframe.emulator import envelopes
from seedframe.emulator.generation import PlannedImage
from seedframe.emulator.generation_request import GenerationRequest
from seedframe.emulator.quirks import quirks

DATED = re.compile(r"(.+)-(\d{6})")
EVENT = "image_generation."


@dataclass(frozen=True, slots=True)
class Generated:
    """A request with everything decided about it. `created` is in seconds since 1970."""

    generation: GenerationRequest
    slots: tuple[PlannedImage, ...]
    created: int

    @property
    def model(self) -> str:
        """The id the reply names: the one asked for, or the dated one behind an endpoint id."""
        offer = self.generation.offer
        ids = offer.model.ids_on(offer.backend)
        return offer.id if offer.id in ids else ids[0]


def whole(work: Generated, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Ark's reply to a call that was not streamed."""
    reply = {"model": work.model, "created": work.created, "data": list(entries), "usage": usage(work, entries)}
    if work.generation.web_search:
        reply["tools"] = [{"type": "web_search"}]
    return reply


def gateway(work: Generated, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """UniAll's reply: no model, no sizes, no usage are promised."""
    return {"created": work.created, "data": [{"url": entry["url"]} for entry in entries if "url" in entry]}


def entry(work: Generated, slot: PlannedImage, picture: Mapping[str, str]) -> dict[str, Any]:
    """One element of `data`; `picture` is its `url` or `b64_json`."""
    if slot.recipe is None:
        return dict(picture)
    extra: dict[str, str] = {"output_format": slot.recipe.format}
    if not work.generation.layers:
        extra["background"] = work.generation.background
    kept = {key: extra[key] for key in quirks(work.generation.offer.model.name).reply if key in extra}
    return {**picture, "size": str(slot.recipe.size), **kept, **slot.fields}


def usage(work: Generated, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count what is billed: pictures that came, and a token for 256 pixels."""
    made = [slot.recipe for slot in work.slots if slot.recipe is not None] if entries else []
    spent = envelopes.tokens(sum(recipe.size.pixels for recipe in made))
    described: dict[str, Any] = {"generated_images": len(made), "output_tokens": spent, "total_tokens": spent}
    if "input_images" in quirks(work.generation.offer.model.name).reply:
        described["input_images"] = len(work.generation.references)
    if work.generation.web_search:
        # 0 means the model decided not to search; it does so when the prompt speaks of nothing current.
        described["tool_usage"] = {
            "web_search": int(bool(re.search(r"今天|最新|today|latest|news|weather|天气", work.generation.prompt)))
        }
    return described


def event(work: Generated, slot: PlannedImage, entry: Mapping[str, Any]) -> bytes:
    """Write the frame of one finished or failed picture; `image_index` counts failed ones too."""
    kind = EVENT + ("partial_succeeded" if slot.recipe is not None else "partial_failed")
    head = {"type": kind, "model": work.model, "created": work.created, "image_index": slot.index}
    return envelopes.frame(kind, {**head, **entry})


def completed(work: Generated) -> bytes:
    """Write the frame that ends a stream and alone has the usage."""
    kind = f"{EVENT}completed"
    head = {"type": kind, "model": work.model, "created": work.created}
    tools = {"tools": [{"type": "web_search"}]} if work.generation.web_search else {}
    return envelopes.frame(kind, {**head, "usage": usage(work, [{}]), **tools})


def undated(id: str) -> str:
    """Take the date off a model id: what result URLs are filed under."""
    match = DATED.fullmatch(id)
    return match[1] if match else id


def listed(id: str) -> dict[str, Any]:
    """One model of `GET /models` (recorded 2026-09-02; everything but `id` may vary)."""
    match = DATED.fullmatch(id)
    name, version = (match[1], match[2]) if match else (id, "")
    return {
        "id": id,
        "name": name,
        "version": version,
        "object": "model",
        "created": calendar.timegm(time.strptime(version, "%y%m%d")) if version else 0,
        "domain": "ImageGeneration",
        "task_type": ["TextToImage", "ImageToImage"],
        "modalities": {"input_modalities": ["text", "image"], "output_modalities": ["image"]},
    }
