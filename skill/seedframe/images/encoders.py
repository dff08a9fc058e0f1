"""Writing pixels back in the format they came in: fast, and as near to the source as the format allows.

In: a Pillow image as stored, the source's header, a path to write. Out: the file. Never in here: cutting, scaling,
deciding on a format for people (`written_format` names what a format becomes), part files.
Everything is saved to a real path: Pillow holds the interpreter lock when it encodes JPEG into memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedframe.images.chunks import png_metadata
from seedframe.images.pixels import on_white, plain, rgb_profile
from seedframe.images.png_writer import fits, write_png
from seedframe.images.segments import jpeg_metadata
from seedframe.images.types import Header

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.PngImagePlugin import PngInfo

_RUN_LENGTH = 3
"""zlib's Z_RLE: as small as the default on photographs at a quarter of its time."""

_FINE_QUALITY = 95
PNG_MODES = frozenset({"1", "L", "LA", "I;16", "P", "RGB", "RGBA"})
"""Modes a PNG keeps as they are."""

_WHOLE_BYTE = 8
_PILLOW_WRITES = frozenset({b"eXIf", b"iCCP", b"tRNS", b"sBIT", b"bKGD", b"hIST", b"PLTE"})


def written_format(format: str) -> str:
    """Name the format a cut is written in: JPEG, PNG and WebP stay, anything else becomes PNG."""
    return format if format in {"jpeg", "png", "webp"} else "png"


def fine_jpeg_options(source: Path) -> dict[str, Any]:
    """Collect what suits pixels that were computed anew: high quality, full colour; and the metadata segments."""
    return {"quality": _FINE_QUALITY, "subsampling": "4:4:4", **copied_segments(source)}


def copied_segments(source: Path) -> dict[str, Any]:
    """Collect a JPEG's raw metadata segments, with Pillow's own copies switched off so that none comes twice."""
    with source.open("rb") as file:
        return {"extra": jpeg_metadata(file), "comment": b"", "xmp": b"", "exif": b"", "icc_profile": b""}


def save_jpeg(image: Image, part: Path, options: dict[str, Any]) -> None:
    """Write a JPEG; modes it does not know become RGB."""
    known = image if image.mode in {"L", "RGB", "YCbCr", "CMYK"} else on_white(plain(image))
    known.save(part, "JPEG", **options)


def save_png(image: Image, source: Path, header: Header, part: Path) -> None:
    """Write a PNG without losing a pixel, with the metadata of the source."""
    same = header.format == "png" and header.mode == image.mode and header.bits == _WHOLE_BYTE
    elsewhere = header.format != "png" and "transparency" not in image.info
    if fits(image.mode) and (same or elsewhere):
        write_png(image, part, _chunks_of(source) if same else _chunks_from(image.info))
        return
    known = image if image.mode in PNG_MODES else _rgb(image)
    known.save(
        part,
        "PNG",
        compress_level=1,
        compress_type=_RUN_LENGTH,
        pnginfo=_pnginfo(source, header),
        exif=image.info.get("exif") or b"",
        icc_profile=image.info.get("icc_profile") if known is image else rgb_profile(image),
    )


def save_webp(image: Image, header: Header, part: Path) -> None:
    """Write a WebP: lossless stays lossless (to the last hidden pixel), lossy is coded anew at high quality."""
    known = image if image.mode in {"RGB", "RGBA"} else image.convert("RGBA" if header.has_alpha else "RGB")
    known.save(
        part,
        "WEBP",
        lossless=bool(header.lossless),
        quality=0 if header.lossless else _FINE_QUALITY,
        method=0 if header.lossless else 4,
        exact=bool(header.lossless),
        exif=image.info.get("exif") or b"",
        icc_profile=image.info.get("icc_profile") or b"",
        xmp=image.info.get("xmp") or b"",
    )


def _rgb(image: Image) -> Image:
    simple = plain(image)
    return simple if simple.mode in PNG_MODES else simple.convert("RGB")


def _chunks_of(source: Path) -> list[tuple[bytes, bytes]]:
    with source.open("rb") as file:
        return png_metadata(file)


def _chunks_from(info: dict[Any, Any]) -> Iterator[tuple[bytes, bytes]]:
    """Carry colour profile and EXIF over from another format."""
    if profile := info.get("icc_profile"):
        yield b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)
    if exif := info.get("exif"):
        yield b"eXIf", exif.removeprefix(b"Exif\0\0")


def _pnginfo(source: Path, header: Header) -> PngInfo:
    """Hand text, colour and provenance chunks to Pillow, which writes palettes and unusual depths."""
    from PIL.PngImagePlugin import PngInfo

    kept = PngInfo()
    for name, payload in _chunks_of(source) if header.format == "png" else ():
        if name not in _PILLOW_WRITES:
            kept.add(name, payload)
    return kept
