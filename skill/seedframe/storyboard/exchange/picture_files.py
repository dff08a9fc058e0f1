"""A finished picture where another tool looks for it, in the format its name says.

In: a verified picture of ours, a path. Out: a file, whole or not at all; one that is there stays unless it may be
replaced. PNG from JPEG is written without loss of pixels. Never in here: which path.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seedframe.errors import StoreError
from seedframe.images import guarded, sniff
from seedframe.messages import Message
from seedframe.storyboard.exchange.project import Filled, Keyframe

FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
OPTIONS: dict[str, dict[str, Any]] = {"jpeg": {"quality": 95}, "webp": {"lossless": True}}
"""How a picture is written in a format it did not come in."""


def put_all(pairs: Iterable[tuple[Keyframe, Path]], folder: Path, *, replace: bool) -> Filled:
    """Write each picture to its path in the folder; StoreError when a picture of ours is not what its record says."""
    written, kept = [], []
    for keyframe, path in pairs:
        _refuse_links(path, folder)
        check(keyframe.path, keyframe.facts.get("sha256"))
        if path.exists() and not replace:
            kept.append(path)
        else:
            put(keyframe.path, path)
            written.append(path)
    return Filled(tuple(written), tuple(kept))


def put(source: Path, path: Path) -> None:
    """A copy of a picture under another name, converted where the name says another format."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        convert(source, part, FORMATS[path.suffix.lower()])
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(Message("store.cannot-write", path=path, why=error.strerror or "OSError")) from error


def convert(source: Path, target: Path, format: str) -> None:
    """The same pixels as `png`, `jpeg` or `webp`; byte for byte where the picture is in that format already."""
    if sniff(source.read_bytes()[:64]) == format:
        shutil.copyfile(source, target)
        return
    from PIL import Image

    options = OPTIONS.get(format, {})
    with guarded(source), Image.open(source) as picture:
        whole = picture.convert("RGB") if format == "jpeg" else picture
        whole.save(target, format.upper(), **options)


def _refuse_links(path: Path, folder: Path) -> None:
    """A link inside a project may lead anywhere, so nothing is written through one; the folder itself may be one."""
    inner = path.relative_to(folder)
    if any((folder / part).is_symlink() for part in (inner, *inner.parents[:-1])):
        raise StoreError(Message("exchange.is-link", path=path))


def check(path: Path, sha256: str | None) -> None:
    """Only a picture that lies there with its recorded checksum is handed on; StoreError for any other."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        found = ""
    if not found or (sha256 and found != sha256):
        raise StoreError(Message("exchange.not-verified", path=path))
