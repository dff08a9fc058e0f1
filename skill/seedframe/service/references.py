"""Input pictures: from whatever the caller names to what the wire takes, checked before anything is paid.

In: a request with paths, https URLs, data URIs and `seedframe:` ids in the caller's order. Out: one `Reference` each.
Local files are opened once, only inside allowed folders, and sent only if they are pictures; where they were taken
is not sent along. Never in here: a prompt, a payment.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import os
import shutil
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from seedframe import images
from seedframe.catalog import ReferenceLimits, catalog
from seedframe.confined_files import NoFile, Outside, open_confined
from seedframe.errors import InvalidRequest, PictureError, StoreError
from seedframe.geometry import Size
from seedframe.messages import Message
from seedframe.service.client import Client
from seedframe.service.lookup import LATEST, find, places
from seedframe.service.request import ImageRequest

EARLIER = "seedframe:"
_REMOTE = ("https://", "http://")
OUTSIDE = "references.outside"
LONGEST_SHOWN = 200
TRAILER_ALLOWANCE = 2
"""How many times the limit a file may have when it is opened: what follows the picture's end is not sent."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One input picture: `value` for the wire (data URI or URL), `shown` and `sha256` for people and records."""

    value: str
    shown: str
    sha256: str
    notes: tuple[Message, ...] = ()
    shape: Size | None = None
    """Width and height as displayed; None for a URL that is not read here."""


class Scratch(Protocol):
    """Where copies of references lie while a call is prepared; `root` is the output folder."""

    root: Path

    def prepare(self, name: str) -> Path:
        """A folder of that name, made. StoreError when it cannot be."""

    def discard(self, folder: Path) -> None:
        """The folder goes, with what is in it."""


@dataclass(frozen=True, slots=True)
class ReferenceLoader:
    """Where references are prepared: allowed folders, a disk for copies, the network, how earlier results are found."""

    roots: Sequence[Path]
    scratch: Scratch
    client: Client
    keep_metadata: bool
    earlier: Callable[[str], Awaitable[Path | None]]


@dataclass(frozen=True, slots=True)
class _Rules:
    """What one request's references must be."""

    limits: ReferenceLimits
    fit: bool
    alpha: bool
    keep_metadata: bool


async def gather(request: ImageRequest, desk: ReferenceLoader) -> tuple[Reference, ...]:
    """Every reference, in order. A dry run fetches nothing and leaves https URLs where they are."""
    offer = request.offer
    rules = _Rules(offer.references, request.fit_references, _needs_alpha(request), desk.keep_metadata)
    stay = offer.references.by == "url" or request.dry_run
    name = f"references-{uuid.uuid4().hex}"
    folder = await asyncio.to_thread(desk.scratch.prepare, name)
    try:
        return tuple(
            [
                await _load_one(image.strip(), folder / f"image-{number}", rules, desk, stay=stay)
                for number, image in enumerate(request.images, 1)
            ]
        )
    finally:
        await asyncio.to_thread(desk.scratch.discard, folder)


async def _load_one(wanted: str, part: Path, rules: _Rules, desk: ReferenceLoader, *, stay: bool) -> Reference:
    plain = (Message("references.plain-http", url=_shown_url(wanted)),) if wanted.startswith("http://") else ()
    if stay and wanted.startswith(_REMOTE):
        return Reference(wanted, _shown_url(wanted), hashlib.sha256(wanted.encode()).hexdigest(), plain)
    source, shown = await _local(wanted, part, rules, desk)
    reference = await asyncio.to_thread(_inline, source, shown, part, rules)
    return replace(reference, notes=(*plain, *reference.notes))


def _needs_alpha(request: ImageRequest) -> bool:
    """Whether this model only keeps a background transparent that is so already."""
    if request.background != "transparent":
        return False
    return bool(request.offer.parameters["background"].extra["transparent_needs"] == "one-alpha-png")


async def _local(wanted: str, part: Path, rules: _Rules, desk: ReferenceLoader) -> tuple[Path, str]:
    """A file on this machine that holds the picture, and how to call it."""
    if wanted.startswith(EARLIER) or wanted == LATEST:
        found = await desk.earlier(wanted)
        if found is None and wanted == LATEST:
            raise _refused("shapes.no-latest", wanted, "path, https URL, data URI, seedframe: id")
        if found is None:
            raise _refused("references.unknown-earlier", wanted[:LONGEST_SHOWN], "seedframe:<id>-<number>")
        return found, wanted
    if wanted.startswith("data:"):
        await asyncio.to_thread(_write_data_uri, wanted, part)
        return part, "data URI"
    if wanted.startswith(_REMOTE):
        shown = _shown_url(wanted)
        await desk.client.fetch_reference(wanted, part, rules.limits.max_bytes)
        return part, shown
    named = await asyncio.to_thread(find, wanted, places(desk.scratch.root))
    return await asyncio.to_thread(_copied, named, part, rules, desk.roots), wanted


def _inline(source: Path, shown: str, part: Path, rules: _Rules) -> Reference:
    limits = rules.limits
    header = images.read_header(source, scaled=True)
    removed = () if rules.keep_metadata else images.strip(source, stripped := part.with_suffix(".stripped"))
    source = stripped if removed else source
    size = source.stat().st_size
    if not rules.fit and (size > limits.max_bytes or header.size.pixels > limits.max_pixels):
        raise _too_big(shown, size, str(header.displayed), limits)
    images.verify(source)
    if rules.alpha and not (header.format == "png" and images.see_through(source)):
        raise _opaque(shown)
    fitted = images.fit_reference(source, part.with_suffix(".fitted"), limits)
    notes = tuple(Message("references.fitted", name=shown, why=note) for note in fitted.notes)
    if removed:
        notes = (Message("privacy.removed", name=shown, what=list(removed)), *notes)
    if fitted.bytes > limits.warn_bytes:
        notes = (*notes, Message("references.heavy", name=shown, bytes=fitted.bytes, advised=limits.warn_bytes))
    value = images.data_uri(fitted.path)
    return Reference(value, shown, hashlib.sha256(value.encode("ascii")).hexdigest(), notes, header.displayed)


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


def candidate(wanted: str) -> Path:
    """The path a name on this machine means, not yet checked. `NoFile` for one that means none."""
    try:
        text = unquote(urlsplit(wanted).path) if wanted.startswith("file://") else wanted
        return Path(text).expanduser().absolute()
    except (ValueError, RuntimeError):  # brackets in a file URL; the home of nobody
        raise NoFile(wanted) from None


def _copied(wanted: str, part: Path, rules: _Rules, roots: Sequence[Path]) -> Path:
    """A private copy of a file inside an allowed folder: from here on nobody else can change it."""
    try:
        path = candidate(wanted)
        file = open_confined(path, roots)
    except NoFile:
        allowed = "path, https URL, data URI, seedframe: id"
        raise _refused("references.no-file", wanted[:LONGEST_SHOWN], allowed) from None
    except Outside:
        raise InvalidRequest(
            Message(OUTSIDE, path=wanted[:LONGEST_SHOWN], roots=[str(root) for root in roots]),
            field="images",
            got=wanted[:LONGEST_SHOWN],
            allowed=[str(root) for root in roots],
            advice=Message("references.outside-advice"),
        ) from None
    with file:
        size = os.fstat(file.fileno()).st_size
        if not rules.fit and size > TRAILER_ALLOWANCE * rules.limits.max_bytes:
            raise _too_big(wanted[:LONGEST_SHOWN], size, "?", rules.limits)
        part.mkdir()
        target = part / path.name  # its own name, since errors tell it
        try:
            with target.open("wb") as copy:
                shutil.copyfileobj(file, copy)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise StoreError(
                Message("store.cannot-write", path=target, why=why), advice=Message("store.cannot-write-advice")
            ) from error
    return target


def _write_data_uri(uri: str, part: Path) -> None:
    head, _, body = uri.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise _refused("references.odd-data-uri", head[:60], "data:image/png;base64,…")
    try:
        part.write_bytes(binascii.a2b_base64("".join(body.split()).encode("ascii"), strict_mode=True))
    except (binascii.Error, UnicodeEncodeError):
        raise PictureError(Message("references.damaged-data-uri")) from None


def _refused(key: str, got: str, allowed: str) -> InvalidRequest:
    return InvalidRequest(Message(key, got=got), field="images", got=got, allowed=allowed)


def _shown_url(url: str) -> str:
    """An address fit to be shown; InvalidRequest for what cannot be one."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise _refused("references.odd-address", url[:LONGEST_SHOWN], "https://…") from None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
