"""Input pictures from other programs, as the picture tools take them: files and web addresses.

In: the strings of a request body. Out: paths in a private folder, web addresses as they are. A program on the network
must not name a file of this machine: a path is refused, but for pictures this gateway handed out itself.
Never in here: decoding or fitting a picture (the pipeline does that), a download.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from pathlib import Path

from seedframe.errors import InvalidRequest
from seedframe.gateway.signed_files import PREFIX, SignedFiles
from seedframe.messages import Message

_DATA = re.compile(r"data:[\w.+/-]*(?:;[\w=.+-]+)*;base64,", re.IGNORECASE)
_BARE = re.compile(r"(?:/9j/|iVBORw0KGgo|UklGR|R0lGOD)[A-Za-z0-9+/\s]{100,}={0,2}\s*")
"""Base64 without its head: how a JPEG, PNG, WebP or GIF begins."""

_PASSED_ON = ("https://", "http://", "asset://")


def input_files(images: Sequence[str], folder: Path, handed_out: SignedFiles) -> list[str]:
    """What the picture tools take for each image, in order; inline pictures are written to `folder`. Blocking."""
    return [_input_file(image, folder / f"inline-{number}", handed_out) for number, image in enumerate(images, 1)]


def _input_file(image: str, place: Path, handed_out: SignedFiles) -> str:
    head = _DATA.match(image)
    if head or _BARE.fullmatch(image):
        place.write_bytes(_decoded(image[head.end() :] if head else image))
        return str(place)
    if image.lower().startswith(_PASSED_ON):
        own = handed_out.file(image) if PREFIX in image else None
        return str(own) if own else image
    raise InvalidRequest(
        Message("gateway.image-kind", got=image[:80]),
        field="images",
        got=image[:80],
        allowed="https://… | data:image/png;base64,…",
    )


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64("".join(text.split()).encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise InvalidRequest(
            Message("gateway.odd-base64"), field="images", got="base64", allowed="data:image/png;base64,…"
        ) from None
