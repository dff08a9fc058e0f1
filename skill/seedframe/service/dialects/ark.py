"""The dialect of Ark: Volcengine, BytePlus and the emulator.

Only non-default, supported keys are sent: the service answers 400 to known parameters a model does not take, even with
their default value, and silently ignores unknown ones. `watermark` is always sent, since the service's default is true.
The wire names of parameters are in the data. Source: captures and documentation, 2026.
Never in here: an address, a decision about retries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seedframe.service.dialects.base import Call, ImageValue, one_or_many, options_body
from seedframe.service.replies import read_reply as read

if TYPE_CHECKING:
    from seedframe.service.request import ImageRequest

__all__ = ["auth", "build", "calls", "read"]


def calls(request: ImageRequest) -> Sequence[int]:
    """A related set is one POST; unrelated pictures are one POST each, since `n` is silently ignored."""
    return (request.count,) if request.related else (1,) * request.count


def build(
    request: ImageRequest,
    *,
    prompt: str,
    negative: str | None,
    images: Sequence[ImageValue],
    outputs: int,
    response_format: str,
    seconds: float,
) -> Call:
    """The POST; see `base.Dialect.build`."""
    offer = request.offer
    stream = request.related and outputs > 1 and offer.supports("stream")
    values: dict[str, Any] = {
        **request.options,
        "prompt": prompt or None,
        "images": one_or_many(images) if images else None,
        "negative_prompt": negative,
        "response_format": response_format,
        "stream": stream,
    }
    body: dict[str, Any] = {"model": offer.id}
    if request.frame.asked is not None:
        body["size"] = request.frame.asked
    body |= options_body(offer, values, outputs)
    path = offer.backend.paths["edit" if images else "generate"]
    return Call(path, body, outputs, stream, weight=request.weight(outputs))


def auth(key: str | None) -> Mapping[str, str]:
    """A bearer token."""
    return {} if key is None else {"authorization": f"Bearer {key}"}
