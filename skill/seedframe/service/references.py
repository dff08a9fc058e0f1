"""Input pictures: the caller's names become values for the request, checked before anything is paid.

In: a request with paths, https URLs, data URIs and `seedframe:` ids in the caller's order. Out: one `Reference` each,
whose file is read again while it is sent. Local files are opened once, only inside allowed folders, and sent only if
they are pictures; the place where they were taken is not sent. Never in here: a prompt, a payment, a picture in memory.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from seedframe import images
from seedframe.errors import PictureError
from seedframe.geometry import Size
from seedframe.messages import Message
from seedframe.service.client import Client
from seedframe.service.file_part import FilePart
from seedframe.service.lookup import LATEST, find
from seedframe.service.reference_files import LONGEST_SHOWN, ReadyFile, ReferenceFile, ReferenceRules, refused
from seedframe.service.request import ImageRequest

EARLIER = "seedframe:"
_REMOTE = ("https://", "http://")
_FILES_AT_ONCE = 2
_TEXT_PIECE = 1 << 18
"""Characters of a data URI that are decoded at a time: a multiple of 4."""


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
    """What the references of all calls of a process share: what is known of files, and how many are read at a time."""

    def __init__(self) -> None:
        self.checks = images.FileChecks()
        self.reading = asyncio.Semaphore(_FILES_AT_ONCE)


@dataclass(frozen=True, slots=True)
class ReferenceLoader:
    """Where references are prepared: allowed folders, the network, how earlier results are found.

    `folder` makes a folder for what is fetched, unpacked or changed, when it is first needed; it must stay until the
    call has been sent. `places` are the folders where a relative path is looked up.
    """

    roots: Sequence[Path]
    places: Sequence[Path]
    folder: Callable[[], Path]
    client: Client
    tools: ReferenceTools
    earlier: Callable[[str], Awaitable[Path | None]]
    keep_metadata: bool = False
    decode: bool = False


async def gather(request: ImageRequest, loader: ReferenceLoader) -> tuple[Reference, ...]:
    """Every reference, in order. A dry run fetches nothing and leaves https URLs where they are.

    Two are prepared at a time; of several errors that of the first reference is raised, after all have ended.
    """
    offer = request.offer
    rules = ReferenceRules(
        offer.references, request.fit_references, _needs_alpha(request), loader.keep_metadata, loader.decode
    )
    stay = offer.references.by == "url" or request.dry_run
    loading = [
        _load_one(image.strip(), f"image-{number}", rules, loader, stay=stay)
        for number, image in enumerate(request.images, 1)
    ]
    loaded = await asyncio.gather(*loading, return_exceptions=True)
    for reference in loaded:
        if isinstance(reference, BaseException):
            raise reference
    return tuple(reference for reference in loaded if isinstance(reference, Reference))


async def _load_one(wanted: str, name: str, rules: ReferenceRules, loader: ReferenceLoader, *, stay: bool) -> Reference:
    plain = (Message("references.plain-http", url=_shown_url(wanted)),) if wanted.startswith("http://") else ()
    if stay and wanted.startswith(_REMOTE):
        return Reference(wanted, _shown_url(wanted), hashlib.sha256(wanted.encode()).hexdigest(), plain)
    async with loader.tools.reading:
        prepare = await _prepared(wanted, name, rules, loader)
        ready = await asyncio.to_thread(prepare)
    shown = _shown(wanted)
    return Reference(ready.part, shown, ready.part.sha256, (*plain, *ready.notes), ready.shape)


def _needs_alpha(request: ImageRequest) -> bool:
    """Whether this model only keeps a background transparent that is so already."""
    if request.background != "transparent":
        return False
    return bool(request.offer.parameters["background"].extra["transparent_needs"] == "one-alpha-png")


async def _prepared(wanted: str, name: str, rules: ReferenceRules, loader: ReferenceLoader) -> Callable[[], ReadyFile]:
    """The work that makes a file ready that is on this machine now."""
    one, shown = ReferenceFile(rules, loader.tools.checks, loader.folder, name), _shown(wanted)
    if wanted.startswith(EARLIER) or wanted == LATEST:
        found = await loader.earlier(wanted)
        if found is None and wanted == LATEST:
            raise refused("shapes.no-latest", wanted, "path, https URL, data URI, seedframe: id")
        if found is None:
            raise refused("references.unknown-earlier", wanted[:LONGEST_SHOWN], "seedframe:<id>-<number>")
        return partial(one.at, found, shown)
    if wanted.startswith(("data:", *_REMOTE)):
        folder = await asyncio.to_thread(loader.folder)
        part = folder / name
        if wanted.startswith("data:"):
            await asyncio.to_thread(_write_data_uri, wanted, part)
        else:
            await loader.client.fetch_reference(wanted, part, rules.limits.max_bytes)
        return partial(one.at, part, shown)
    named = await asyncio.to_thread(find, wanted, loader.places)
    return partial(one.inside, named, shown, loader.roots)


def _write_data_uri(uri: str, part: Path) -> None:
    """Decode into a file, piece by piece. InvalidRequest for another kind of URI, PictureError for damaged base64."""
    start = uri.find(",") + 1
    head = uri[:start].rstrip(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise refused("references.odd-data-uri", uri[:60].partition(",")[0], "data:image/png;base64,…")
    left = ""
    try:
        with part.open("wb") as file:
            for at in range(start, len(uri), _TEXT_PIECE):
                text = left + "".join(uri[at : at + _TEXT_PIECE].split())
                whole = len(text) if at + _TEXT_PIECE >= len(uri) else len(text) // 4 * 4
                file.write(_decoded(text[:whole], last=whole == len(text) and at + _TEXT_PIECE >= len(uri)))
                left = text[whole:]
    except (binascii.Error, UnicodeEncodeError):
        raise PictureError(Message("references.damaged-data-uri")) from None


def _decoded(text: str, *, last: bool) -> bytes:
    """The bytes of a piece; padding belongs into the last one only."""
    if not last and "=" in text:
        raise binascii.Error("padding before the end")
    return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)


def _shown(wanted: str) -> str:
    """How a reference is shown: an address without parts that may be secret, never a whole data URI."""
    if wanted.startswith("data:"):
        return "data URI"
    return _shown_url(wanted) if wanted.startswith(_REMOTE) else wanted


def _shown_url(url: str) -> str:
    """An address that is safe to show; InvalidRequest when it is not an address."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise refused("references.odd-address", url[:LONGEST_SHOWN], "https://…") from None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
