"""Input pictures as the service takes them: named, decoded, measured, or refused.

In: the elements of `image` and a model's limits. Out: `Reference` values. Never in here: a request's other parameters.
Texts marked "assumed" stand where the vendor documents a limit but no reply about it was ever recorded.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Callable, Sequence

from PIL import Image, UnidentifiedImageError

from seedframe.catalog import ReferenceLimits
from seedframe.emulator.generation_request import InputImage
from seedframe.emulator.image_files import comment_of
from seedframe.emulator.refusal import Refusal, invalid
from seedframe.geometry import Size

THUMBNAIL = 800
DATA_URI = re.compile(r"data:image/([a-z0-9.+-]+);base64,(.*)", re.DOTALL)
REMOTE = re.compile(r"https?://[^\s/]+\S*")
MIME_NAMES = {"jpg": "jpeg", "x-ms-bmp": "bmp", "heif": "heic"}
KINDS = {"MPO": "jpeg", "HEIF": "heic"}

OPAQUE = 255
UNREADABLE = (
    UnidentifiedImageError,
    OSError,
    ValueError,
    SyntaxError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""Everything Pillow says about bytes it cannot or will not read."""

Fetcher = Callable[[str], bytes | None]
"""URL → its bytes; None where the URL is taken on trust. May raise `Refusal`."""


def read_references(value: object, limits: ReferenceLimits, fetch: Fetcher) -> tuple[InputImage, ...]:
    """Read `image`: one string or a list of them, in the order the prompt counts them. `Refusal` when not taken."""
    sources = [value] if isinstance(value, str) else value
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise invalid("image")
    if len(sources) > limits.count:
        detail = f"number of reference images cannot exceed {limits.count}"
        raise Refusal("too-many-references", param="image", detail=detail)
    return tuple(_read(source, limits, fetch) for source in sources)


def one_transparent_png(references: Sequence[InputImage]) -> None:
    """Check what `background: transparent` needs where it only edits. Pictures taken on trust pass."""
    if len(references) != 1:
        raise Refusal("transparent-needs-one-image")
    (only,) = references
    if only.size and (only.format != "png" or not only.transparent):
        raise Refusal("transparent-needs-alpha")


def _read(source: str, limits: ReferenceLimits, fetch: Fetcher) -> InputImage:
    if REMOTE.fullmatch(source):
        content = fetch(source)
        return InputImage(source) if content is None else _measured(source, content, None, limits)
    if limits.by == "url" or not source.startswith("data:"):
        raise Refusal("reference-url-invalid", param="image", detail="invalid url specified")
    match = DATA_URI.fullmatch(source)
    if not match:
        raise Refusal("image-url-format")
    if not match[2].strip():
        raise Refusal("image-url-empty")
    try:
        content = base64.b64decode(match[2], validate=True)
    except binascii.Error:
        raise Refusal("image-url-format") from None
    return _measured(f"data:image/{match[1]}", content, MIME_NAMES.get(match[1], match[1]), limits)


def _measured(source: str, content: bytes, declared: str | None, limits: ReferenceLimits) -> InputImage:
    if len(content) > limits.max_bytes:
        raise Refusal("image-oversized")
    try:
        if _is_heic(content) and not _reads_heic():
            return _trusted(source, "heic", declared, limits)
        picture: Image.Image = Image.open(io.BytesIO(content))
        kind = KINDS.get(picture.format or "", (picture.format or "").lower())
        size = Size(*picture.size)
        _check_kind(kind, declared, limits)
        _check_size(size, limits)
        thumbnail, transparent = _small_copy(picture)
    except UNREADABLE:
        raise Refusal("image-format") from None
    return InputImage(source, thumbnail, size, kind, transparent, comment_of(picture))


def _check_kind(kind: str, declared: str | None, limits: ReferenceLimits) -> None:
    if kind not in {*limits.formats, *limits.converted} or declared not in {None, kind}:
        raise Refusal("image-format")


def _reads_heic() -> bool:
    """Whether HEIC can be decoded here: an optional dependency does it."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _trusted(source: str, kind: str, declared: str | None, limits: ReferenceLimits) -> InputImage:
    """A picture of a kind that is taken and cannot be looked at."""
    _check_kind(kind, declared, limits)
    return InputImage(source, format=kind)


def _small_copy(picture: Image.Image) -> tuple[bytes, bool]:
    """Decode the whole picture; give a small file of it and whether any pixel is transparent."""
    colours = picture.convert("RGBA")
    transparent = colours.getchannel("A").getextrema() != (OPAQUE, OPAQUE)
    colours.thumbnail((THUMBNAIL, THUMBNAIL))
    small = io.BytesIO()
    if transparent:
        colours.save(small, "PNG", compress_level=1)
    else:
        colours.convert("RGB").save(small, "JPEG", quality=90)
    return small.getvalue(), transparent


def _check_size(size: Size, limits: ReferenceLimits) -> None:
    """Documented limits; the wording is assumed."""
    if min(size.width, size.height) < limits.min_side or size.pixels < limits.min_pixels:
        raise invalid("image", f"image side must be greater than {limits.min_side - 1} pixels")
    if size.pixels > limits.max_pixels:
        raise invalid("image", f"image size must be at most {limits.max_pixels} pixels")
    if not limits.min_ratio <= size.ratio <= limits.max_ratio:
        raise invalid("image", f"aspect ratio must be between {limits.min_ratio} and {limits.max_ratio}")


_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def _is_heic(content: bytes) -> bool:
    """Whether a file says of itself that it is HEIC (ISO 14496-12: `ftyp`, then the major brand)."""
    return content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS
