"""Reads the body of an answer up to a limit, counted before and after decompression, piece by piece.

In: an httpx response whose body has not been read. Out: its bytes in pieces of at most 64 KiB. TooMuch or OddEncoding,
which are httpx errors like any other way a body can fail. Never in here: what the bytes mean.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator

import httpx

CHUNK = 65_536
_LAYERS = frozenset({"gzip", "x-gzip", "deflate"})
_ANY_WRAPPER = zlib.MAX_WBITS | 32
"""gzip or zlib, recognised by the first bytes."""


class TooMuch(httpx.DecodingError):
    """The body is longer than the limit."""


class OddEncoding(httpx.DecodingError):
    """The body has an encoding that was not requested, or cannot be decompressed."""


async def pieces(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    """The body as it was sent. OddEncoding when it is compressed, TooMuch after `limit` bytes."""
    if layers := _layers(response):
        raise OddEncoding(f"content-encoding {layers}")
    async for piece in _bounded(response, limit):
        yield piece


async def unpacked(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    """The body without one layer of gzip or deflate; `limit` holds before and after decompression."""
    layers = _layers(response)
    if not layers:
        async for piece in _bounded(response, limit):
            yield piece
        return
    if len(layers) > 1 or layers[0] not in _LAYERS:
        raise OddEncoding(f"content-encoding {layers}")
    inflater, size = _Inflater(), 0
    async for packed in _bounded(response, limit):
        for piece in inflater.feed(packed):
            size += len(piece)
            if size > limit:
                raise TooMuch(f"more than {limit} bytes")
            yield piece
            await asyncio.sleep(0)  # a few bytes can expand to megabytes: let other tasks run in between


async def document(response: httpx.Response, limit: int) -> bytes:
    """The whole body of a small answer."""
    return b"".join([piece async for piece in unpacked(response, limit)])


async def _bounded(response: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    """Straight from the stream: httpx would decompress without a bound."""
    size = 0
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:
        size += len(chunk)
        if size > limit:
            raise TooMuch(f"more than {limit} bytes")
        for start in range(0, len(chunk), CHUNK):
            yield chunk[start : start + CHUNK]


def _layers(response: httpx.Response) -> list[str]:
    named = ",".join(response.headers.get_list("content-encoding")).lower()
    return [name.strip()[:20] for name in named.split(",") if name.strip() not in {"", "identity"}][:3]


class _Inflater:
    """One layer, in steps that never hold more than a chunk."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_ANY_WRAPPER)
        self._begun = False

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """Decompress these bytes. OddEncoding when they are not in the announced encoding."""
        data, piece = packed, b""
        while data or len(piece) == CHUNK:  # after a full piece there may be more output although the input is used
            piece = self._step(data)
            if piece:
                yield piece
            data = self._inflate.unconsumed_tail

    def _step(self, data: bytes) -> bytes:
        try:
            piece = self._inflate.decompress(data, CHUNK)
        except zlib.error as error:
            if self._begun:
                raise OddEncoding(str(error)) from error
            return self._bare(data)
        self._begun = True
        return piece

    def _bare(self, data: bytes) -> bytes:
        """Some servers send deflate without its zlib wrapper."""
        self._begun = True
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        return self._step(data)
