"""Removes from a PNG or WebP the chunks that name a place, and everything after its end.

In: a picture being copied. Out: the same without them, pixel data bit for bit. Broken structure raises EOFError,
IndexError or struct.error. Never in here: pixels.
"""

from __future__ import annotations

import struct
import zlib

from seedframe.images.location_data import names_place
from seedframe.images.partial_copy import PartialCopy, cleaned_exif

_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_RAW, _HARMLESS_RAW = b"Raw profile type ", frozenset({b"icc", b"icm"})
_MOST_TEXT = 1 << 20
_PNG_FRAME = 12
_WEBP_HEAD, _WEBP_CANVAS_END, _WEBP_FLAGS = 12, 30, 20
_XMP_FLAG = 4
_WEBP_KINDS = {b"XMP ": "xmp", b"C2PA": "c2pa"}


def clean_png(copy: PartialCopy) -> None:
    """Copy every chunk but those that name a place, up to IEND."""
    data, position, name = copy.source, 8, b""
    copy.keep(0, position)
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + _PNG_FRAME + length
        if end > len(data):
            raise EOFError("file ends early")
        _copy_png_chunk(copy, name, position, end)
        position = end
    copy.end_at(position)


def _copy_png_chunk(copy: PartialCopy, name: bytes, start: int, end: int) -> None:
    content = copy.source[start + 8 : end - 4] if name in {b"eXIf", b"caBX", *_TEXTS} else b""
    if name == b"eXIf":
        cleaned = cleaned_exif(content, copy)
        if cleaned != content:
            framed = name + cleaned
            copy.put(struct.pack(">I", len(cleaned)) + framed + struct.pack(">I", zlib.crc32(framed)))
            return
    elif name in _TEXTS and _text_names_place(name, content):
        copy.take("xmp" if content.startswith(b"XML:com.adobe.xmp\0") else "comment")
        return
    elif name == b"caBX" and names_place(content):
        copy.take("c2pa")
        return
    copy.keep(start, end)


def _text_names_place(name: bytes, content: bytes) -> bool:
    """Whether a text chunk names a place; one that cannot be read counts as if it did."""
    keyword, _, rest = content.partition(b"\0")
    if keyword.startswith(_RAW):
        return keyword.removeprefix(_RAW).lower() not in _HARMLESS_RAW
    if not (name == b"zTXt" or (name == b"iTXt" and rest[:1] == b"\1")):
        return names_place(content)
    packed = rest[1:] if name == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    inflating = zlib.decompressobj()
    try:
        text = inflating.decompress(packed, _MOST_TEXT)
    except zlib.error:
        return True
    return bool(inflating.unconsumed_tail) or names_place(keyword + text)


def clean_webp(copy: PartialCopy) -> None:
    """Copy every chunk but those that name a place; the length and the flags of the file follow."""
    data = copy.source
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise EOFError("file ends early")
    copy.keep(0, _WEBP_HEAD)
    position = _WEBP_HEAD
    while position + 8 <= end:
        name, length = struct.unpack_from("<4sI", data, position)
        following = min(position + 8 + length + length % 2, end)
        _copy_webp_chunk(copy, name, position, following, length)
        position = following
    copy.end_at(end)
    if copy.taken:
        _mend_webp_head(copy)


def _copy_webp_chunk(copy: PartialCopy, name: bytes, start: int, end: int, length: int) -> None:
    body = start + 8
    if name == b"EXIF":
        content = copy.source[body : body + length]
        cleaned = cleaned_exif(content, copy)
        if cleaned != content:
            copy.put(struct.pack("<4sI", name, len(cleaned)) + cleaned + bytes(len(cleaned) % 2))
            return
    elif name in _WEBP_KINDS and names_place(copy.source[body : body + length]):
        copy.take(_WEBP_KINDS[name])
        return
    copy.keep(start, end)


def _mend_webp_head(copy: PartialCopy) -> None:
    """Correct the length and the flags, which are in the first piece."""
    first = copy.pieces[0]
    assert isinstance(first, tuple)
    head = bytearray(copy.source[: min(_WEBP_CANVAS_END, first[1])])
    struct.pack_into("<I", head, 4, copy.size - 8)
    if head[12:16] == b"VP8X" and "xmp" in copy.taken:
        head[_WEBP_FLAGS] &= 0xFF ^ _XMP_FLAG
    copy.pieces[0:1] = [bytes(head), (len(head), first[1])]
