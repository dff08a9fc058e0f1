"""Files to be sent as input pictures: opened inside allowed folders, checked, cleaned, refitted.

In: an open file and what the service takes. Out: a `FilePart` with notes about what was changed. A file that can be
sent as it is stays where it is; only one that must be changed is copied, to a folder of the call.
Everything is synchronous; callers run it in threads. Never in here: a network, a request, a whole picture in memory.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from seedframe import images
from seedframe.catalog import ReferenceLimits, catalog
from seedframe.confined_files import NoFile, Outside, locate, open_confined
from seedframe.errors import InvalidRequest, StoreError
from seedframe.geometry import Size
from seedframe.messages import Message
from seedframe.service.file_part import FilePart

OUTSIDE = "references.outside"
LONGEST_SHOWN = 200
TRAILER_ALLOWANCE = 2
"""The largest file that is opened, as a multiple of the limit: bytes after the picture's end are not sent."""


@dataclass(frozen=True, slots=True)
class ReferenceRules:
    """What one request's references must be, and what is done to them.

    `fit`: one that is too large is refitted, not refused. `alpha`: it must be a PNG that is transparent somewhere.
    `keep_metadata`: places and trailing bytes stay. `decode`: every pixel is decoded as a proof.
    """

    limits: ReferenceLimits
    fit: bool
    alpha: bool
    keep_metadata: bool
    decode: bool


@dataclass(frozen=True, slots=True)
class ReadyFile:
    """What is sent, what was changed for it, and the size of the picture as displayed before that."""

    part: FilePart
    notes: tuple[Message, ...]
    shape: Size


@dataclass(frozen=True, slots=True)
class _Source:
    """An open picture file. `name` is how it is shown, `copy` makes a path where nobody else can change it.

    `path` is as its caller wrote it, `real` without links.
    """

    file: BinaryIO
    path: Path
    real: Path
    name: str
    copy: Callable[[], Path]


class ReferenceFile:
    """One reference on its way. `folder` makes the call's folder; `own` names the files in it."""

    def __init__(self, rules: ReferenceRules, checks: images.FileChecks, folder: Callable[[], Path], own: str) -> None:
        self._rules = rules
        self._checks = checks
        self._folder = folder
        self._own = own

    def inside(self, wanted: str, shown: str, roots: Sequence[Path]) -> ReadyFile:
        """A caller's file, if it lies inside one of the `roots`. InvalidRequest says why not."""
        path, real, file = _opened(wanted, roots)
        with file:
            size = os.fstat(file.fileno()).st_size
            if not self._rules.fit and size > TRAILER_ALLOWANCE * self._rules.limits.max_bytes:
                raise _too_big(wanted[:LONGEST_SHOWN], size, "?", self._rules.limits)
            return self._ready(_Source(file, path, real, shown, lambda: self._copied(file, path)))

    def at(self, path: Path, shown: str) -> ReadyFile:
        """A file of ours: fetched, unpacked or made earlier."""
        with images.guarded(path), path.open("rb", buffering=0) as file:
            return self._ready(_Source(file, path, Path(os.path.realpath(path)), shown, lambda: path))

    def _ready(self, source: _Source) -> ReadyFile:
        limits = self._rules.limits
        checked, path, removed = self._cleaned(source)
        header, size, shape = checked.header, checked.stamp.bytes, checked.header.displayed
        if not self._rules.fit and (size > limits.max_bytes or header.size.pixels > limits.max_pixels):
            raise _too_big(source.name, size, str(shape), limits)
        if self._rules.alpha and not (header.format == "png" and images.see_through(path or source.copy())):
            raise _opaque(source.name)
        if self._rules.decode:
            images.verify(path or source.copy())
        reasons = images.refit_reasons(source.path, header, size, limits)
        notes = [Message("privacy.removed", name=source.name, what=list(removed))] if removed else []
        notes += [Message("references.fitted", name=source.name, why=reason) for reason in reasons]
        if reasons:
            fitted = self._folder() / f"{self._own}.fitted"
            with self._checks.refitting:
                images.fit_reference(path or source.copy(), fitted, limits)
            checked, path = self._checks.at(fitted), fitted
        if checked.stamp.bytes > limits.warn_bytes:
            size, advised = checked.stamp.bytes, limits.warn_bytes
            notes.append(Message("references.heavy", name=source.name, bytes=size, advised=advised))
        part = FilePart(path or source.real, checked.header.mime, checked.sha256, checked.checksum, checked.stamp)
        return ReadyFile(part, tuple(notes), shape)

    def _cleaned(self, source: _Source) -> tuple[images.CheckedFile, Path | None, Sequence[Message]]:
        """The facts of the file to send; where that is a cleaned copy, its path and what was removed."""
        checked = self._checks.check(source.file, source.path)
        if self._rules.keep_metadata or not checked.carries_more:
            return checked, None, ()
        stripped = self._folder() / f"{self._own}.stripped"
        removed = images.strip(source.copy(), stripped)
        if removed:
            return self._checks.at(stripped), stripped, removed
        checked = replace(checked, carries_more=False)
        self._checks.remember(source.path, checked)
        return checked, None, ()

    def _copied(self, file: BinaryIO, path: Path) -> Path:
        """A private copy: from here on nobody else can change it."""
        folder = self._folder() / self._own
        target = folder / path.name  # its own name, since errors show it
        if target.exists():
            return target
        file.seek(0)
        try:
            folder.mkdir(exist_ok=True)
            with target.open("wb") as copy:
                shutil.copyfileobj(file, copy, 1 << 18)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise StoreError(
                Message("store.cannot-write", path=target, why=why), advice=Message("store.cannot-write-advice")
            ) from error
        return target


def candidate(wanted: str) -> Path:
    """The path a name refers to on this machine, not yet checked. `NoFile` when there is none."""
    try:
        text = unquote(urlsplit(wanted).path) if wanted.startswith("file://") else wanted
        return Path(text).expanduser().absolute()
    except (ValueError, RuntimeError):  # brackets in a file URL; the home of an unknown user
        raise NoFile(wanted) from None


def refused(key: str, got: str, allowed: str) -> InvalidRequest:
    """The error for a name without a picture."""
    return InvalidRequest(Message(key, got=got), field="images", got=got, allowed=allowed)


def _opened(wanted: str, roots: Sequence[Path]) -> tuple[Path, Path, BinaryIO]:
    """The path as it is written and without links, and the open file."""
    try:
        path = candidate(wanted)
        place = locate(path, roots)
        return path, place.path, open_confined(place.path, roots)
    except NoFile:
        allowed = "path, https URL, data URI, seedframe: id"
        raise refused("references.no-file", wanted[:LONGEST_SHOWN], allowed) from None
    except Outside:
        raise InvalidRequest(
            Message(OUTSIDE, path=wanted[:LONGEST_SHOWN], roots=[str(root) for root in roots]),
            field="images",
            got=wanted[:LONGEST_SHOWN],
            allowed=[str(root) for root in roots],
            advice=Message("references.outside-advice"),
        ) from None


def _opaque(shown: str) -> InvalidRequest:
    return InvalidRequest(
        Message("references.no-alpha", got=shown),
        field="images",
        got=shown,
        allowed="image/png, alpha",
        advice=Message("references.no-alpha-advice", models=catalog().freely_transparent),
    )


def _too_big(shown: str, bytes: int, size: str, limits: ReferenceLimits) -> InvalidRequest:
    return InvalidRequest(
        Message("references.too-big", name=shown, bytes=bytes, size=size),
        field="images",
        got={"bytes": bytes, "size": size},
        allowed={"bytes": limits.max_bytes, "pixels": limits.max_pixels},
        advice=Message("references.too-big-advice"),
    )
