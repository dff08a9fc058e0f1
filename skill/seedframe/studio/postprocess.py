"""Stage 5, the pixels: a part file becomes the picture that was asked for, verified, framed and saved.

In: a part file and the request. Out: a `FinishedPicture`; PictureError for damaged bytes, StoreError when the disk
fails. Where the shape fits, the service's own bytes are saved untouched; a cut or shrunk file keeps its original
beside it. Synchronous: runs in an image thread. Never in here: a network, money.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from seedframe import images
from seedframe.errors import PictureError, SeedreamError, StoreError
from seedframe.geometry import Box, FrameGeometry, Size, frame_plan, is_far, nearest_named, ratio_text
from seedframe.messages import Language, Message
from seedframe.service.replies import Layer, Slot
from seedframe.service.request import ImageRequest
from seedframe.studio.store import Saved, Seal, Store
from seedframe.studio.types import AskedFrame, LayerPlace, Picture, Trust

SEALERS = 4
"""Threads that only wait for the disk, shared by all pictures of the process."""

PREVIEW_SIDES: Mapping[str, int | None] = {"none": None, "small": 640, "large": 1568}


@dataclass(frozen=True, slots=True)
class FinishedPicture:
    """One verified file on disk. `method` is `bytes` for exactly what the service sent, else how it was made."""

    id: str
    index: int
    saved: Saved
    original: Saved | None
    format: str
    size: Size
    received: Size
    method: str
    crop: Box | None
    moved: int
    share_cut: float
    ratio_error: float
    provenance_ended: bool
    trust: Trust
    layer: Layer | None
    notes: tuple[Message, ...]
    preview: bytes | None
    wrong_size: bool = False

    def described(self, language: Language) -> Picture:
        """The picture as a caller sees it, in one language."""
        changed = self.method != "bytes"
        return Picture(
            id=self.id,
            path=self.saved.path,
            width=self.size.width,
            height=self.size.height,
            mime=images.MIMES[self.format],
            bytes=self.saved.bytes,
            sha256=self.saved.sha256,
            method=self.method,
            crop=self.crop.corners if self.crop else None,
            ratio=nearest_named(self.size.ratio),
            trust=self.trust,
            received=str(self.received) if changed else None,
            moved=self.moved if changed else None,
            share_cut=round(self.share_cut, 4) if changed else None,
            ratio_error=round(self.ratio_error, 5) if changed or self.ratio_error else None,
            original=self.original.path if self.original else None,
            provenance_ended=self.provenance_ended,
            wrong_size=self.wrong_size,
            layer=LayerPlace(self.layer.z_index, self.layer.box, self.layer.name) if self.layer else None,
            notes=tuple(note.text(language) for note in self.notes),
        )


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one picture is saved: its number in the request, its id and the wanted name."""

    index: int
    id: str
    stem: Path


def finish(
    part: Path, slot: Slot, request: ImageRequest, place: Destination, store: Store, now: datetime
) -> FinishedPicture:
    """Verify, frame, save. The part stays, unless it is damaged.

    Until it is recorded where the picture is, it may be the only copy of a paid picture that anybody finds again.
    """
    try:
        return _finish(part, slot, request, place, store, now)
    except PictureError:
        if not is_whole(part):
            part.unlink(missing_ok=True)
        raise
    finally:
        _framed(part).unlink(missing_ok=True)


def is_whole(part: Path) -> bool:
    """Whether the part is a complete picture: while cutting, a full disk can look like a damaged file."""
    try:
        images.verify(part)
    except (SeedreamError, OSError):
        return False
    return True


def _finish(
    part: Path, slot: Slot, request: ImageRequest, place: Destination, store: Store, now: datetime
) -> FinishedPicture:
    arguments = request.frame
    side = PREVIEW_SIDES[request.preview]
    header = images.read_header(part)
    plan = frame_plan(header.displayed, ratio=arguments.ratio, frame=arguments.frame, anchor=arguments.anchor)
    if slot.layer is not None:
        plan = FrameGeometry(None, None, 0.0, 0.0)
    picture = FinishedPicture(
        id=place.id,
        index=place.index,
        saved=Saved(part, 0, ""),
        original=None,
        format=header.format,
        size=header.displayed,
        received=header.displayed,
        method="bytes",
        crop=None,
        moved=0,
        share_cut=0.0,
        ratio_error=plan.ratio_error,
        provenance_ended=False,
        trust=trust(request, method="bytes", now=now),
        layer=slot.layer,
        notes=_notes(slot, request, header, plan),
        preview=None,
        wrong_size=_is_wrong_size(slot, request, header.displayed),
    )
    # The part is flushed to the disk while it is decoded.
    sealing = _sealers().submit(store.seal, part)
    try:
        if not plan.untouched:
            return _frame(part, picture, plan, request, place, store, now, sealing)
        small = images.verify(part, preview_side=side).preview
        saved = store.commit(part, place.stem, header.format, sealing.result())
    finally:
        wait([sealing])  # also of a damaged picture: its part is removed next
    return replace(picture, saved=saved, preview=small)


@cache
def _sealers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(SEALERS, thread_name_prefix="seal")


def _frame(
    part: Path,
    picture: FinishedPicture,
    plan: FrameGeometry,
    request: ImageRequest,
    place: Destination,
    store: Store,
    now: datetime,
    sealing: Future[Seal],
) -> FinishedPicture:
    """Cut or shrink into a second file; the original stays beside it. Decoding all of it finds damage."""
    target = _framed(part)
    report = images.carry_out(part, target, plan, preview_side=PREVIEW_SIDES[request.preview])
    seal = sealing.result()
    saved = store.commit(target, place.stem, report.format)
    beside = saved.path.with_name(f"{saved.path.stem}.original")
    try:
        original = store.commit(part, beside, picture.format, seal)
    except StoreError:
        saved.path.unlink(missing_ok=True)  # a cut picture is never saved without its original
        raise
    wanted = request.frame.frame.ratio if request.frame.frame else request.frame.ratio
    return replace(
        picture,
        saved=saved,
        original=original,
        format=report.format,
        size=report.size,
        method=report.method,
        crop=report.box if plan.crop else None,
        moved=report.moved,
        share_cut=plan.share_cut,
        ratio_error=abs(float(report.size.ratio - wanted)) if wanted else 0.0,
        provenance_ended=report.provenance_ended,
        trust=trust(request, method=report.method, now=now),
        notes=(*picture.notes, *report.notes),
        preview=report.preview,
    )


def trust(request: ImageRequest, *, method: str, now: datetime) -> Trust:
    """Whether Seedance takes a realistic face from this picture: only untouched text-to-image originals of some models.

    Source: Volcengine doc 82379/2608626 (read 2026-11): originals of the same account, at most 30 days old.
    """
    reason = _distrust(request, method)
    if reason is not None:
        return Trust(False, reason)
    expires = now + timedelta(days=request.offer.model.trust_days or 0)
    return Trust(True, "original", expires.isoformat(timespec="seconds"))


def _distrust(request: ImageRequest, method: str) -> str | None:
    if request.offer.model.trust_days is None:
        return "model"
    if request.images:
        return "references"
    if not request.offer.backend.vendor:
        return "backend"
    return None if method == "bytes" else "changed"


def _expected(slot: Slot, request: ImageRequest) -> Size | None:
    """The size that was asked for in pixels; None where the model chooses, and for layers."""
    return None if slot.layer is not None else request.frame.expected


def _is_wrong_size(slot: Slot, request: ImageRequest, got: Size) -> bool:
    expected = _expected(slot, request)
    return expected is not None and is_far(got, expected)


def _framed(part: Path) -> Path:
    return part.with_name(part.name + ".framed")


def _notes(slot: Slot, request: ImageRequest, header: images.Header, plan: FrameGeometry) -> tuple[Message, ...]:
    """Notes where the file differs from the request or from what the service said."""
    layers = slot.layer is not None
    expected = _expected(slot, request)
    notes = list(
        images.differences(header, expected=expected, expected_format=None if layers else request.image_format)
    )
    if slot.size and not expected and slot.size.replace("×", "x") != str(header.displayed):
        notes.append(Message("framing.said-otherwise", said=slot.size, got=str(header.displayed)))
    if plan.too_small:
        notes.append(Message("framing.too-small", got=str(header.displayed), frame=str(request.frame.frame)))
    return tuple(notes)


def asked_frame(request: ImageRequest, language: Language) -> AskedFrame:
    """The size that was asked of the service, and the reason."""
    frame = request.frame
    return AskedFrame(
        asked=frame.asked or f"default ({request.offer.model.default_size})",
        ratio=None if frame.ratio is None else ratio_text(frame.ratio),
        frame=None if frame.frame is None else str(frame.frame),
        why=(frame.why or _why(request)).text(language),
    )


def _why(request: ImageRequest) -> Message:
    if request.frame.asked:
        return Message("framing.as-given")
    return Message("shapes.image-1-unread" if request.images and not request.layers else "shapes.service-decides")


def utc(seconds: float) -> datetime:
    """Seconds since the epoch as a UTC time."""
    return datetime.fromtimestamp(seconds, tz=UTC)
