"""Finds and removes the place where a picture was taken: EXIF directories, XMP packets, IPTC records, text.

In: the bytes of one metadata block. Out: whether it names a place, or the same block without it. EXIF is edited in
place, so that every offset in it stays true. Broken structure raises ValueError, struct.error or IndexError.
Never in here: the file format around a block, pixels.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

_GPS, _EXIF_IFD, _SUB_IFDS, _MAKER_NOTE = 0x8825, 0x8769, 0x014A, 0x927C
_PACKETS = {0x02BC: "xmp", 0x83BB: "iptc", 0x8649: "iptc"}
"""Tags that hold a whole foreign block: XMP, IPTC, Photoshop resources."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_ENTRY, _POINTER, _HEADER = 12, 4, 8
_MOST_DIRECTORIES = 64
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}

_PLACE_WORDS = re.compile(
    rb"gps|latitude|longitude|geo:|"
    rb":(?:city|state|country(?:code|name)?|provincestate|location\w*|sublocation|worldregion|coverage|shotlocation)\b",
    re.IGNORECASE,
)
"""Names of properties in XMP, C2PA assertions and text chunks, whatever the prefix before the colon."""

_PLACE_RECORDS = re.compile(rb"\x1c\x02[\x1a\x1b\x5a\x5c\x5f\x64\x65]")
"""IPTC records 2:26, 2:27 (content location), 2:90 city, 2:92 sublocation, 2:95 state, 2:100 and 2:101 country."""


class _Entry(NamedTuple):
    """One field of a directory: its offset, its tag, and the offset of its value."""

    at: int
    tag: int
    start: int
    length: int


def names_place(text: bytes) -> bool:
    """Whether XML, JSON, CBOR or plain text has a property for a place; UTF-16 counts too."""
    return _PLACE_WORDS.search(text) is not None or _PLACE_WORDS.search(text.replace(b"\0", b"")) is not None


def records_place(iptc: bytes) -> bool:
    """Whether IPTC records (alone or inside Photoshop resources) name a place."""
    return _PLACE_RECORDS.search(iptc) is not None


def blank_places(tiff: bytearray) -> frozenset[str]:
    """Take GPS, maker notes and packets that name a place out of a TIFF structure, in place.

    Gives what was there: `gps`, `maker`, `xmp`, `iptc`. Nothing moves but the entries of the directories themselves.
    """
    order = _ORDERS[bytes(tiff[:4])]
    (first,) = struct.unpack_from(f"{order}I", tiff, 4)
    taken: set[str] = set()
    waiting, seen = [first], set[int]()
    while waiting:
        directory = waiting.pop()
        if directory in seen or directory < _HEADER:
            continue
        seen.add(directory)
        if len(seen) > _MOST_DIRECTORIES:
            raise ValueError("too many directories")
        entries = list(_entries(tiff, order, directory))
        waiting += _further(tiff, order, directory, entries)
        for entry in reversed(entries):
            kind = _kind(tiff, entry)
            if kind is not None:
                _remove(tiff, order, directory, entry, nested=kind == "gps")
                taken.add(kind)
    return frozenset(taken)


def _entries(tiff: bytearray, order: str, directory: int) -> Iterator[_Entry]:
    (count,) = struct.unpack_from(f"{order}H", tiff, directory)
    for at in range(directory + 2, directory + 2 + _ENTRY * count, _ENTRY):
        tag, kind, number = struct.unpack_from(f"{order}HHI", tiff, at)
        length = _SIZES.get(kind, 1) * number
        start = at + 8 if length <= _POINTER else struct.unpack_from(f"{order}I", tiff, at + 8)[0]
        yield _Entry(at, tag, start, length)


def _further(tiff: bytearray, order: str, directory: int, entries: list[_Entry]) -> list[int]:
    """Directories this one leads to: the next in the chain, EXIF, sub-pictures."""
    found = [
        offset[0]
        for entry in entries
        if entry.tag in {_EXIF_IFD, _SUB_IFDS}
        for offset in struct.iter_unpack(f"{order}I", tiff[entry.start : entry.start + entry.length // 4 * 4])
    ]
    behind = directory + 2 + _ENTRY * len(entries)
    following = struct.unpack_from(f"{order}I", tiff, behind)[0] if behind + _POINTER <= len(tiff) else 0
    return [*found, following] if following else found


def _kind(tiff: bytearray, entry: _Entry) -> str | None:
    """Why an entry must be removed; None when it may stay."""
    if entry.tag == _GPS:
        return "gps"
    if entry.tag == _MAKER_NOTE:
        return "maker"
    packet = _PACKETS.get(entry.tag)
    if packet is None:
        return None
    content = bytes(tiff[entry.start : entry.start + entry.length])
    return packet if (names_place if packet == "xmp" else records_place)(content) else None


def _remove(tiff: bytearray, order: str, directory: int, entry: _Entry, *, nested: bool) -> None:
    """Blank an entry's value, then close the gap in its directory."""
    if nested:
        (inner,) = struct.unpack_from(f"{order}I", tiff, entry.start)
        inside = list(_entries(tiff, order, inner))
        for field in inside:
            _blank(tiff, field.start, field.length)
        _blank(tiff, inner, 2 + _ENTRY * len(inside) + _POINTER)
    elif entry.length > _POINTER:
        _blank(tiff, entry.start, entry.length)
    (count,) = struct.unpack_from(f"{order}H", tiff, directory)
    end = min(directory + 2 + _ENTRY * count + _POINTER, len(tiff))
    tiff[entry.at : end] = tiff[entry.at + _ENTRY : end] + bytes(_ENTRY)
    struct.pack_into(f"{order}H", tiff, directory, count - 1)


def _blank(tiff: bytearray, start: int, length: int) -> None:
    end = min(start + length, len(tiff))
    if start < end:
        tiff[start:end] = bytes(end - start)
