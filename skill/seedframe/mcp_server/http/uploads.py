"""Pictures that callers bring: `POST /uploads` takes the bytes of one and gives an id for `images`.

In: a request body, streamed to the caller's own folder. Out: `upload:<id>`, or a reason with an HTTP status.
An upload that is not a picture is removed at once; old ones, and the oldest of too many, when the next one comes.
Never in here: who calls, a model's limits (they are checked when the picture is used).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio

from seedframe.errors import InvalidRequest
from seedframe.messages import Message
from seedframe.private_files import make_private_folder, open_private

FOLDER = "uploads"
PREFIX = "upload:"
KEPT_SECONDS = 86_400.0
MOST_KEPT = 100
"""Uploads of one caller that are kept at most; the oldest go first."""


class UploadTooLarge(Exception):
    """More bytes than one upload may have."""


async def keep(pieces: AsyncIterator[bytes], root: Path, most: int) -> str:
    """The id of a picture, once it is on the disk. UploadTooLarge; SeedreamError for what is not a picture."""
    from seedframe import images

    folder = make_private_folder(root / FOLDER)
    _sweep(folder)
    name = secrets.token_hex(16)
    part = folder / name
    try:
        async with await anyio.open_file(part, "xb", opener=open_private) as file:
            async for piece in _bounded(pieces, most):
                await file.write(piece)
        await asyncio.to_thread(images.read_header, part, scaled=True)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return f"{PREFIX}{name}"


async def _bounded(pieces: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > most:
            raise UploadTooLarge
        yield piece


def uploaded(reference: str, root: Path) -> Path:
    """The file behind `upload:<id>`. InvalidRequest when this caller has no such upload."""
    name = reference.removeprefix(PREFIX)
    file = root / FOLDER / name
    if not (len(name) == 32 and name.isalnum() and file.is_file()):
        raise InvalidRequest(
            Message("http.no-upload", got=reference[:80]),
            field="images",
            got=reference[:80],
            allowed=f"{PREFIX}<id>",
            advice=Message("http.no-upload-advice"),
        )
    return file


def _sweep(folder: Path) -> None:
    """Remove old uploads, and the oldest ones above the limit."""
    dated = []
    for file in folder.iterdir():
        with contextlib.suppress(OSError):
            dated.append((file.stat().st_mtime, file))
    dated.sort(key=lambda entry: entry[0], reverse=True)
    for number, (time_made, file) in enumerate(dated):
        if number >= MOST_KEPT - 1 or time.time() - time_made > KEPT_SECONDS:
            with contextlib.suppress(OSError):
                file.unlink()
