"""The structure of PNG and WebP: their chunks, without decoding a pixel.

In: an open file. Out: a Header, or the raw metadata chunks of a PNG for copying. Broken structure raises ValueError,
struct.error or EOFError; `decoding.guarded` makes them a PictureError. Never in here: Pillow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from seedframe.geometry import Size
from seedframe.images.byte_reader import ByteSpan, exactly, payload, peek
from seedframe.images.orientation import read_orientation
from seedframe.images.types import Header

_MOST_CHUNKS = 4096
_CHUNK_HEAD = 8
_MOST_TEXT = 1 << 20

_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"acTL", b"fcTL"})

_WEBP_ANIMATION, _WEBP_ALPHA = 2, 16
_FOURTEEN_BITS = 0x3FFF


def png_header(file: BinaryIO) -> Header:
    """Read IHDR and the chunks before the first pixel data."""
    chunks = _png_chunks(file)
    name, span = next(chunks, (b"", ByteSpan(0, 0)))
    if name != b"IHDR":
        raise ValueError("no IHDR")
    width, height, bits, colour, *_ = struct.unpack(">IIBBBBB", payload(file, span))
    mode = _PNG_MODES[colour]
    header = Header("png", Size(width, height), mode, bits=bits, has_alpha=mode.endswith("A"), lossless=True)
    for name, span in chunks:
        header = _learn_png(header, name, peek(file, span, _MOST_TEXT))
    return header


def png_metadata(file: BinaryIO) -> list[tuple[bytes, bytes]]:
    """Copy every chunk before the pixels, but those that describe pixels and animation."""
    return [(name, payload(file, span)) for name, span in _png_chunks(file) if name not in _PNG_PIXELS]


def webp_header(file: BinaryIO) -> Header:
    """Read the frame chunk and the extended header of a WebP."""
    header = Header("webp", Size(0, 0), "RGB")
    for name, span in _webp_chunks(file):
        header = _learn_webp(header, name, peek(file, span, _MOST_TEXT))
    return replace(header, mode="RGBA" if header.has_alpha else "RGB")


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, ByteSpan]]:
    file.seek(8)
    for _ in range(_MOST_CHUNKS):
        length, name = struct.unpack(">I4s", exactly(file, _CHUNK_HEAD))
        if name in {b"IDAT", b"IEND"}:
            return
        start = file.tell()
        yield name, ByteSpan(start, length)
        file.seek(start + length + 4)
    raise ValueError("too many chunks")


def _webp_chunks(file: BinaryIO) -> Iterator[tuple[bytes, ByteSpan]]:
    file.seek(12)
    for _ in range(_MOST_CHUNKS):
        head = file.read(_CHUNK_HEAD)
        if len(head) < _CHUNK_HEAD:
            return
        name, length = struct.unpack("<4sI", head)
        start = file.tell()
        yield name, ByteSpan(start, length)
        file.seek(start + length + length % 2)
    raise ValueError("too many chunks")


def _learn_png(header: Header, name: bytes, content: bytes) -> Header:
    known = header.metadata
    aigc = known.aigc or b"AIGC" in content
    match name:
        case b"eXIf":
            metadata = replace(known, exif=True, aigc=aigc)
            return replace(header, orientation=read_orientation(content), metadata=metadata)
        case b"iTXt" | b"tEXt" | b"zTXt":
            xmp = content.startswith(b"XML:com.adobe.xmp\0")
            metadata = replace(known, xmp=known.xmp or xmp, comment=known.comment or not xmp, aigc=aigc)
            return replace(header, metadata=metadata)
        case b"iCCP":
            return replace(header, metadata=replace(known, icc=True))
        case b"caBX":
            return replace(header, metadata=replace(known, c2pa=True))
        case b"tRNS":
            return replace(header, has_alpha=True)
        case b"acTL":
            return replace(header, animated=True)
        case _:
            return header


def _learn_webp(header: Header, name: bytes, content: bytes) -> Header:
    known = header.metadata
    aigc = known.aigc or b"AIGC" in content
    match name:
        case b"VP8X":
            return _webp_canvas(header, content)
        case b"VP8 " | b"VP8L" if header.lossless is None:
            return _webp_frame(header, name, content)
        case b"EXIF":
            metadata = replace(known, exif=True, aigc=aigc)
            return replace(header, orientation=read_orientation(content), metadata=metadata)
        case b"XMP ":
            return replace(header, metadata=replace(known, xmp=True, aigc=aigc))
        case b"ICCP":
            return replace(header, metadata=replace(known, icc=True))
        case b"C2PA":
            return replace(header, metadata=replace(known, c2pa=True))
        case _:
            return header


def _webp_canvas(header: Header, content: bytes) -> Header:
    flags, wide, high = struct.unpack_from("<B3x3s3s", content)
    canvas = Size(1 + int.from_bytes(wide, "little"), 1 + int.from_bytes(high, "little"))
    animated, alpha = bool(flags & _WEBP_ANIMATION), bool(flags & _WEBP_ALPHA)
    return replace(header, size=canvas, animated=animated, has_alpha=alpha)


def _webp_frame(header: Header, name: bytes, content: bytes) -> Header:
    if name == b"VP8L":
        (packed,) = struct.unpack_from("<I", content, 1)
        size = Size((packed & _FOURTEEN_BITS) + 1, (packed >> 14 & _FOURTEEN_BITS) + 1)
        alpha, lossless = bool(packed >> 28 & 1), True
    else:
        width, height = struct.unpack_from("<HH", content, 6)
        size, alpha, lossless = Size(width & _FOURTEEN_BITS, height & _FOURTEEN_BITS), False, False
    size = header.size if header.size.pixels else size
    return replace(header, size=size, has_alpha=header.has_alpha or alpha, lossless=lossless)
