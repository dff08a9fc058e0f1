"""Stage 4, the answer: an open HTTP response becomes part files and slots while it arrives.

In: a response whose body has not been read. Out: each slot as soon as it is whole, then the `Reply`, or what arrived
before it broke off. The first bytes decide between JSON and an event stream, since gateways mislabel both. Base64 is
written straight to its file. Never in here: opening a connection, a retry, a decision about money.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from seedframe.errors import ApiError, OutcomeUnknown, StoreError
from seedframe.limits import limits
from seedframe.messages import Message
from seedframe.service.base64_stream import Base64Extractor, ImageChunk
from seedframe.service.events import Closing, Done, read_event
from seedframe.service.failures import failure, request_id
from seedframe.service.network.bodies import OddEncoding, TooMuch, unpacked
from seedframe.service.replies import Reply, Slot, SlotError, is_emulated

BOM = b"\xef\xbb\xbf"
_STREAM_BEGINNINGS = (b"event:", b"data:", b"id:", b"retry:", b":")

SlotHandler = Callable[[Slot], Awaitable[None]]


@dataclass(slots=True)
class Parts:
    """The part files of one call: numbered files in one folder. `broken` ones were cut or damaged."""

    folder: Path
    stem: str
    broken: set[int] = field(default_factory=set)
    _open: dict[int, BinaryIO] = field(default_factory=dict)

    def path(self, name: int | str) -> Path:
        """The file of a part; a string names one that is downloaded."""
        return self.folder / f"{self.stem}-{name}.part"

    def write(self, pieces: Iterable[ImageChunk]) -> None:
        """Append decoded bytes to their files. StoreError when the disk is full.

        Not in a thread: 64 KiB of base64 take a fraction of a millisecond, less than a switch of threads.
        """
        try:
            for piece in pieces:
                self._write(piece)
        except OSError as error:
            raise disk_full(self.folder, error) from error

    def close(self) -> None:
        """Close the files that were not finished; their pictures are broken."""
        for part, file in self._open.items():
            self.broken.add(part)
            file.close()
        self._open.clear()

    def _write(self, piece: ImageChunk) -> None:
        if piece.part not in self._open:
            self._open[piece.part] = self.path(piece.part).open("wb")
        self._open[piece.part].write(piece.data)
        if piece.broken:
            self.broken.add(piece.part)
        if piece.last:
            self._open.pop(piece.part).close()


class ResponseReader:
    """One answer being received. `arrived` is awaited for each slot."""

    def __init__(
        self, parts: Parts, arrived: SlotHandler, *, read: Callable[[int, Mapping[str, str], bytes], Reply]
    ) -> None:
        self._read_document = read
        self._parts = parts
        self._arrived = arrived
        self._slots: dict[int, Slot] = {}
        self._headers: Mapping[str, str] = {}

    async def read(self, response: httpx.Response) -> Reply:
        """All of it. ApiError: a refusal. OutcomeUnknown: not understood. httpx errors: it broke off."""
        self._headers = response.headers
        lean = self._without_pictures(response)
        if response.status_code >= 400:
            raise failure(response.status_code, response.headers, await _beginning(lean))
        head = b""
        async for piece in lean:
            head += piece
            if not BOM.startswith(head) and head.removeprefix(BOM).strip():
                break
        if _is_stream(head, response.headers):
            return await self._read_events(head.removeprefix(BOM), lean)
        document = head + b"".join([piece async for piece in lean])
        reply = self._read_document(response.status_code, response.headers, document)
        for slot in reply.slots:
            await self._take(slot)
        return replace(reply, slots=self._ordered())

    def rest(self) -> Reply | None:
        """The reply with what arrived before the answer broke off; None without any picture."""
        if not self._slots:
            return None
        return Reply(self._ordered(), emulated=is_emulated(self._headers), complete=False, **self._id())

    async def _read_events(self, head: bytes, lean: AsyncIterator[bytes]) -> Reply:
        from httpx_sse import EventSource

        facts: Mapping[str, Any] = {}
        complete, ended_by = False, None
        stream = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=_Chained(head, lean))
        async for event in EventSource(stream).aiter_sse():
            read = read_event(event.data, self._headers)
            if isinstance(read, ApiError):
                if not self._slots:
                    raise read
                ended_by = read
                break
            if isinstance(read, Done):
                break
            if isinstance(read, Closing):
                facts, complete = read.facts, True
            for slot in (read,) if isinstance(read, Slot) else read if isinstance(read, tuple) else ():
                await self._take(slot)
        if not self._slots and not complete:
            raise unknown(Message("client.stream-without-picture"))
        reply = Reply(self._ordered(), emulated=is_emulated(self._headers), complete=complete, **self._id(), **facts)
        return replace(reply, failure=ended_by)

    async def _take(self, slot: Slot) -> None:
        """Store a slot under a number of its own, even when a gateway gives all pictures the same number."""
        if len(self._slots) >= limits().reply_slots:
            raise TooMuch(f"more than {limits().reply_slots} pictures")
        index = slot.index if slot.index not in self._slots else max(self._slots) + 1
        self._slots[index] = replace(self._checked(slot), index=index)
        await self._arrived(self._slots[index])

    def _checked(self, slot: Slot) -> Slot:
        if slot.part is None or slot.part not in self._parts.broken:
            return slot
        if slot.url:
            return replace(slot, part=None)
        damaged = SlotError("BrokenBase64", Message("wire.broken-base64"), None, paid=True)
        return Slot(slot.index, error=damaged)

    async def _without_pictures(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """The body without its pictures, which go to their files."""
        scanner, size = Base64Extractor(), 0
        async for chunk in unpacked(response, limits().reply_bytes):
            self._parts.write(scanner.feed(chunk))
            piece = scanner.take()
            size += len(piece)
            if size > limits().document_bytes:
                raise TooMuch(f"more than {limits().document_bytes} bytes beside the pictures")
            yield piece
        self._parts.write(scanner.close())
        yield scanner.take()

    def _ordered(self) -> tuple[Slot, ...]:
        return tuple(self._slots[index] for index in sorted(self._slots))

    def _id(self) -> dict[str, Any]:
        return {"request_id": request_id(self._headers)}


def unknown(why: str | Message) -> OutcomeUnknown:
    """The error for an answer that cannot be trusted."""
    return OutcomeUnknown(Message("client.unknown", why=why), advice=Message("client.unknown-advice"))


def disk_full(folder: Path, error: OSError) -> StoreError:
    """The error for an answer that cannot be written to the disk."""
    why = error.strerror or type(error).__name__
    return StoreError(Message("client.no-disk", folder=folder, why=why), advice=Message("client.no-disk-advice"))


async def _beginning(lean: AsyncIterator[bytes]) -> bytes:
    """Read a refusal up to its size limit: the status alone is enough."""
    document = b""
    try:
        async for piece in lean:
            document += piece
    except (TooMuch, OddEncoding):
        return document[: limits().error_text]
    return document


def _is_stream(head: bytes, headers: Mapping[str, str]) -> bool:
    beginning = head.removeprefix(BOM).lstrip()
    if beginning.startswith((b"{", b"[")):
        return False
    return beginning.startswith(_STREAM_BEGINNINGS) or "text/event-stream" in headers.get("content-type", "")


class _Chained(httpx.AsyncByteStream):
    """The bytes read ahead, then the rest."""

    def __init__(self, head: bytes, rest: AsyncIterator[bytes]) -> None:
        self._head = head
        self._rest = rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._head
        async for piece in self._rest:
            yield piece
