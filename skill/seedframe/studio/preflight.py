"""What a call needs before it is paid for: a folder that takes files, room for the pictures and for the record.

In: a checked request, the bytes of its references, how much room a disk has. Out: nothing, or
StoreError; nothing has been sent then. Never in here: a network, a key (asked of the backend), the record itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from seedframe.errors import StoreError
from seedframe.messages import Message
from seedframe.service.request import ImageRequest

Free = Callable[[Path], int]
"""Bytes that the disk of a folder still takes; the folder exists."""

BYTES_PER_PIXEL = {"jpeg": 0.8, "png": 3.0}
"""Generous: measured 2K JPEGs of the service have 0.2 to 0.5, PNGs 1.2 to 2.2."""

RECORD_BYTES = 1_000_000
"""What a few steps of the payment record and a sidecar take at most, many times over."""

_MEGA = 1_000_000


def free_bytes(folder: Path) -> int:
    """What the disk of a folder has left for us."""
    return shutil.disk_usage(folder).free


def expected_bytes(request: ImageRequest, reference_bytes: int = 0) -> int:
    """The room all pictures of a request may take: a cut picture keeps its original beside it."""
    pictures = request.count
    if request.layers:
        pictures = int(request.offer.parameters["layers"].extra["max_layers"]) + 1
    each = request.most_pixels * BYTES_PER_PIXEL.get(request.image_format, max(BYTES_PER_PIXEL.values()))
    copies = 2 if request.frame.ratio is not None or request.frame.frame is not None else 1
    return int(pictures * each * copies) + reference_bytes + RECORD_BYTES


def check_ready(
    request: ImageRequest, folder: Path, stem: Path, record: Path, free: Free, reference_bytes: int = 0
) -> None:
    """StoreError where a picture or the record would find no room.

    `folder` takes what arrives and exists; `stem` is where the pictures go; `record` is the payment record's file.
    """
    _check_folder(stem.parent)
    _check_room(folder, expected_bytes(request, reference_bytes), request.count, free)
    _check_room(record.parent, RECORD_BYTES, request.count, free)


def _check_folder(wanted: Path) -> None:
    """The nearest folder that exists takes new files."""
    existing = next(place for place in (wanted, *wanted.parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        why = Message("payments.not-a-folder" if not existing.is_dir() else "payments.not-writable")
        raise StoreError(
            Message("payments.no-place", path=str(existing), why=why),
            advice=Message("payments.no-place-advice"),
            facts={"billed": "no", "path": str(existing)},
        )


def _check_room(folder: Path, needed: int, pictures: int, free: Free) -> None:
    left = free(folder)
    if left >= needed:
        return
    described = {"folder": str(folder), "free": f"{left / _MEGA:.1f}", "needed": f"{needed / _MEGA:.1f}"}
    raise StoreError(
        Message("payments.no-room", count=pictures, **described),
        advice=Message("payments.no-room-advice"),
        facts={"billed": "no", "path": str(folder), "free_bytes": left, "needed_bytes": needed},
    )
