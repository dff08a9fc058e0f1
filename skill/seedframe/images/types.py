"""The values of the picture tools: headers, reports and limits.

In: nothing. Out: frozen values. Never in here: bytes of a picture, a decision, a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seedframe.geometry import Box, Size
from seedframe.limits import limits
from seedframe.messages import Message

MAX_PIXELS = limits().decoded_pixels
"""Largest picture whose pixels are all decoded."""

MIMES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "heic": "image/heic",
    "avif": "image/avif",
}
"""Format name → media type, lower case as the service demands it."""

Method = Literal["lossless", "requantised", "pixels", "resampled"]
"""How a cut was made, from no loss to most loss.

`lossless`: no JPEG coefficient changed. `pixels`: every pixel kept, file written anew (PNG, lossless WebP).
`requantised`: decoded and coded again with the source's own tables on its own block grid (JPEG), or at high quality
(lossy WebP). `resampled`: pixels were computed anew. An untouched file (`bytes`) never comes through here.
"""


@dataclass(frozen=True, slots=True)
class Component:
    """A colour plane of a JPEG: sampling factors and the number of its quantisation table."""

    across: int
    down: int
    table: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """The metadata a file carries. `c2pa`: a signed provenance manifest. `aigc`: the label that AI made it."""

    exif: bool = False
    icc: bool = False
    xmp: bool = False
    comment: bool = False
    c2pa: bool = False
    aigc: bool = False


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of a picture say, before any pixel is decoded.

    `size` is as stored; `displayed` as seen, with the EXIF `orientation` (1..8) applied. `progressive` is None unless
    JPEG, `lossless` None where the format allows both and does not say.
    """

    format: str
    size: Size
    mode: str
    bits: int = 8
    orientation: int = 1
    has_alpha: bool = False
    progressive: bool | None = None
    lossless: bool | None = None
    animated: bool = False
    metadata: Metadata = Metadata()
    components: tuple[Component, ...] = ()

    @property
    def mime(self) -> str:
        """The media type, lower case."""
        return MIMES[self.format]

    @property
    def displayed(self) -> Size:
        """The size as people see it."""
        return self.size.swapped if self.sideways else self.size

    @property
    def sideways(self) -> bool:
        """Whether width and height are swapped when displayed (EXIF orientations 5 to 8)."""
        return self.orientation in {5, 6, 7, 8}

    @property
    def mcu(self) -> tuple[int, int]:
        """Width and height in stored pixels of the blocks a JPEG is coded in; 1, 1 for anything else."""
        if self.format != "jpeg":
            return 1, 1
        if len(self.components) == 1:
            return 8, 8
        return 8 * max(c.across for c in self.components), 8 * max(c.down for c in self.components)


@dataclass(frozen=True, slots=True)
class Verified:
    """A picture that decodes. `notes`: where it differs from the promise. `preview`: JPEG bytes when asked for."""

    header: Header
    notes: tuple[Message, ...] = ()
    preview: bytes | None = None


@dataclass(frozen=True, slots=True)
class CropReport:
    """What a cut did. `box` and `size` are as displayed; `moved`: px the block grid shifted the cut.

    `provenance_ended`: the source carried a C2PA manifest, which no longer matches the pixels even where it was kept.
    """

    format: str
    method: Method
    box: Box
    size: Size
    moved: int
    metadata_kept: bool
    provenance_ended: bool
    notes: tuple[Message, ...] = ()
    preview: bytes | None = None


@dataclass(frozen=True, slots=True)
class FitReport:
    """The picture to send: `path` is the source itself when nothing had to change, else the file that was written."""

    path: Path
    changed: bool
    format: str
    size: Size
    bytes: int
    notes: tuple[Message, ...] = ()
