"""Checks before a payment: a writable folder, and disk space for the pictures and the record.

In: a checked request, how much space a disk has. Out: nothing, or StoreError before anything is sent.
Never in here: a network, a key (see `Backend.key`), the record itself.
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
"""The free bytes of the disk that holds an existing folder."""

BYTES_PER_PIXEL = {"jpeg": 0.8, "png": 3.0}
"""Generous: measured 2K JPEGs of the service have 0.2 to 0.5, PNGs 1.2 to 2.2."""

RECORD_BYTES = 1_000_000
"""Far more than a few steps of the payment record and a sidecar need."""

_MEGA = 1_000_000


def free_bytes(folder: Path) -> int:
    """The free bytes of the folder's disk, as this user may use them."""
    return shutil.disk_usage(folder).free


def expected_bytes(request: ImageRequest) -> int:
    """The bytes that all pictures of a request may need: a cut picture keeps its original beside it."""
    pictures = request.count
    if request.layers:
        pictures = int(request.offer.parameters["layers"].extra["max_layers"]) + 1
    each = request.most_pixels * BYTES_PER_PIXEL.get(request.image_format, max(BYTES_PER_PIXEL.values()))
    copies = 2 if request.frame.ratio is not None or request.frame.frame is not None else 1
    return int(pictures * each * copies) + RECORD_BYTES


def check_ready(request: ImageRequest, folder: Path, stem: Path, record: Path, free: Free) -> None:
    """StoreError where the disk has no space for a picture or the record.

    `folder` exists and receives the part files; `stem` is where the pictures go; `record` is the payment record's file.
    """
    _check_folder(stem.parent)
    _check_space(folder, expected_bytes(request), request.count, free)
    _check_space(record.parent, RECORD_BYTES, request.count, free)


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


def _check_space(folder: Path, needed: int, pictures: int, free: Free) -> None:
    left = free(folder)
    if left >= needed:
        return
    space = {"folder": str(folder), "free": f"{left / _MEGA:.1f}", "needed": f"{needed / _MEGA:.1f}"}
    raise StoreError(
        Message("payments.no-room", count=pictures, **space),
        advice=Message("payments.no-room-advice"),
        facts={"billed": "no", "path": str(folder), "free_bytes": left, "needed_bytes": needed},
    )
