"""Input pictures: from whatever the caller names to what the wire takes, checked before anything is paid.

In: a request with paths, https URLs, data URIs and `seedframe:` ids in the caller's order. Out: one `Reference` each,
whose file is read again while it is sent. Local files are read only inside allowed folders, and only if they are
pictures. Never in here: a prompt, a payment, a whole picture in memory.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from seedframe import images
from seedframe.catalog import ReferenceLimits, catalog
from seedframe.errors import InvalidRequest, PictureError
from seedframe.geometry import Size
from seedframe.messages import Message
from seedframe.service.client import Client
from seedframe.service.file_part import FilePart
from seedframe.service.lookup import LATEST, find
from seedframe.service.request import ImageRequest

EARLIER = "seedframe:"
_REMOTE = ("https://", "http://")
_FILES_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Reference:
    """One input picture: `value` for the wire (a file or a URL), `shown` and `sha256` for people and records."""

    value: str | FilePart
    shown: str
    sha256: str
    notes: tuple[Message, ...] = ()
    shape: Size | None = None
    """Width and height as displayed; None for a URL that is not read here."""


class ReferenceTools:
    """What the references of all calls of a process share: what is known of files, and one refit at a time.

    With `decode` every pixel is decoded before a picture is sent.
    """

    def __init__(self, *, decode: bool = False) -> None:
        self.checks = images.FileChecks(decode=decode)
        self.reading = asyncio.Semaphore(_FILES_AT_ONCE)
        self.refitting = asyncio.Lock()


@dataclass(frozen=True, slots=True)
class ReferenceLoader:
    """Where references are prepared: allowed folders, the network, how earlier results are found.

    `folder` makes a folder for what is fetched, unpacked or refitted, when it is first needed; it must stay until the
    call has been sent. `places` are the folders where a relative path is looked up.
    """

    roots: Sequence[Path]
    places: Sequence[Path]
    folder: Callable[[], Path]
    client: Client
    tools: ReferenceTools
    earlier: Callable[[str], Awaitable[Path | None]]


@dataclass(frozen=True, slots=True)
class _Rules:
    """What one request's references must be."""

    limits: ReferenceLimits
    fit: bool
    alpha: bool


async def gather(request: ImageRequest, loader: ReferenceLoader) -> tuple[Reference, ...]:
    """Every reference, in order. A dry run fetches nothing and leaves https URLs where they are.

    Several are prepared at a time; of several errors the first reference's is raised, once nothing runs any more.
    """
    offer = request.offer
    rules = _Rules(offer.references, request.fit_references, _needs_alpha(request))
    stay = offer.references.by == "url" or request.dry_run
    loading = (
        _load_one(image.strip(), f"image-{number}", rules, loader, stay=stay)
        for number, image in enumerate(request.images, 1)
    )
    loaded = await asyncio.gather(*loading, return_exceptions=True)
    for reference in loaded:
        if isinstance(reference, BaseException):
            raise reference
    return tuple(reference for reference in loaded if isinstance(reference, Reference))


async def _load_one(wanted: str, name: str, rules: _Rules, loader: ReferenceLoader, *, stay: bool) -> Reference:
    plain = (Message("references.plain-http", url=_shown_url(wanted)),) if wanted.startswith("http://") else ()
    if stay and wanted.startswith(_REMOTE):
        return Reference(wanted, _shown_url(wanted), hashlib.sha256(wanted.encode()).hexdigest(), plain)
    async with loader.tools.reading:
        source, shown = await _local(wanted, name, rules.limits, loader)
        checked = await asyncio.to_thread(_checked, source, shown, rules, loader.tools.checks)
    reasons = images.refit_reasons(source, checked.header, checked.stamp.bytes, rules.limits)
    notes = (*plain, *(Message("references.fitted", name=shown, why=reason) for reason in reasons))
    shape = checked.header.displayed
    if reasons:
        fitted = (await asyncio.to_thread(loader.folder)) / f"{name}.fitted"
        async with loader.tools.refitting:
            await asyncio.to_thread(images.fit_reference, source, fitted, rules.limits)
        source, checked = fitted, await asyncio.to_thread(_check, fitted, loader.tools.checks)
    if checked.stamp.bytes > rules.limits.warn_bytes:
        advised = rules.limits.warn_bytes
        notes = (*notes, Message("references.heavy", name=shown, bytes=checked.stamp.bytes, advised=advised))
    part = FilePart(source, checked.header.mime, checked.sha256, checked.stamp)
    return Reference(part, shown, checked.sha256, notes, shape)


def _needs_alpha(request: ImageRequest) -> bool:
    """Whether this model only keeps a background transparent that is so already."""
    if request.background != "transparent":
        return False
    return bool(request.offer.parameters["background"].extra["transparent_needs"] == "one-alpha-png")


async def _local(wanted: str, name: str, limits: ReferenceLimits, loader: ReferenceLoader) -> tuple[Path, str]:
    """A file on this machine that holds the picture, and how to call it."""
    if wanted.startswith(EARLIER) or wanted == LATEST:
        found = await loader.earlier(wanted)
        if found is None and wanted == LATEST:
            raise _refused("shapes.no-latest", wanted, "path, https URL, data URI, seedframe: id")
        if found is None:
            raise _refused("references.unknown-earlier", wanted, "seedframe:<id>-<number>")
        return await asyncio.to_thread(found.resolve), wanted
    if wanted.startswith("data:"):
        part = (await asyncio.to_thread(loader.folder)) / name
        await asyncio.to_thread(_write_data_uri, wanted, part)
        return part, "data URI"
    if wanted.startswith(_REMOTE):
        part = (await asyncio.to_thread(loader.folder)) / name
        await loader.client.fetch_reference(wanted, part, limits.max_bytes)
        return part, _shown_url(wanted)
    return await asyncio.to_thread(_allowed_file, wanted, loader.places, loader.roots), wanted


def _checked(source: Path, shown: str, rules: _Rules, checks: images.FileChecks) -> images.CheckedFile:
    """The facts about a picture that may be sent, if need be after a refit."""
    limits = rules.limits
    checked = _check(source, checks)
    header, size = checked.header, checked.stamp.bytes
    if not rules.fit and (size > limits.max_bytes or header.size.pixels > limits.max_pixels):
        raise InvalidRequest(
            Message("references.too-big", name=shown, bytes=size, size=str(header.displayed)),
            field="images",
            got={"bytes": size, "size": str(header.displayed)},
            allowed={"bytes": limits.max_bytes, "pixels": limits.max_pixels},
            advice=Message("references.too-big-advice"),
        )
    if rules.alpha and not (header.format == "png" and images.see_through(source)):
        raise _opaque(shown)
    return checked


def _check(source: Path, checks: images.FileChecks) -> images.CheckedFile:
    with images.guarded(source), source.open("rb", buffering=0) as file:
        return checks.check(file, source)


def _opaque(shown: str) -> InvalidRequest:
    return InvalidRequest(
        Message("references.no-alpha", got=shown),
        field="images",
        got=shown,
        allowed="image/png, alpha",
        advice=Message("references.no-alpha-advice", models=catalog().freely_transparent),
    )


def _allowed_file(named: str, places: Sequence[Path], roots: Sequence[Path]) -> Path:
    """The real path of a regular file inside an allowed folder, links resolved."""
    wanted = find(named, places)
    text = unquote(urlsplit(wanted).path) if wanted.startswith("file://") else wanted
    path = Path(text).expanduser().absolute()
    try:
        real = path.resolve(strict=True)
        regular = real.is_file()
    except (OSError, ValueError):
        raise _refused("references.no-file", wanted[:200], "path, https URL, data URI, seedframe: id") from None
    if not any(real.is_relative_to(root.resolve()) for root in roots):
        raise InvalidRequest(
            Message("references.outside", path=wanted[:200], roots=[str(root) for root in roots]),
            field="images",
            got=wanted[:200],
            allowed=[str(root) for root in roots],
            advice=Message("references.outside-advice"),
        )
    if not regular:
        raise _refused("references.no-file", wanted[:200], "path, https URL, data URI, seedframe: id")
    return real


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
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
