"""A checked request, styled words and references in; the body of one POST out, in the backend's dialect.

Only non-default, supported keys are sent: the service answers 400 to known parameters a model does not take, even
with their default value, and silently ignores unknown ones. `watermark` is always sent, since the service's default is
true. Source: recorded replies, see models/*.json. Never in here: a key, an address, a decision about retries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seedframe.geometry import Size
from seedframe.service.request import ImageRequest

ESSENTIAL = frozenset(
    {
        "model",
        "prompt",
        "image",
        "size",
        "background",
        "layer_decomposition",
        "tools",
        "sequential_image_generation",
        "sequential_image_generation_options",
    }
)
"""What a wish is about: without it the picture would be another one, so it is never dropped to please the service."""


FURTHER_PICTURE_SECONDS = 40
"""How much longer each further picture of a call may take."""


@dataclass(frozen=True, slots=True)
class Call:
    """One POST: which path of the backend, its JSON body, how many pictures it may return."""

    path: str
    body: Mapping[str, Any]
    outputs: int
    stream: bool = False

    def may_drop(self, parameter: str | None) -> bool:
        """Whether the call means the same without that parameter."""
        return parameter in self.body and parameter not in ESSENTIAL

    def without(self, parameter: str) -> Call:
        """The same call without a parameter the service refused."""
        return replace(self, body={key: value for key, value in self.body.items() if key != parameter})


def build(
    request: ImageRequest,
    *,
    prompt: str,
    negative: str | None,
    images: Sequence[str],
    outputs: int,
    response_format: str,
    timeout: float = 300.0,
) -> Call:
    """The POST for `outputs` pictures. `images` are data URIs or URLs in the order the prompt counts them.

    `timeout` is the seconds one picture may take, for backends that are told.
    """
    call = _DIALECTS[request.offer.backend.dialect](request, prompt, negative, images, outputs, response_format)
    described = request.offer.backend.limits.get("timeout")
    if described is None:
        return call
    seconds = int(timeout + FURTHER_PICTURE_SECONDS * (outputs - 1))
    return replace(call, body={**call.body, described: seconds})


def _ark(
    request: ImageRequest, prompt: str, negative: str | None, images: Sequence[str], outputs: int, response_format: str
) -> Call:
    stream = request.related and outputs > 1 and request.offer.supports("stream")
    body: dict[str, Any] = {
        "model": request.offer.id,
        "prompt": prompt or None,
        "image": _one_or_many(images) if images else None,
        "size": request.frame.asked,
        "response_format": response_format,
        "watermark": request.watermark,
        "seed": request.seed,
        "negative_prompt": negative if request.offer.supports("negative_prompt") else None,
        "guidance_scale": request.guidance_scale,
        "output_format": request.output_format,
        "background": request.background,
        "layer_decomposition": True if request.layers else None,
        "tools": [{"type": "web_search"}] if request.web_search else None,
        "optimize_prompt_options": {"mode": request.optimize_prompt} if request.optimize_prompt else None,
        "sequential_image_generation": "auto" if request.related else None,
        "sequential_image_generation_options": {"max_images": outputs} if request.related else None,
        "stream": True if stream else None,
    }
    path = request.offer.backend.paths["edit" if images else "generate"]
    return Call(path, {key: value for key, value in body.items() if value is not None}, outputs, stream)


def _uniall(
    request: ImageRequest, prompt: str, _negative: str | None, images: Sequence[str], outputs: int, _format: str
) -> Call:
    """One field for the count and one for the images, since precedence among synonyms is not documented."""
    body: dict[str, Any] = {"model": request.offer.id, "prompt": prompt}
    size = request.frame.expected
    if size is not None:
        body["custom_size"] = _sides(size)
    if outputs > 1:
        body["n"] = outputs
    if images:
        body["image"] = _one_or_many(images)
    return Call(request.offer.backend.paths["edit" if images else "generate"], body, outputs)


def _sides(size: Size) -> dict[str, int]:
    return {"width": size.width, "height": size.height}


def _one_or_many(images: Sequence[str]) -> str | list[str]:
    return images[0] if len(images) == 1 else list(images)


_DIALECTS: Mapping[str, Callable[[ImageRequest, str, str | None, Sequence[str], int, str], Call]] = {
    "ark": _ark,
    "uniall": _uniall,
}
