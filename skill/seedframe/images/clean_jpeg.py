"""Removes from a JPEG the segments that name a place, and everything after its last marker.

In: a JPEG being copied. Out: the same without them, coded data bit for bit. Broken structure raises ValueError,
IndexError or struct.error. Never in here: pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from mmap import mmap
from typing import NamedTuple

from seedframe.images.location_data import names_place, records_place
from seedframe.images.partial_copy import EXIF, PartialCopy, cleaned_exif
from seedframe.images.segments import after_scan

_XMP, _XMP_MORE, _SEVERAL = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0", b"MPF\0"
_XMP_MORE_HEAD = len(_XMP_MORE) + 40
"""Before the text of an extension: its name, a digest, the whole length and the offset."""

_FILL, _SOI, _EOI, _SOS, _APP1, _APP2, _APP11, _APP13, _COM = 0xFF, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xEB, 0xED, 0xFE
_BARE = frozenset({0x01, *range(0xD0, 0xD8), _EOI})
_KINDS = {_APP11: "c2pa", _APP13: "iptc", _COM: "comment"}
_NAMES_PLACE: Mapping[str, Callable[[bytes], bool]] = {
    "xmp": names_place,
    "c2pa": names_place,
    "comment": names_place,
    "iptc": records_place,
}


class _Segment(NamedTuple):
    """A marker with its place in the file; the coded data of a scan belongs to it."""

    marker: int
    start: int
    body: int
    end: int

    def content(self, data: mmap) -> bytes:
        return data[self.body : self.end]


def clean_jpeg(copy: PartialCopy) -> None:
    """Copy every segment but those that name a place, up to the end of the picture."""
    data = copy.source
    segments = list(_segments(data))
    end = segments[-1].end
    unwanted = _unwanted(copy, segments, cut=end < len(data))
    copy.keep(0, 2)
    for segment in segments:
        exif = segment.marker == _APP1 and data[segment.body : segment.body + len(EXIF)] == EXIF
        cleaned = cleaned_exif(segment.content(data), copy) if exif else b""
        if exif and cleaned != segment.content(data):
            copy.put(struct.pack(">BBH", _FILL, _APP1, len(cleaned) + 2) + cleaned)
        elif segment.start not in unwanted:
            copy.keep(segment.start, segment.end)
    copy.end_at(end)


def _segments(data: mmap) -> Iterator[_Segment]:
    """Walk to the end of the picture, or of the file where the last scan has none."""
    position = 2
    while position < len(data):
        start = position
        if data[position] != _FILL:
            raise ValueError("no marker where one must be")
        while data[position] == _FILL:
            position += 1
        marker = data[position]
        position += 1
        if marker in _BARE:
            yield _Segment(marker, start, position, position)
            if marker == _EOI:
                return
            continue
        (length,) = struct.unpack_from(">H", data, position)
        end = position + length
        if length < 2 or marker == _SOI or end > len(data):
            raise ValueError("segment out of place")
        body, position = position + 2, after_scan(data, end) if marker == _SOS else end
        yield _Segment(marker, start, body, position)


def _unwanted(copy: PartialCopy, segments: list[_Segment], *, cut: bool) -> set[int]:
    """The offsets of the segments to remove. A packet may span several, which are removed together.

    The index of further pictures is removed when these are `cut` off.
    """
    blocks: dict[str, list[tuple[int, bytes]]] = {kind: [] for kind in _NAMES_PLACE}
    unwanted: set[int] = set()
    for segment in segments:
        content = segment.content(copy.source) if segment.marker in {_APP1, _APP2, *_KINDS} else b""
        if segment.marker == _APP1 and content.startswith(_XMP):
            blocks["xmp"].append((segment.start, content[len(_XMP) :]))
        elif segment.marker == _APP1 and content.startswith(_XMP_MORE):
            blocks["xmp"].append((segment.start, content[_XMP_MORE_HEAD:]))
        elif segment.marker in _KINDS:
            blocks[_KINDS[segment.marker]].append((segment.start, content))
        elif cut and content.startswith(_SEVERAL):
            unwanted.add(segment.start)
    for kind, found in blocks.items():
        if _NAMES_PLACE[kind](b"".join(content for _, content in found)):
            copy.take(kind)
            unwanted |= {start for start, _ in found}
    return unwanted
