"""What the UniAll gateway accepts, as its page documents it; where the page is silent the code says "assumed".

In: the body of `POST /v1/images/generations` or `/edits`. Out: `GenerationRequest`. Never in here: Ark's rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedframe.emulator.generation_request import GenerationRequest
from seedframe.emulator.input_images import Fetcher, read_references
from seedframe.emulator.options import Options
from seedframe.emulator.refusal import Refusal, invalid
from seedframe.emulator.rules import find_offer, present
from seedframe.emulator.sizes import checked_pixels, requested_size

COUNTS = ("n", "num_images")
IMAGES = ("image", "image_url", "image_urls", "images")
DOCUMENTED = frozenset({"model", "prompt", "custom_size", "timeout_seconds", *COUNTS, *IMAGES})


def unknown_gateway_keys(body: Mapping[str, Any]) -> tuple[str, ...]:
    """List the keys the gateway's page does not name."""
    return tuple(sorted(key for key in present(body) if key not in DOCUMENTED))


def read_gateway(body: Mapping[str, Any], options: Options, fetch: Fetcher, *, edit: bool) -> GenerationRequest:
    """Read a body as the gateway does: pixels only, `n` pictures, references by URL only."""
    body = present(body)
    offer = find_offer(body, options)
    if options.strict_unknown and (unknown := unknown_gateway_keys(body)):
        raise invalid(unknown[0], "unknown parameter")
    prompt = body.get("prompt", "")
    if not isinstance(prompt, str) or not prompt.strip():
        raise Refusal("missing-parameter", param="prompt")
    count = _count(body, offer.max_outputs)
    custom = body.get("custom_size")
    size = requested_size(offer.model.default_size, offer, prompt, "1:1") if custom is None else None
    references = read_references(_sources(body), offer.references, fetch)
    if edit and not references:
        raise Refusal("missing-parameter", param="image")
    if len(references) + count > offer.references.with_outputs:
        raise invalid("n", f"reference images and outputs together cannot exceed {offer.references.with_outputs}")
    return GenerationRequest(
        offer=offer,
        prompt=prompt,
        size=size or checked_pixels(*_custom(custom), offer.limits),
        count=count,
        watermark=False,
        references=references,
    )


def _count(body: Mapping[str, Any], most: int) -> int:
    """Read `n` or `num_images`; which one wins is not documented, so both at once are refused (assumed)."""
    given = [key for key in COUNTS if key in body]
    if len(given) > 1:
        raise invalid("n", "use either n or num_images")
    count = body[given[0]] if given else 1
    if type(count) is not int or not 1 <= count <= most:
        raise invalid(given[0], f"must be between 1 and {most}")
    return count


def _custom(value: object) -> tuple[int, int]:
    sides = (value.get("width"), value.get("height")) if isinstance(value, dict) else (None, None)
    if type(sides[0]) is not int or type(sides[1]) is not int:
        raise invalid("custom_size", "width and height must be integers")
    return sides[0], sides[1]


def _sources(body: Mapping[str, Any]) -> list[str]:
    """Gather the URLs of whichever image field was used; several at once are refused (assumed)."""
    given = [key for key in IMAGES if key in body]
    if len(given) > 1:
        raise invalid(given[1], f"use only one of: {', '.join(IMAGES)}")
    value = body[given[0]] if given else []
    items = value if isinstance(value, list) else [value]
    return [_url(item) for item in items]


def _url(item: object) -> str:
    if isinstance(item, dict):
        item = item.get("url", item.get("image_url"))
    if not isinstance(item, str):
        raise invalid("image")
    return item
