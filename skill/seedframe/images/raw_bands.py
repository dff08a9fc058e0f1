"""A large uncompressed BMP or TIFF read band by band, so that its pixels are never in memory all at once.

In: an opened Pillow image whose pixels lie uncompressed in its file. Out: Pillow images of a few rows each, from top to
bottom. A file that ends early raises EOFError. Never in here: compressed pixels, colour planes apart, scaling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seedframe.images.byte_reader import exactly

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION, _STRIP_BYTES = 274, 279


@dataclass(frozen=True, slots=True)
class _Strip:
    """Rows that lie together: `mode` is how a pixel is packed, `step` 1 for rows from the top, -1 from the bottom."""

    top: int
    bottom: int
    offset: int
    mode: str
    stride: int
    step: int

    def place(self, start: int, count: int) -> int:
        """Where in the file `count` rows from row `start` of the strip begin."""
        rows = start if self.step > 0 else self.bottom - self.top - start - count
        return self.offset + rows * self.stride


def raw_strips(image: Image) -> list[_Strip]:
    """The strips of a file that holds all rows as they are shown; empty for any other."""
    tags: Any = getattr(image, "tag_v2", {})
    tiles: Any = getattr(image, "tile", ())
    sizes = tags.get(_STRIP_BYTES, ())
    if tags.get(_ORIENTATION, 1) != 1 or (sizes and len(sizes) != len(tiles)):
        return []
    strips = [_strip(tile, sizes[number] if sizes else 0) for number, tile in enumerate(tiles)]
    whole = all(tile.codec_name == "raw" and tile.extents[::2] == (0, image.width) for tile in tiles)
    edges = [strip.top for strip in strips] + [image.height] == [0] + [strip.bottom for strip in strips]
    return strips if whole and edges and all(strip.stride for strip in strips) else []


def raw_bands(image: Image, strips: list[_Strip], rows: int) -> Iterator[Image]:
    """The picture in bands of at most `rows` rows."""
    from PIL import Image as Images

    file: Any = image.fp  # type: ignore[attr-defined]
    for strip in strips:
        for start in range(0, strip.bottom - strip.top, rows):
            count = min(rows, strip.bottom - strip.top - start)
            file.seek(strip.place(start, count))
            content = exactly(file, count * strip.stride)
            size = (image.width, count)
            band = Images.frombytes(image.mode, size, content, "raw", strip.mode, strip.stride, strip.step)
            if image.palette:
                band.putpalette(image.palette)
            yield band


def _strip(tile: Any, bytes: int) -> _Strip:
    """Pillow's tile; `bytes` is its length where the file says it."""
    _, top, _, bottom = tile.extents
    mode, stride, step = tile.args if isinstance(tile.args, tuple) and len(tile.args) == 3 else ("", 0, 1)
    return _Strip(top, bottom, tile.offset, mode, stride or bytes // max(1, bottom - top), step)
