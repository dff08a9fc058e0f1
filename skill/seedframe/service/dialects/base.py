"""The interface of a dialect: one POST as a value, and the four functions of a dialect module.

In: a request with its prompt and pictures. Out: `Call`. Never in here: a vendor's key or field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from seedframe.catalog import Offer
    from seedframe.service.file_part import FilePart
    from seedframe.service.replies import Reply
    from seedframe.service.request import ImageRequest

ImageValue: TypeAlias = "str | FilePart"
"""An input picture in a body: a URL, or a file that is sent as a data URI."""

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
"""Parameters that are never dropped when a service refuses them: without them it would be another picture."""


FURTHER_PICTURE_SECONDS = 40.0
"""Seconds that each further picture of a call may take."""


@dataclass(frozen=True, slots=True)
class Call:
    """One POST: which path of the backend, its JSON body (see `body`), how many pictures it may return.

    `weight`: how many pictures it counts as, for the timeout and the rate limit.
    """

    path: str
    body: Mapping[str, Any]
    outputs: int
    stream: bool = False
    weight: int = 1

    def may_drop(self, parameter: str | None) -> bool:
        """Whether the call means the same without that parameter."""
        return parameter in self.body and parameter not in ESSENTIAL

    def without(self, parameter: str) -> Call:
        """The same call without a parameter the service refused."""
        return replace(self, body={key: value for key, value in self.body.items() if key != parameter})


class Dialect(Protocol):
    """A module of this folder. Its name is what a backend's file calls its dialect."""

    def calls(self, request: ImageRequest) -> Sequence[int]:
        """How many pictures each POST of this request asks for; one number for each POST."""

    def build(
        self,
        request: ImageRequest,
        *,
        prompt: str,
        negative: str | None,
        images: Sequence[ImageValue],
        outputs: int,
        response_format: str,
        seconds: float,
    ) -> Call:
        """The POST for `outputs` pictures. `images` are files or URLs in the order the prompt counts them.

        `seconds` is the timeout, for services that want to know it.
        """

    def auth(self, key: str | None) -> Mapping[str, str]:
        """The headers that carry the key."""

    def read(self, status: int, headers: Mapping[str, str], document: bytes) -> Reply:
        """Read a whole JSON answer, whose pictures were replaced by their numbers. ApiError: a refusal."""


def patience(timeout: float, weight: int) -> float:
    """The timeout in seconds for an answer of that many pictures; `timeout` is that of one."""
    return timeout + FURTHER_PICTURE_SECONDS * (weight - 1)


def one_or_many(images: Sequence[ImageValue]) -> ImageValue | list[ImageValue]:
    """One picture by itself, several as a list."""
    return images[0] if len(images) == 1 else list(images)


def options_body(offer: Offer, values: Mapping[str, Any], outputs: int) -> dict[str, Any]:
    """The part of a body for these parameters, under their wire names; unsupported ones are left out."""
    body: dict[str, Any] = {}
    for name, value in values.items():
        if offer.supports(name):
            body |= offer.parameters[name].body(value, outputs)
    return body
