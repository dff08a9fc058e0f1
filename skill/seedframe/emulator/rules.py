"""What Ark accepts: a JSON body becomes a `GenerationRequest`, or the first thing wrong with it a `Refusal`.

In: the body of `POST /images/generations` and the emulator's options. Out: a request.
Never in here: HTTP, faults.
The order is the recorded one, coarsely: model, prompt, parameters the model does not take, values, input pictures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from seedframe.catalog import Offer
from seedframe.emulator.generation_request import GenerationRequest, InputImage
from seedframe.emulator.input_images import Fetcher, one_transparent_png, read_references
from seedframe.emulator.options import Options
from seedframe.emulator.refusal import Refusal, invalid, unsupported
from seedframe.emulator.sizes import layer_base, nearest_shape, preset, requested_size
from seedframe.geometry import Size

Body = Mapping[str, Any]

GROUP_OPTIONS = "sequential_image_generation_options"
MOST_IN_GROUP = 15
LARGEST_SEED = 2147483647
LAYER_INPUT = (262_144, 36_000_000)
DIGITS = {"一": 1, "两": 2, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
NOUNS = r"(?:张|幅|格|组|页|pictures?|images?|panels?|frames?|shots?|variations?|posters?|layers?|个?图层|层)"
NUMBER = re.compile(rf"(?!一组)(\d{{1,2}}|[{''.join(DIGITS)}])\s*(?:[a-z]+\s+){{0,2}}{NOUNS}", re.IGNORECASE)
GROUP = re.compile(r"一组|组图|系列|连环|分镜|\b(series|set of|group of|storyboard|comic strip)\b", re.IGNORECASE)
UNNUMBERED_GROUP = 4
UNNUMBERED_LAYERS = 3


def present(body: Body) -> dict[str, Any]:
    """Drop the nulls: the official SDKs send null for whatever was not set."""
    return {key: value for key, value in body.items() if value is not None}


def unknown_keys(body: Body) -> tuple[str, ...]:
    """List the keys the vendor documents nowhere; the service ignores them without a word."""
    return tuple(sorted(key for key in present(body) if key not in VENDOR_KEYS))


def find_offer(body: Body, options: Options) -> Offer:
    """Find the model a body names. `Refusal`: missing, unknown, not activated."""
    name = body.get("model")
    if name is None or name == "":
        raise Refusal("missing-parameter", param="model")
    if not isinstance(name, str):
        raise invalid("model")
    offer = options.offer(name)
    if offer is None:
        raise Refusal("model-not-found", model=name)
    if offer.model.name in options.not_activated:
        raise Refusal("model-not-open", model=name)
    return offer


def read_ark(body: Body, options: Options, fetch: Fetcher, shape: str | None = None) -> GenerationRequest:
    """Read a body as Ark does. `shape` is the ratio a preset takes whatever the prompt says."""
    body = present(body)
    offer = find_offer(body, options)
    heeded = _heeded(body, offer)
    if options.strict_unknown and (unknown := unknown_keys(body)):
        raise invalid(unknown[0], "unknown parameter")
    layered = heeded.get("layer_decomposition") is True
    prompt = _prompt(heeded, optional=layered)
    for key, check in CHECKS.items():
        if key in heeded:
            check(offer, heeded[key])
    references = read_references(heeded.get("image", []), offer.references, fetch)
    if layered:
        return _layered(heeded, offer, prompt, references)
    _check_background(heeded, offer, references)
    return GenerationRequest(
        offer=offer,
        prompt=prompt,
        size=_size(heeded, offer, "" if shape else prompt, _shape(heeded, offer, references, options, shape)),
        count=_count(heeded, prompt, len(references), offer.references.with_outputs),
        format=heeded.get("output_format", offer.model.default_format),
        inline=heeded.get("response_format") == "b64_json",
        watermark=heeded.get("watermark", True),
        seed=_seed(heeded),
        background="transparent" if heeded.get("background") == "transparent" else "opaque",
        references=references,
        stream=heeded.get("stream", False),
        web_search="tools" in heeded,
    )


def _heeded(body: Body, offer: Offer) -> dict[str, Any]:
    """Keep the parameters this model looks at; `Refusal` for the first it knows and does not take."""
    services = {name: parameter.service for parameter in offer.parameters.values() for name in parameter.wire_names}
    for key in VENDOR_KEYS:
        if key in body and services.get(key) == "rejected":
            raise unsupported(key)
    return {key: body[key] for key in VENDOR_KEYS if key in body and services.get(key) != "ignored"}


def _prompt(body: Body, *, optional: bool) -> str:
    prompt = body.get("prompt", "")
    if not isinstance(prompt, str):
        raise invalid("prompt")
    if not prompt.strip() and not optional:
        raise Refusal("missing-parameter", param="prompt")
    return prompt


def _size(body: Body, offer: Offer, prompt: str, shape: str) -> Size:
    return requested_size(body.get("size", offer.model.default_size), offer, prompt, shape)


def _shape(body: Body, offer: Offer, references: tuple[InputImage, ...], options: Options, forced: str | None) -> str:
    """Choose the ratio of a preset when the prompt is silent: as scripted, the first reference's, or as configured."""
    size = body.get("size", offer.model.default_size)
    table = preset(offer.model, size) if isinstance(size, str) else None
    first = references[0].size if references else None
    if not forced and options.follow_reference and first and table:
        return nearest_shape(first, table)
    return forced or options.preset_shape


def _seed(body: Body) -> int | None:
    seed = body.get("seed", -1)
    return None if seed == -1 else int(seed)


def _count(body: Body, prompt: str, references: int, together: int) -> int:
    """How many pictures the model decides to make: `max_images` is a ceiling, the prompt says how many."""
    if body.get("sequential_image_generation", "disabled") == "disabled":
        return 1
    ceiling = int(present(body.get(GROUP_OPTIONS, {})).get("max_images", MOST_IN_GROUP))
    wanted = _number(prompt) or (UNNUMBERED_GROUP if GROUP.search(prompt) else 1)
    return max(1, min(wanted, ceiling, together - references))


def _number(prompt: str) -> int | None:
    match = NUMBER.search(prompt)
    return (DIGITS.get(match[1]) or int(match[1])) if match else None


def _layered(body: Body, offer: Offer, prompt: str, references: tuple[InputImage, ...]) -> GenerationRequest:
    """Read layer mode: exactly one input, no background. The wording of its refusals is assumed."""
    if len(references) != 1:
        raise invalid("image", "layer decomposition requires exactly one input image")
    if "background" in body:
        raise invalid("background", "background is not supported when layer_decomposition is enabled")
    (only,) = references
    low, high = LAYER_INPUT
    if only.size and not low <= only.size.pixels <= high:
        raise invalid("image", f"image size must be between {low} and {high} pixels")
    return GenerationRequest(
        offer=offer,
        prompt=prompt,
        size=layer_base(body.get("size"), offer, only.size),
        inline=body.get("response_format") == "b64_json",
        watermark=body.get("watermark", True),
        seed=_seed(body),
        references=references,
        layers=min(_number(prompt) or UNNUMBERED_LAYERS, offer.parameters["layers"].extra["max_layers"]),
    )


def _check_background(body: Body, offer: Offer, references: tuple[InputImage, ...]) -> None:
    if body.get("background") != "transparent":
        return
    needs = offer.parameters["background"].extra.get("transparent_needs")
    if needs == "one-alpha-png" and len(references) != 1:
        raise Refusal("transparent-needs-one-image")
    if body.get("output_format", offer.model.default_format) != "png":
        raise Refusal("transparent-needs-png")
    if needs == "one-alpha-png":
        one_transparent_png(references)


def _one_of(key: str, name: str) -> Callable[[Offer, object], None]:
    def check(offer: Offer, value: object) -> None:
        allowed = offer.parameters[name].schema["enum"]
        if value not in allowed:
            raise invalid(key, f"must be one of: {', '.join(allowed)}")

    return check


def _boolean(key: str) -> Callable[[Offer, object], None]:
    def check(_: Offer, value: object) -> None:
        if not isinstance(value, bool):
            raise invalid(key)

    return check


def _check_size(offer: Offer, value: object) -> None:
    """Only what does not depend on the mode; `requested_size` does the rest."""
    if isinstance(value, str) and (value.lower() == "auto" and offer.supports("layers")):
        return
    requested_size(value, offer, "", "")


def _check_format(_: Offer, value: object) -> None:
    if value not in ("jpeg", "png"):
        raise Refusal("output-format", param="output_format", detail="must be one of: jpeg, png")


def _check_seed(_: Offer, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value <= LARGEST_SEED:
        raise invalid("seed")


def _check_group(_: Offer, value: object) -> None:
    if value not in ("auto", "disabled"):
        raise invalid("sequential_image_generation", "must be one of: auto, disabled")


def _check_group_options(_: Offer, value: object) -> None:
    most = value.get("max_images") if isinstance(value, dict) else "?"
    if most is not None and (type(most) is not int or not 1 <= most <= MOST_IN_GROUP):
        raise invalid(GROUP_OPTIONS, f"max_images must be between 1 and {MOST_IN_GROUP}")


def _check_tools(_: Offer, value: object) -> None:
    if not isinstance(value, list) or any(not isinstance(t, dict) or t.get("type") != "web_search" for t in value):
        raise invalid("tools", "tool type must be one of: web_search")


def _check_optimize(offer: Offer, value: object) -> None:
    if not isinstance(value, dict):
        raise invalid("optimize_prompt_options")
    allowed = offer.parameters["optimize_prompt"].schema["enum"]
    if value.get("mode") not in (None, *allowed):
        names = " or ".join(f"'{mode}'" for mode in allowed)
        raise Refusal(
            "optimize-mode", param="optimize_prompt_options", detail=f"optimize_prompt_options.mode must be {names}"
        )


CHECKS: Mapping[str, Callable[[Offer, object], None]] = {
    "background": _one_of("background", "background"),
    "size": _check_size,
    "response_format": _one_of("response_format", "response_format"),
    "watermark": _boolean("watermark"),
    "output_format": _check_format,
    "stream": _boolean("stream"),
    "seed": _check_seed,
    "layer_decomposition": _boolean("layer_decomposition"),
    "sequential_image_generation": _check_group,
    GROUP_OPTIONS: _check_group_options,
    "tools": _check_tools,
    "optimize_prompt_options": _check_optimize,
}
"""One check per parameter, in the order the service was seen to complain: background, size, the rest."""

VENDOR_KEYS = ("model", "prompt", "image", "guidance_scale", *CHECKS)
"""Everything any document or SDK of the vendor sends with effect on some model of the family."""
