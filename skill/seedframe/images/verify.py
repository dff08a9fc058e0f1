"""Verifies that a file is the expected picture.

In: a path and what was promised about it. Out: Verified, with a note for each broken promise; PictureError for bytes
that do not decode. Never in here: changing the file.
"""

from __future__ import annotations

from pathlib import Path

from seedframe.geometry import Size
from seedframe.images.decoding import guarded, open_picture
from seedframe.images.headers import read_header
from seedframe.images.preview import preview
from seedframe.images.types import MAX_PIXELS, Header, Verified
from seedframe.messages import Message

_COARSEST = 8


def verify(
    path: Path,
    *,
    expected: Size | None = None,
    expected_format: str | None = None,
    max_pixels: int = MAX_PIXELS,
    preview_side: int | None = None,
) -> Verified:
    """Decode once, as coarsely as the format allows, and compare with what was promised.

    With `preview_side` that one decode also yields the preview. A JPEG is read to its last coefficient but built at an
    eighth of its size.
    """
    header = read_header(path, max_pixels=max_pixels, scaled=True)
    notes = differences(header, expected=expected, expected_format=expected_format)
    if preview_side is not None:
        return Verified(header, notes, preview(path, long_side=preview_side, header=header))
    with guarded(path), open_picture(path, header.format) as image:
        if header.format == "jpeg":
            image.draft(None, (max(1, header.size.width // _COARSEST), max(1, header.size.height // _COARSEST)))
        image.load()
    return Verified(header, notes)


def differences(
    header: Header, *, expected: Size | None = None, expected_format: str | None = None
) -> tuple[Message, ...]:
    """Notes where a picture differs from the request; empty where it does not. `expected` is compared as displayed."""
    notes = []
    if expected is not None and header.displayed != expected:
        notes.append(Message("pictures.other-size", got=str(header.displayed), expected=str(expected)))
    if expected_format is not None and header.format != expected_format:
        notes.append(Message("pictures.other-format", got=header.format, expected=expected_format))
    return tuple(notes)
