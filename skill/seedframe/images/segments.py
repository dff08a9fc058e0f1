"""The structure of a JPEG: its segments up to the first scan, without decoding a pixel.

In: an open file. Out: a Header, or the raw metadata segments for copying. Broken structure raises ValueError,
struct.error or EOFError; `decoding.guarded` makes them a PictureError. Never in here: Pillow, searching for bytes that
look like a marker (Seedream's C2PA manifest embeds a whole thumbnail JPEG with its own frame header).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from mmap import mmap
from typing import BinaryIO

from seedframe.geometry import Size
from seedframe.images.byte_reader import ByteSpan, exactly, payload
from seedframe.images.orientation import read_orientation
from seedframe.images.types import Component, Header, Metadata

_MOST_SEGMENTS = 4096
_BLOCK = 1 << 18
_MOST_SCANS = 40
"""Progressive files have about ten. Hundreds in a small file are an attack on the decoder's time."""

_SOI, _EOI, _SOS, _COM, _APP14, _FILL = 0xD8, 0xD9, 0xDA, 0xFE, 0xEE, 0xFF
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
_TALKING = frozenset({*range(0xE1, 0xF0), _COM})
"""Segments that carry metadata; APP0 is the density, which the encoder writes itself."""

_LENGTH_FIELD = 2
_FACTORS = range(1, 5)
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_AFTER_CODED_DATA = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
"""A marker that ends coded data: FF 00 is a coded FF, and restart markers stand between coded blocks."""

_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"


def jpeg_header(file: BinaryIO, *, scans: bool = True) -> Header:
    """Walk to the first scan and tell the frame. With `scans`, those that follow are counted: ValueError for many."""
    frame: Header | None = None
    metadata, orientation, planes_in_scan = Metadata(), 1, 0
    for marker, span in _segments(file):
        if marker in _FRAMES and frame is None:
            frame = _frame(payload(file, span), progressive=marker in _PROGRESSIVE)
        elif marker in _TALKING:
            content = payload(file, span)
            metadata = _learn(metadata, marker, content)
            if content.startswith(_EXIF):
                orientation = read_orientation(content)
        elif marker == _SOS:
            planes_in_scan = payload(file, span)[0]
    if frame is None:
        raise ValueError("no frame before the first scan")
    if scans and (frame.progressive or planes_in_scan < len(frame.components)):
        _check_scans(file)
    return replace(frame, metadata=metadata, orientation=orientation)


def jpeg_metadata(file: BinaryIO) -> bytes:
    """Copy every metadata segment (EXIF, XMP, ICC, C2PA, comments), but not those the encoder writes itself."""
    return b"".join(
        struct.pack(">BBH", _FILL, marker, span.length + _LENGTH_FIELD) + payload(file, span)
        for marker, span in _segments(file)
        if marker in _TALKING and marker != _APP14
    )


def after_scan(data: bytes | mmap, start: int) -> int:
    """Where the coded data that begins at `start` ends: at the next marker, or at the end of the file."""
    found = _AFTER_CODED_DATA.search(data, start)
    return found.start() if found else len(data)


def _check_scans(file: BinaryIO) -> None:
    """Count the scans after the first: inside coded data an FF is always followed by 00, so each FF DA is a marker."""
    found, before = 0, b""
    while block := file.read(_BLOCK):
        found += (before + block).count(bytes((_FILL, _SOS)))
        before = block[-1:]
        if found > _MOST_SCANS:
            raise ValueError("too many scans")


def _segments(file: BinaryIO) -> Iterator[tuple[int, ByteSpan]]:
    """Walk the segments up to and including the first start of scan; afterwards the file is positioned behind it."""
    file.seek(2)
    for _ in range(_MOST_SEGMENTS):
        marker = _marker(file)
        if marker in _BARE:
            continue
        (length,) = struct.unpack(">H", exactly(file, _LENGTH_FIELD))
        start = file.tell()
        if length < _LENGTH_FIELD or marker in {_SOI, _EOI}:
            raise ValueError("segment out of place")
        yield marker, ByteSpan(start, length - _LENGTH_FIELD)
        file.seek(start + length - _LENGTH_FIELD)
        if marker == _SOS:
            return
    raise ValueError("too many segments")


def _marker(file: BinaryIO) -> int:
    if exactly(file, 1)[0] != _FILL:
        raise ValueError("no marker where one must be")
    for _ in range(_MOST_SEGMENTS):
        byte = exactly(file, 1)[0]
        if byte != _FILL:
            return byte
    raise ValueError("endless fill bytes")


def _frame(content: bytes, *, progressive: bool) -> Header:
    bits, height, width, count = struct.unpack_from(">BHHB", content)
    planes = [struct.unpack_from(">BBB", content, 6 + 3 * index) for index in range(count)]
    components = tuple(Component(factors >> 4, factors & 15, table) for _, factors, table in planes)
    if count not in _MODES or any(c.across not in _FACTORS or c.down not in _FACTORS for c in components):
        raise ValueError("impossible components")
    return Header(
        "jpeg",
        Size(width, height),
        _MODES[count],
        bits=bits,
        progressive=progressive,
        lossless=False,
        components=components,
    )


def _learn(known: Metadata, marker: int, content: bytes) -> Metadata:
    if marker == _COM:
        return replace(known, comment=True, aigc=known.aigc or b"AIGC" in content)
    if content.startswith(_EXIF):
        return replace(known, exif=True, aigc=known.aigc or b"AIGC" in content)
    if content.startswith(_XMP):
        return replace(known, xmp=True, aigc=known.aigc or b"AIGC" in content)
    if content.startswith(_ICC):
        return replace(known, icc=True)
    # JPEG XT box segment: "JP", box number, packet number, then a JUMBF box whose description is labelled c2pa.
    if content.startswith(b"JP") and b"c2pa" in content[:256]:
        return replace(known, c2pa=True)
    return known
