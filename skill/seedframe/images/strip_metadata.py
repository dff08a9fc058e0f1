"""Copies a picture without the place where it was taken and without trailing bytes.

In: a path. Out: a file at another path and what was removed, or nothing where there was nothing to remove. Pixels,
coded data, colour profile and orientation stay bit for bit: blocks are left out or blanked, nothing is encoded again.
Never in here: whether it is wanted (the caller's settings), a network, Pillow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path

from seedframe.images.clean_chunks import clean_png, clean_webp
from seedframe.images.clean_jpeg import clean_jpeg
from seedframe.images.clean_plain import clean_bmp, clean_gif, clean_tiff
from seedframe.images.decoding import atomic_target, guarded
from seedframe.images.headers import sniff
from seedframe.images.partial_copy import PartialCopy
from seedframe.messages import Message

_CLEANERS: Mapping[str | None, Callable[[PartialCopy], None]] = {
    "jpeg": clean_jpeg,
    "png": clean_png,
    "webp": clean_webp,
    "gif": clean_gif,
    "bmp": clean_bmp,
    "tiff": clean_tiff,
}


def strip(source: Path, target: Path) -> Sequence[Message]:
    """Write `source` without places and trailing bytes to `target`; gives what was removed, empty: nothing written.

    PictureError for a file whose structure is broken. Formats that are always converted (HEIC, AVIF) are not handled.
    """
    with guarded(source), source.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        clean = _CLEANERS.get(sniff(data[:32]))
        if clean is None:
            return ()
        copy = PartialCopy(data)
        clean(copy)
        if copy.taken:
            with atomic_target(target) as part, part.open("wb") as written:
                copy.write(written)
        return copy.notes()
