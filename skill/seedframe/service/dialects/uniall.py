"""The UniAll gateway's dialect: pixels only, `n` pictures in one POST, input pictures by URL.

One field for the count and one for the pictures, since precedence among synonyms is not documented.
Source: the gateway's page, 2026. Never in here: Ark's rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seedframe.service.dialects.ark import auth, read
from seedframe.service.dialects.base import Call, ImageValue, one_or_many, options_body

if TYPE_CHECKING:
    from seedframe.service.request import ImageRequest

__all__ = ["auth", "build", "calls", "read"]

_OWN_SPELLING = frozenset({"prompt", "images", "count"})
"""Parameters that the gateway takes in a field of its own, see `build`."""


def calls(request: ImageRequest) -> Sequence[int]:
    """The gateway makes `n` pictures of one POST."""
    return (request.count,)


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
    options = {name: value for name, value in request.options.items() if name not in _OWN_SPELLING}
    body: dict[str, Any] = {"model": request.offer.id, "prompt": prompt}
    body |= options_body(request.offer, options, outputs)
    size = request.frame.expected
    if size is not None:
        body["custom_size"] = {"width": size.width, "height": size.height}
    if outputs > 1:
        body["n"] = outputs
    if images:
        body["image"] = one_or_many(images)
    body["timeout_seconds"] = int(seconds)
    path = request.offer.backend.paths["edit" if images else "generate"]
    return Call(path, body, outputs, weight=request.weight(outputs))
