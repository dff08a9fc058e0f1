"""Stage 5 of one request: each paid picture becomes a file, or a reason why it did not.

In: slots of a reply, or recorded addresses. Out: `FinishedPicture`s, `Missing`s, notes. An address is recorded before
the download, so that the picture can be fetched later whatever happens. A picture that arrived inline has no address:
when its disk is full it is saved in a fallback folder, and a note says so.
Never in here: a POST, a price, the end of an entry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seedframe.catalog import Offer
from seedframe.errors import PictureError, SeedreamError, StoreError
from seedframe.messages import Message
from seedframe.payments import Entry, Kept, PaidFrame, Payments
from seedframe.service.client import Client
from seedframe.service.replies import Layer, Slot
from seedframe.service.request import ImageRequest
from seedframe.service.response_stream import Parts, disk_full
from seedframe.settings import Settings
from seedframe.studio import postprocess, results
from seedframe.studio.preflight import Free, check_ready
from seedframe.studio.rescue import RescueParts, RescuePlaces
from seedframe.studio.results import Missing
from seedframe.studio.store import Store, slug
from seedframe.studio.types import Picture, Result

ADDRESS_SECONDS = 86_400.0
"""How long the service keeps a finished picture (vendor's image API reference, read 2026-11)."""

Admit = Callable[[PaidFrame | None, Offer, int], Awaitable[None]]
"""Awaited before each POST with the board's frame, the offer and the number of pictures; returns when it may go out."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """What all jobs of a process share."""

    settings: Settings
    client: Client
    payments: Payments
    store: Store
    now: Callable[[], float]
    images: ThreadPoolExecutor
    downloads: asyncio.Semaphore
    free: Free
    admit: Admit | None = None

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run pixel work in one of the image threads."""
        return await asyncio.get_running_loop().run_in_executor(self.images, function, *arguments)


class Delivery:
    """Saves the pictures of one entry. `prompt` names the files where the caller gave no name."""

    def __init__(
        self, context: JobContext, entry: Entry, request: ImageRequest, prompt: str, say: Callable[[Message], None]
    ) -> None:
        self._context = context
        self._entry = entry
        self._request = request
        self._prompt = prompt
        self._say = say
        self._spare = RescuePlaces.beside(context.settings.journal)
        self.pictures: list[postprocess.FinishedPicture] = []
        self.missing: list[Missing] = []
        self.notes: list[Message] = []
        self.stem = Path()
        self.folder = Path()

    @property
    def made(self) -> list[postprocess.FinishedPicture]:
        """The pictures in order."""
        return sorted(self.pictures, key=lambda picture: picture.index)

    @property
    def fetchable(self) -> list[int]:
        """Numbers, from 0, of paid pictures that are not on the disk and can still be fetched."""
        return sorted(missing.index for missing in self.missing if missing.until is not None)

    def prepare(self) -> None:
        """Open the folders. StoreError when they cannot be."""
        store = self._context.store
        self.folder = store.prepare(self._entry.id)
        self.stem = store.stem(self._request.save_as, self._name())

    def check_ready(self) -> None:
        """StoreError where the disk has no space for the pictures or the record; nothing has been sent then."""
        record = self._context.settings.journal
        check_ready(self._request, self.folder, self.stem, record, self._context.free)

    def parts(self, call: int) -> RescueParts:
        """The part files of the answer to one call."""
        return RescueParts(self.folder, f"call-{call}", places=self._spare, name=self._entry.id)

    def discard(self) -> None:
        """Remove the part files."""
        self._context.store.discard(self._context.store.parts(self._entry.id))
        self._spare.discard(self._entry.id)

    async def land(self, slot: Slot, parts: Parts, index: int) -> None:
        """Save the picture of one slot of a reply, or note why it is missing."""
        if slot.error is not None:
            error = _unusable(results.slot_failure(slot), index)
            self.missing.append(Missing(index, error, slot.error.billed))
            return
        part = parts.path(slot.part if slot.part is not None else f"d{slot.index}")
        arrived = slot.part is not None or not slot.url
        address = str(part) if arrived else str(slot.url)
        kept = Kept(index, address, self._context.now() + ADDRESS_SECONDS, _slot_facts(slot, arrived=arrived))
        await self._context.payments.keep(self._entry.id, index, kept.address, kept.expires, kept.facts)
        await self.bring(kept, part)

    async def bring(self, kept: Kept, part: Path | None = None) -> None:
        """Save one recorded picture, or note why it is missing."""
        index = kept.slot
        part = part or self._part_of(kept)
        try:
            picture = await self._saved(kept, part)
        except (SeedreamError, OSError) as error:
            described = error if isinstance(error, SeedreamError) else disk_full(self.folder, error)
            until = kept.expires if _leads_somewhere(kept) and kept.expires > self._context.now() else None
            self.missing.append(Missing(index, _unusable(described, index, kept=until is not None), "yes", until=until))
        else:
            self.pictures.append(picture)
            self._say(Message("pipeline.saved", number=index + 1, path=picture.saved.path))

    async def _saved(self, kept: Kept, part: Path) -> postprocess.FinishedPicture:
        slot = _slot(kept)
        if not kept.arrived:
            async with self._context.downloads:
                seconds = f"{self._context.settings.download_timeout:g}"
                self._say(Message("network.downloading", number=kept.slot + 1, seconds=seconds))
                await self._context.client.download(kept.address, part)
            place = self._place(kept.slot)
            return await self._finished(part, slot, kept.slot, self._context.store, place, keep_part=False)
        try:
            if part.is_relative_to(self.folder):
                return await self._finished(part, slot, kept.slot, self._context.store, self._place(kept.slot))
        except (SeedreamError, OSError) as error:
            if not await self._context.in_thread(postprocess.is_whole, part):
                raise
            return await self._rescued(part, slot, kept.slot, error)
        return await self._rescued(part, slot, kept.slot, None)

    async def _finished(
        self, part: Path, slot: Slot, index: int, store: Store, stem: Path, *, keep_part: bool = True
    ) -> postprocess.FinishedPicture:
        """Save the picture. Without `keep_part` its part file goes: it can be fetched again."""
        place = postprocess.Destination(index, f"seedframe:{self._entry.id}-{index + 1}", stem)
        now = postprocess.utc(self._context.now())

        def work() -> postprocess.FinishedPicture:
            picture = postprocess.finish(part, slot, self._request, place, store, now)
            if not keep_part:
                part.unlink(missing_ok=True)
            return picture

        picture: postprocess.FinishedPicture = await self._context.in_thread(work)
        return picture

    async def _rescued(
        self, part: Path, slot: Slot, index: int, refused: SeedreamError | OSError | None
    ) -> postprocess.FinishedPicture:
        """Save a picture that cannot be fetched again in a fallback folder; raise `refused` where no disk has space."""
        for store, folder in self._spare.stores(self._entry.id):
            try:
                here = part if part.parent == folder else await asyncio.to_thread(_copied, part, folder)
                picture = await self._finished(here, slot, index, store, store.root / self._place(index).name)
            except (SeedreamError, OSError) as error:
                refused = refused or error
                continue
            where = {"path": str(picture.saved.path), "folder": str(self._context.store.root)}
            self.notes.append(Message("payments.rescued", number=index + 1, **where))
            return picture
        assert refused is not None
        raise refused

    def _part_of(self, kept: Kept) -> Path:
        if kept.arrived:
            return Path(kept.address)
        return self.folder / f"kept-{kept.slot}.part"

    def _place(self, index: int) -> Path:
        many = self._request.count > 1 or self._request.layers
        return self.stem.with_name(f"{self.stem.name}-{index + 1}") if many else self.stem

    def _name(self) -> str:
        words = self._request.prompt or self._prompt
        day = postprocess.utc(self._entry.created).strftime("%Y%m%d")
        return f"{day}-{slug(words)}-{self._entry.id[-6:].lower()}"


def write_records(
    store: Store, result: Result, sent: Mapping[str, Any], pictures: Iterable[Picture], settings: Settings
) -> Result:
    """Write the record beside each of `pictures`; a record that cannot be written becomes a warning of the result."""
    for picture in pictures:
        try:
            # A rescued picture lies elsewhere.
            place = store if picture.path.is_relative_to(store.root) else Store(picture.path.parent)
            place.write_sidecar(picture.path, results.sidecar(result, picture, sent))
        except StoreError as error:
            result = result.warned(Message("pipeline.no-record", why=error.message).text(settings.language))
    return result


def _leads_somewhere(kept: Kept) -> bool:
    """Whether another download may succeed: the address is a readable http or https URL."""
    try:
        parts = urlsplit(kept.address)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _copied(part: Path, folder: Path) -> Path:
    import shutil

    return Path(shutil.copyfile(part, folder / part.name))


def _slot_facts(slot: Slot, *, arrived: bool) -> dict[str, Any]:
    """What must be known of a slot to save its picture later."""
    return {"arrived": arrived, "size": slot.size, "layer": None if slot.layer is None else asdict(slot.layer)}


def _slot(kept: Kept) -> Slot:
    layer = kept.facts.get("layer")
    if layer is not None:
        box = layer["box"]
        layer = Layer(layer["z_index"], None if box is None else tuple(box), layer["name"], layer["description"])
    return Slot(kept.slot, url=kept.address, size=kept.facts.get("size"), layer=layer)


def _unusable(error: SeedreamError, index: int, *, kept: bool = False) -> SeedreamError:
    """The error for a paid picture that is damaged or could not be saved: which one, and what to do."""
    number, why = index + 1, error.message
    if "name" in why.values:  # the name of a part file means nothing to the caller
        why = Message(why.key, **{**why.values, "name": Message("pipeline.the-file")})
    for kind, key in ((StoreError, "not-saved"), (PictureError, "unusable")):
        if isinstance(error, kind):
            advice = Message("payments.kept-advice") if kept else Message(f"pipeline.{key}-advice")
            return kind(Message(f"pipeline.{key}", number=number, why=why), advice=advice, facts=error.facts)
    return error
