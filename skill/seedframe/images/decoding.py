"""The interface to Pillow and the disk: opens untrusted files, translates errors, writes targets whole.

In: paths. Out: opened Pillow images, part files that become their target only when complete. Every failure is raised
as PictureError (the picture) or StoreError (the disk). Never in here: what to do with the pixels.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from seedframe.errors import PictureError, SeedreamError, StoreError
from seedframe.images.types import MAX_PIXELS, Header
from seedframe.limits import limits
from seedframe.messages import Message

if TYPE_CHECKING:
    from PIL.Image import Image

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG})
_PLUGINS = {
    "jpeg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "gif": "GIF",
    "bmp": "BMP",
    "tiff": "TIFF",
    "avif": "AVIF",
    "heic": "HEIF",
}


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Translate the errors of reading or writing a picture."""
    try:
        yield
    except SeedreamError:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise _disk(path, error) from error
    except MemoryError as error:
        raise PictureError(Message("pictures.no-memory", name=path.name)) from error
    # Nine decoders read untrusted bytes; their exceptions are not a closed list (struct.error, KeyError,
    # SyntaxError, zlib.error …). All of them mean the same: the picture cannot be used.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK:
            raise _disk(path, error) from error
        raise damaged(path) from error


def damaged(path: Path) -> PictureError:
    """Build the error for bytes that do not decode."""
    return PictureError(Message("pictures.damaged", name=path.name), advice=Message("pictures.try-again-or-other"))


def too_many_pixels(path: Path, got: str, allowed: int) -> PictureError:
    """Build the error for a picture that is refused before it is decoded."""
    return PictureError(
        Message("pictures.too-many-pixels", name=path.name, got=got, allowed=allowed),
        facts={"got": got, "allowed": allowed},
    )


def open_picture(path: Path, format: str, file: BinaryIO | None = None) -> Image:
    """Open with the one decoder its magic bytes name; pixels are not read yet. The caller closes it (`with`).

    An open `file` is read instead of the path, and stays open.
    """
    from PIL import Image

    if format == "heic":
        _learn_heic(path)
    try:
        return Image.open(file or path, formats=[_PLUGINS[format]])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(Message("pictures.pixel-bomb", name=path.name, allowed=MAX_PIXELS)) from error


def load_stored(path: Path, header: Header) -> Image:
    """Decode every pixel, as stored (orientation not applied), in a mode that can be cut and scaled."""
    with open_picture(path, header.format) as image:
        image.load()
        return image


def load_within(path: Path, header: Header, max_pixels: int) -> Image:
    """Decode as stored; a JPEG above `max_pixels` at a half, quarter or eighth of its size, never whole."""
    if header.size.pixels <= max_pixels:
        return load_stored(path, header)
    part = next(part for part in (2, 4, 8) if header.size.pixels / part**2 <= limits().fitted_pixels or part == 8)
    with open_picture(path, header.format) as image:
        image.draft("RGB", (max(1, header.size.width // part), max(1, header.size.height // part)))
        image.load()
        return image


@contextmanager
def atomic_target(target: Path) -> Iterator[Path]:
    """A part file beside the target, which replaces the target when the block succeeds and is removed otherwise."""
    part = target.with_name(target.name + ".part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _disk(path: Path, error: OSError) -> StoreError:
    name = str(error.filename or path)
    return StoreError(Message("pictures.disk", name=name, reason=error.strerror or type(error).__name__))


def _learn_heic(path: Path) -> None:
    """Register the HEIC decoder with Pillow (repeating it does no harm); PictureError when it is not installed."""
    try:
        import pillow_heif
    except ImportError as error:
        advice = Message("pictures.heic-advice")
        raise PictureError(Message("pictures.heic-unreadable", name=path.name), advice=advice) from error
    pillow_heif.register_heif_opener()
