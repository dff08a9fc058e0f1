"""Recognises the format and the size of a picture by its first bytes, before anything is decoded.

In: bytes or a path. Out: a format name or a Header; PictureError otherwise. Never in here: pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from seedframe.errors import PictureError
from seedframe.geometry import Size
from seedframe.images.chunks import png_header, webp_header
from seedframe.images.decoding import damaged, guarded, open_picture, too_many_pixels
from seedframe.images.orientation import read_orientation
from seedframe.images.segments import jpeg_header
from seedframe.images.types import MAX_PIXELS, MIMES, Header, Metadata
from seedframe.limits import limits
from seedframe.messages import Message

_WALKERS = {"png": png_header, "webp": webp_header}
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def sniff(head: bytes) -> str | None:
    """Name the format by its magic bytes (the first 32 are enough); None when it is no picture we know."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        brands = {head[start : start + 4] for start in range(8, 32, 4)}
        return "avif" if brands & _AVIF_BRANDS else "heic" if brands & _HEIC_BRANDS else None
    return next((name for magic, name in _PLAIN_MAGIC if head.startswith(magic)), None)


_PLAIN_MAGIC = ((b"GIF87a", "gif"), (b"GIF89a", "gif"), (b"BM", "bmp"), (b"II*\0", "tiff"), (b"MM\0*", "tiff"))


def read_header(path: Path, *, max_pixels: int = MAX_PIXELS, scaled: bool = False) -> Header:
    """Read format, size, orientation and metadata flags. PictureError for junk and for more than `max_pixels`.

    `scaled`: the caller reads a JPEG at a fraction of its size, so that a baseline one may be larger.
    """
    with guarded(path), path.open("rb") as file:
        return header_of(file, path, max_pixels=max_pixels, scaled=scaled)


def header_of(
    file: BinaryIO, path: Path, *, max_pixels: int = MAX_PIXELS, scaled: bool = False, scans: bool = True
) -> Header:
    """`read_header` of an open file, which errors call by its `path`; what decoders raise is left as it is.

    Without `scans`, those of a progressive JPEG are not counted: the caller reads the file to its end anyway.
    """
    kind = sniff(file.read(32))
    if kind is None:
        raise PictureError(
            Message("pictures.not-a-picture", name=path.name, known=list(MIMES)), facts={"allowed": list(MIMES)}
        )
    header = _header(file, path, kind, scans=scans)
    if not header.size.pixels:
        raise damaged(path)
    fraction_does = scaled and max_pixels == MAX_PIXELS and header.format == "jpeg" and not header.progressive
    allowed = limits().scaled_pixels if fraction_does else max_pixels
    if header.size.pixels > allowed:
        raise too_many_pixels(path, str(header.size), allowed)
    return header


def _header(file: BinaryIO, path: Path, kind: str, *, scans: bool) -> Header:
    if kind == "jpeg":
        return jpeg_header(file, scans=scans)
    if walker := _WALKERS.get(kind):
        return walker(file)
    file.seek(0)
    return _ask_pillow(file, path, kind)


def _ask_pillow(file: BinaryIO, path: Path, format: str) -> Header:
    with open_picture(path, format, file) as image:
        exif = image.info.get("exif") or b""
        return Header(
            format,
            Size(*image.size),
            image.mode,
            has_alpha=image.has_transparency_data,
            # Pillow turns TIFF upright itself, HEIC comes upright; GIF and BMP have no orientation.
            orientation=read_orientation(exif) if format == "avif" else 1,
            lossless=True if format in {"gif", "bmp"} else None,
            animated=format == "gif" and bool(getattr(image, "is_animated", False)),
            metadata=Metadata(
                exif=bool(exif), icc=bool(image.info.get("icc_profile")), xmp=bool(image.info.get("xmp"))
            ),
        )
