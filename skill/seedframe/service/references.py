"""Input pictures: from whatever the caller names to what the wire takes, checked before anything is paid.

In: a request with paths, https URLs, data URIs and `seedframe:` ids in the caller's order. Out: one `Reference` each.
Local files are read only inside allowed folders, and only if they are pictures. Never in here: a prompt, a payment.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from seedframe import images
from seedframe.catalog import ReferenceLimits, catalog
from seedframe.errors import InvalidRequest, PictureError
from seedframe.geometry import Size
from seedframe.messages import Message
from seedframe.service.client import Client
from seedframe.service.lookup import LATEST, find, places
from seedframe.service.request import ImageRequest
from seedframe.studio.store import Store

EARLIER = "seedframe:"
_REMOTE = ("https://", "http://")


@dataclass(frozen=True, slots=True)
class Reference:
    """One input picture: `value` for the wire (data URI or URL), `shown` and `sha256` for people and records."""

    value: str
    shown: str
    sha256: str
    notes: tuple[Message, ...] = ()
    shape: Size | None = None
    """Width and height as displayed; None for a URL that is not read here."""


@dataclass(frozen=True, slots=True)
class ReferenceLoader:
    """Where references are prepared: allowed folders, the store's disk, the network, how earlier results are found."""

    roots: Sequence[Path]
    store: Store
    client: Client
    earlier: Callable[[str], Awaitable[Path | None]]


@dataclass(frozen=True, slots=True)
class _Rules:
    """What one request's references must be."""

    limits: ReferenceLimits
    fit: bool
    alpha: bool


async def gather(request: ImageRequest, desk: ReferenceLoader) -> tuple[Reference, ...]:
    """Every reference, in order. A dry run fetches nothing and leaves https URLs where they are."""
    offer = request.offer
    rules = _Rules(offer.references, request.fit_references, _needs_alpha(request))
    stay = offer.references.by == "url" or request.dry_run
    name = f"references-{uuid.uuid4().hex}"
    folder = await asyncio.to_thread(desk.store.prepare, name)
    try:
        return tuple(
            [
                await _load_one(image.strip(), folder / f"image-{number}", rules, desk, stay=stay)
                for number, image in enumerate(request.images, 1)
            ]
        )
    finally:
        await asyncio.to_thread(desk.store.discard, folder)


async def _load_one(wanted: str, part: Path, rules: _Rules, desk: ReferenceLoader, *, stay: bool) -> Reference:
    plain = (Message("references.plain-http", url=_shown_url(wanted)),) if wanted.startswith("http://") else ()
    if stay and wanted.startswith(_REMOTE):
        return Reference(wanted, _shown_url(wanted), hashlib.sha256(wanted.encode()).hexdigest(), plain)
    source, shown = await _local(wanted, part, rules.limits, desk)
    reference = await asyncio.to_thread(_inline, source, shown, part, rules)
    return replace(reference, notes=(*plain, *reference.notes))


def _needs_alpha(request: ImageRequest) -> bool:
    """Whether this model only keeps a background transparent that is so already."""
    if request.background != "transparent":
        return False
    return bool(request.offer.parameters["background"].extra["transparent_needs"] == "one-alpha-png")


async def _local(wanted: str, part: Path, limits: ReferenceLimits, desk: ReferenceLoader) -> tuple[Path, str]:
    """A file on this machine that holds the picture, and how to call it."""
    if wanted.startswith(EARLIER) or wanted == LATEST:
        found = await desk.earlier(wanted)
        if found is None and wanted == LATEST:
            raise _refused("shapes.no-latest", wanted, "path, https URL, data URI, seedframe: id")
        if found is None:
            raise _refused("references.unknown-earlier", wanted, "seedframe:<id>-<number>")
        return found, wanted
    if wanted.startswith("data:"):
        await asyncio.to_thread(_write_data_uri, wanted, part)
        return part, "data URI"
    if wanted.startswith(_REMOTE):
        await desk.client.fetch_reference(wanted, part, limits.max_bytes)
        return part, _shown_url(wanted)
    named = await asyncio.to_thread(find, wanted, places(desk.store.root))
    return await asyncio.to_thread(_allowed_file, named, desk.roots), wanted


def _inline(source: Path, shown: str, part: Path, rules: _Rules) -> Reference:
    limits = rules.limits
    header = images.read_header(source, scaled=True)
    size = source.stat().st_size
    too_big = size > limits.max_bytes or header.size.pixels > limits.max_pixels
    if too_big and not rules.fit:
        raise InvalidRequest(
            Message("references.too-big", name=shown, bytes=size, size=str(header.displayed)),
            field="images",
            got={"bytes": size, "size": str(header.displayed)},
            allowed={"bytes": limits.max_bytes, "pixels": limits.max_pixels},
            advice=Message("references.too-big-advice"),
        )
    images.verify(source)
    if rules.alpha and not (header.format == "png" and images.see_through(source)):
        raise _opaque(shown)
    fitted = images.fit_reference(source, part.with_suffix(".fitted"), limits)
    notes = tuple(Message("references.fitted", name=shown, why=note) for note in fitted.notes)
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


def _allowed_file(wanted: str, roots: Sequence[Path]) -> Path:
    """The real path of a regular file inside an allowed folder, links resolved."""
    text = unquote(urlsplit(wanted).path) if wanted.startswith("file://") else wanted
    path = Path(text).expanduser().absolute()
    try:
        real = path.resolve()
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
    # Asked last: nobody learns what lies outside the allowed folders.
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
