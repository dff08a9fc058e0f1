"""A request body of Ark's, OpenAI's or a gateway's image API as a call of one of our picture tools.

In: the body and the catalog. Out: a frozen `WireRequest`. What Ark silently ignores is used where its meaning is
clear (`n`, `width`, `aspect_ratio`, other names for `image`), else it is ignored here as well.
Never in here: a network, a file, a check of what the request check reports better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seedframe.catalog import Catalog, Offer
from seedframe.errors import InvalidRequest
from seedframe.gateway.wanted_size import wanted_size
from seedframe.messages import Message
from seedframe.settings import Settings

IMAGE_FIELDS = ("image", "images", "image_url", "image_urls", "reference_images", "image_input", "image[]")
COUNT_FIELDS = ("n", "num_images", "num_outputs")
PASSED_ON = (
    "seed",
    "negative_prompt",
    "guidance_scale",
    "output_format",
    "background",
    "watermark",
    "brief",
    "frame",
    "anchor",
    "save_as",
    "fresh",
    "confirm_cost",
)
"""Fields that are arguments of our tools under the same name: the service's own, then ours (`extra_body` of SDKs)."""

MOST_IN_SET = 15
"""The most pictures of `sequential_image_generation: auto` without a number (vendor's API reference)."""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request of another program. `arguments` are those of `tool`, without its `images`."""

    tool: str
    offer: Offer
    arguments: Mapping[str, Any]
    images: tuple[str, ...]
    inline: bool
    stream: bool
    verbatim: bool


def wire_request(
    body: Mapping[str, Any], facts: Catalog, settings: Settings, *, styled: bool = False, uploads: tuple[str, ...] = ()
) -> WireRequest:
    """The request a body means. `uploads` are pictures that came as files; `styled`: the prompt may be rewritten.

    InvalidRequest names the field where the body contradicts itself or names an unknown model.
    """
    given = {name: value for name, value in body.items() if value is not None and value != ""}
    if "mask" in given:
        raise _no_mask()
    backend = facts.backend(settings.backend)
    offer = facts.offer(str(given.get("model") or settings.model), backend, settings.endpoints)
    images = (*uploads, *(url for name in IMAGE_FIELDS for url in _addresses(given.get(name))))
    verbatim = not styled and "brief" not in given
    arguments = {
        "model": str(given.get("model") or settings.model),
        "prompt": given.get("prompt"),
        **wanted_size(given, list(offer.model.presets)),
        **{name: given[name] for name in PASSED_ON if name in given and not _ignored(name, offer)},
        **_service_options(given, offer),
        **_count(given, offer, len(images)),
        "preview": "none",
    }
    if images:
        arguments["fit_references"] = True
    return WireRequest(
        tool="edit_image" if images else "generate_image",
        offer=offer,
        arguments={name: value for name, value in arguments.items() if value is not None},
        images=images,
        inline=str(given.get("response_format", "url")) == "b64_json",
        stream=_is_true(given.get("stream")),
        verbatim=verbatim,
    )


def _addresses(value: Any) -> Iterator[str]:
    """Every picture in one image field: a string, `{"url": …}`, `{"image_url": …}` or a list of these."""
    if isinstance(value, str) and value.strip():
        yield value.strip()
    elif isinstance(value, Mapping):
        yield from _addresses(value.get("url") or value.get("image_url"))
    elif isinstance(value, list):
        for one in value:
            yield from _addresses(one)
    elif value is not None and value != "":
        raise InvalidRequest(
            Message("gateway.odd-image", got=type(value).__name__),
            field="image",
            got=type(value).__name__,
            allowed="https://… | data:image/png;base64,…",
        )


def _ignored(name: str, offer: Offer) -> bool:
    """Whether the service silently ignores a parameter."""
    return name in offer.parameters and offer.parameters[name].service == "ignored" and not offer.supports(name)


def _service_options(given: Mapping[str, Any], offer: Offer) -> dict[str, Any]:
    """The service's nested options under our own names."""
    options: dict[str, Any] = {}
    mode = given.get("optimize_prompt_options")
    if isinstance(mode, Mapping) and mode.get("mode"):
        options["optimize_prompt"] = mode["mode"]
    tools = given.get("tools")
    named = [tool.get("type") for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list) else []
    if "web_search" in named:
        options["web_search"] = True
    if _is_true(given.get("layer_decomposition")):
        options["layers"] = True
    return {name: value for name, value in options.items() if not _ignored(name, offer)}


def _count(given: Mapping[str, Any], offer: Offer, references: int) -> dict[str, Any]:
    """How many pictures, and whether they are a related set; a set of one is a single picture."""
    number = next((given[name] for name in COUNT_FIELDS if name in given), None)
    if given.get("sequential_image_generation") != "auto":
        return {"count": number}
    options = given.get("sequential_image_generation_options")
    most = options.get("max_images") if isinstance(options, Mapping) else None
    wanted = most or number or MOST_IN_SET
    if isinstance(wanted, int):
        wanted = min(wanted, max(1, offer.references.with_outputs - references))
    return {"count": wanted, "related": True} if wanted != 1 else {}


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in {"true", "1"})


def _no_mask() -> InvalidRequest:
    return InvalidRequest(
        Message("gateway.no-mask"), field="mask", got="mask", allowed=[], advice=Message("gateway.no-mask-advice")
    )
