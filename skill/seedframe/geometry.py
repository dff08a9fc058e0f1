"""Ratios, legal pixel sizes, crop boxes: the arithmetic of frames, exact to the pixel.

In: sizes, ratios, anchors (parsed from text where people write them) and a model's limits. Out: frozen values.
Never in here: a picture, a file, a model's name or numbers (limits are arguments), floating-point ratios.

    exact_size   ratio + wanted area → the size to ask for        fit_limits   a size → the nearest legal one
    frame_plan   the received size → what to cut and shrink         crop_box, align_box   the cut itself
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, isqrt, sqrt

from seedframe.errors import InvalidRequest
from seedframe.messages import Message

TOLERANCE = 0.01
"""A picture whose width/height is this near to the wanted ratio is not cut."""

EXACTNESS = 1e-3
"""The largest error in width/height after a cut, wherever the sides allow it."""

FAR_RATIO = Fraction(2, 100)
FAR_PIXELS = Fraction(80, 100)
"""How far a picture may differ in ratio from the requested size, and the least share of its pixels."""

GRIDS = (16, 8, 2, 1)
"""Sides are multiples of the first of these that costs little area: codecs and crops work in blocks of 16 and 8."""

GRID_SLACK = 0.125
"""How much area (as a share) a better grid may cost against the wanted area."""

EXACT_SLACK = 0.25
"""How much area (as a share) a size moved into the limits may cost to keep its ratio exact."""

NAMED_RATIOS = ("1:1", "5:4", "4:5", "4:3", "3:4", "3:2", "2:3", "16:9", "9:16", "2:1", "1:2", "21:9", "9:21")

_SIZE = re.compile(r"(\d{1,6})\s*[xX*×]\s*(\d{1,6})")
_RATIO = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(?:\s*[:/]\s*(\d{1,6}(?:\.\d{1,6})?))?")
_POINT = re.compile(r"([01](?:\.\d{1,6})?|\.\d{1,6})\s*[,;]\s*([01](?:\.\d{1,6})?|\.\d{1,6})")


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels, both at least 1."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str, *, field: str = "size") -> Size:
        """Read `1440x2560` (also `X`, `*`, `×`, spaces, full-width digits); InvalidRequest on `field` otherwise."""
        match = _SIZE.fullmatch(_plain(text))
        if match and int(match[1]) and int(match[2]):
            return cls(int(match[1]), int(match[2]))
        raise InvalidRequest(
            Message("geometry.size-unreadable", got=text[:64]), field=field, got=text[:64], allowed="1440x2560"
        )

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        """The area."""
        return self.width * self.height

    @property
    def ratio(self) -> Fraction:
        """Width over height, exact."""
        return Fraction(self.width, self.height)

    @property
    def swapped(self) -> Size:
        """The same picture turned by a quarter."""
        return Size(self.height, self.width)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model takes: area and width/height, both ends included; `max_side` where a backend has one."""

    min_pixels: int
    max_pixels: int
    min_ratio: Fraction
    max_ratio: Fraction
    max_side: int | None = None

    def allow(self, size: Size) -> bool:
        """Whether this size may be asked for."""
        return (
            self.min_pixels <= size.pixels <= self.max_pixels
            and self.min_ratio <= size.ratio <= self.max_ratio
            and (self.max_side is None or max(size.width, size.height) <= self.max_side)
        )

    @property
    def ratios(self) -> tuple[Fraction, Fraction]:
        """The narrowest and the widest ratio; a longest side narrows both, because the area has a minimum."""
        if self.max_side is None:
            return self.min_ratio, self.max_ratio
        shortest = -(-self.min_pixels // self.max_side)
        widest = Fraction(self.max_side, max(1, shortest))
        return max(self.min_ratio, 1 / widest), min(self.max_ratio, widest)

    def __str__(self) -> str:
        low, high = self.ratios
        side = f", side <= {self.max_side}" if self.max_side else ""
        return f"{self.min_pixels}..{self.max_pixels} px, {ratio_text(low)}..{ratio_text(high)}{side}"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of whole pixels inside a picture."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        """Width and height of the cut."""
        return Size(self.width, self.height)

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom; the last two are one past the edge."""
        return self.left, self.top, self.left + self.width, self.top + self.height

    def inside(self, size: Size) -> bool:
        """Whether the whole box is inside a picture of this size."""
        left, top, right, bottom = self.corners
        return 0 <= left < right <= size.width and 0 <= top < bottom <= size.height


@dataclass(frozen=True, slots=True)
class Anchor:
    """The point to keep, as shares of width and height (0..1); a cut is centred on it as far as the edges allow."""

    x: float
    y: float

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """Read a name (`center`, `top`, `bottom-right` …) or a point (`0.3,0.7`); InvalidRequest otherwise."""
        plain = _plain(text).lower()
        name = "-".join(sorted(re.split(r"[-_\s]+", plain)))
        if name in _ANCHORS:
            return _ANCHORS[name]
        point = _POINT.fullmatch(plain)
        if point and float(point[1]) <= 1 and float(point[2]) <= 1:
            return cls(float(point[1]), float(point[2]))
        allowed = ["center", "top", "bottom", "left", "right", "top-left", "top-right", "bottom-left", "bottom-right"]
        raise InvalidRequest(
            Message("geometry.anchor-unreadable", got=text[:80], allowed=allowed),
            field="anchor",
            got=text[:80],
            allowed=[*allowed, "0.3,0.7"],
        )


CENTER = Anchor(0.5, 0.5)

_ANCHORS = {
    "center": CENTER,
    "centre": CENTER,
    "middle": CENTER,
    "top": Anchor(0.5, 0.0),
    "bottom": Anchor(0.5, 1.0),
    "left": Anchor(0.0, 0.5),
    "right": Anchor(1.0, 0.5),
    "left-top": Anchor(0.0, 0.0),
    "right-top": Anchor(1.0, 0.0),
    "bottom-left": Anchor(0.0, 1.0),
    "bottom-right": Anchor(1.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class FrameGeometry:
    """How a picture becomes the wanted frame.

    `crop` None: nothing is cut. `resize` None: pixels stay as they are. `too_small`: an exact frame was wanted and the
    picture has fewer pixels; it is only cut to the frame's ratio, because nothing is ever enlarged. `share_cut`: part
    of the area lost, 0..1. `ratio_error`: |width/height - wanted| of the result.
    """

    crop: Box | None
    resize: Size | None
    share_cut: float
    ratio_error: float
    too_small: bool = False

    @property
    def untouched(self) -> bool:
        """Whether the received bytes can be saved unchanged."""
        return self.crop is None and self.resize is None


def parse_ratio(text: str | float) -> Fraction:
    """Read `9:16`, `9/16`, `2.39:1` or `0.5625`; InvalidRequest on `ratio` otherwise (`9x16` would be a size)."""
    match = _RATIO.fullmatch(_plain(str(text)))
    if match:
        above, below = Fraction(match[1]), Fraction(match[2] or 1)
        if above and below:
            return above / below
    raise InvalidRequest(
        Message("geometry.ratio-unreadable", got=text), field="ratio", got=text, allowed="W:H, e.g. 9:16"
    )


def ratio_text(ratio: Fraction) -> str:
    """Write a ratio as `9:16`."""
    return f"{ratio.numerator}:{ratio.denominator}"


def nearest_named(ratio: Fraction) -> str:
    """Name the everyday ratio that is closest (by proportion, so that 3:4 and 4:3 are equally far from 1:1)."""

    def distance(name: str) -> Fraction:
        named = parse_ratio(name)
        return max(named / ratio, ratio / named)

    return min(NAMED_RATIOS, key=distance)


def mismatch(size: Size, ratio: Fraction) -> float:
    """|width/height - ratio|."""
    return abs(float(size.ratio - ratio))


def is_far(got: Size, asked: Size) -> bool:
    """Whether it is not the requested picture: the ratio is off by over 2 %, or a fifth of the pixels is missing."""
    return abs(got.ratio / asked.ratio - 1) > FAR_RATIO or got.pixels < asked.pixels * FAR_PIXELS


def exact_size(ratio: Fraction, near_pixels: int, limits: Limits) -> Size:
    """Find the legal size of exactly this ratio whose area is closest to `near_pixels` (itself brought inside first).

    Rule: every size of the ratio is k times the reduced ratio. Of the legal ones on each grid of 16, 8, 2 and 1 pixels
    the closest in area is taken; the coarsest grid wins whose choice is within an eighth of the wanted area, or else
    the closest of all. So 9:16 near 2048x2048 is 1584x2816, near 1440x2560 or 2304x4096 exactly those.
    When no multiple is legal (997:1009 between 1.1 and 3 million pixels) it is the representable size with the
    smallest error near the wanted area; `mismatch` gives the error. InvalidRequest on `ratio` outside the limits.
    """
    _check_ratio(ratio, limits, field="ratio", got=ratio_text(ratio))
    wanted = min(max(near_pixels, limits.min_pixels), limits.max_pixels)
    exact = _closest_multiple(ratio, wanted, limits)
    if exact:
        return exact
    near = _least_error(ratio, wanted, limits)
    if near:
        return near
    raise InvalidRequest(
        Message("geometry.no-legal-size", ratio=ratio_text(ratio), allowed=str(limits)),
        field="ratio",
        got=ratio_text(ratio),
        allowed=str(limits),
    )


def fit_limits(size: Size, limits: Limits, *, field: str = "size") -> Size:
    """Find the legal size nearest to a wanted one, same ratio: unchanged if legal, else scaled up or down.

    Too small: scaled by sqrt(min/area) and rounded *up*, so that it is never below the minimum. Too large (area or
    side): scaled down and rounded down. The ratio stays exact where a multiple of it costs at most a quarter of the
    area; otherwise it is off by less than a pixel. InvalidRequest on `field` when the ratio itself is illegal.
    """
    if limits.allow(size):
        return size
    _check_ratio(size.ratio, limits, field=field, got=str(size))
    up = size.pixels < limits.min_pixels
    bound = limits.min_pixels if up else _ceiling(size.ratio, limits)
    exact = _closest_multiple(size.ratio, bound, limits)
    if exact and abs(exact.pixels - bound) <= EXACT_SLACK * bound:
        return exact
    rounded = _rounded_up(size, limits) if up else _rounded_down(size, limits)
    return rounded if limits.allow(rounded) else exact_size(size.ratio, bound, limits)


def crop_box(size: Size, ratio: Fraction, anchor: Anchor = CENTER, *, tolerance: float = TOLERANCE) -> Box | None:
    """Find the cut that gives `ratio` at full height or full width; None when the picture is near enough already.

    A few pixels of the full side are given up only where whole pixels could not reach the ratio within 1e-3 otherwise
    (2048 wide at 20:1 is 2040x102, not 2048x102).
    """
    if mismatch(size, ratio) <= tolerance:
        return None
    cut = _cut(size, ratio)
    if cut == size:
        return None
    left = _start(size.width, cut.width, anchor.x)
    return Box(left, _start(size.height, cut.height, anchor.y), cut.width, cut.height)


def align_box(box: Box, mcu: tuple[int, int], within: Size) -> tuple[Box, int]:
    """Move a box to the nearest start on the grid of blocks (`mcu`: their width, height); also gives how far (px).

    Its size stays; it stays inside the picture. What moved is the larger of both directions.
    """
    left = _on_grid(box.left, mcu[0], within.width - box.width)
    top = _on_grid(box.top, mcu[1], within.height - box.height)
    return Box(left, top, box.width, box.height), max(abs(left - box.left), abs(top - box.top))


def frame_size(text: str) -> Size:
    """Read an exact frame as written by people (`1080x1920`); InvalidRequest on `frame` otherwise."""
    return Size.parse(text, field="frame")


def frame_plan(
    got: Size, *, ratio: Fraction | None = None, frame: Size | None = None, anchor: Anchor = CENTER
) -> FrameGeometry:
    """Decide what to cut and shrink so that a picture of size `got` gets the ratio, or is the frame (which wins).

    An exact frame is cut without tolerance first, since shrinking a merely near ratio would distort the picture.
    """
    target = frame.ratio if frame else ratio
    if target is None or got == frame:
        return FrameGeometry(None, None, 0.0, 0.0)
    crop = crop_box(got, target, anchor, tolerance=0.0 if frame else TOLERANCE)
    left = crop.size if crop else got
    too_small = frame is not None and (left.width < frame.width or left.height < frame.height)
    resize = frame if frame and not too_small and left != frame else None
    share = 1 - left.pixels / got.pixels
    return FrameGeometry(crop, resize, share, mismatch(resize or left, target), too_small)


def _plain(text: str) -> str:
    """Full-width digits, colons and letters, as Chinese keyboards type them, become ASCII."""
    return unicodedata.normalize("NFKC", text[:64]).strip()


def _check_ratio(ratio: Fraction, limits: Limits, *, field: str, got: str) -> None:
    low, high = limits.ratios
    if low <= ratio <= high:
        return
    nearest = ratio_text(min(max(ratio, low), high))
    allowed = f"{ratio_text(low)}..{ratio_text(high)}"
    raise InvalidRequest(
        Message("geometry.ratio-outside", got=got, low=ratio_text(low), high=ratio_text(high)),
        field=field,
        got=got,
        allowed=allowed,
        advice=Message("geometry.try-ratio", nearest=nearest),
    )


def _ceiling(ratio: Fraction, limits: Limits) -> int:
    """Compute the largest area a ratio can reach: the maximum, or less where the longest side is limited."""
    if limits.max_side is None:
        return limits.max_pixels
    return min(limits.max_pixels, floor(limits.max_side**2 * min(ratio, 1 / ratio)))


def _closest_multiple(ratio: Fraction, wanted: int, limits: Limits) -> Size | None:
    """Find the best exact multiple of the ratio by the rule of `exact_size`; None when none is legal."""
    found = [size for grid in GRIDS if (size := _on_step(ratio, wanted, limits, _step(ratio, grid)))]
    for size in found:
        if abs(size.pixels - wanted) <= GRID_SLACK * wanted:
            return size
    return min(found, key=lambda size: abs(size.pixels - wanted), default=None)


def _step(ratio: Fraction, grid: int) -> int:
    """Find the smallest factor that puts both sides on the grid: 9:16 needs 16 for 16, 1:2 needs 16, 16:16 needs 1."""
    return next(k for k in range(1, grid + 1) if not (ratio.numerator * k % grid or ratio.denominator * k % grid))


def _on_step(ratio: Fraction, wanted: int, limits: Limits, step: int) -> Size | None:
    """Of the sizes k x ratio with k a multiple of `step`, the legal one closest in area to `wanted`."""
    width, height = ratio.numerator, ratio.denominator
    unit = width * height * step * step
    lowest = _ceil_sqrt(Fraction(limits.min_pixels, unit))
    highest = isqrt(_ceiling(ratio, limits) // unit)
    if limits.max_side is not None:
        highest = min(highest, limits.max_side // (max(width, height) * step))
    if lowest > highest or highest < 1:
        return None
    below = min(max(isqrt(wanted // unit), lowest, 1), highest)
    k = min(below, min(below + 1, highest), key=lambda k: abs(k * k * unit - wanted)) * step
    return Size(width * k, height * k)


def _least_error(ratio: Fraction, wanted: int, limits: Limits) -> Size | None:
    """Find a size that is nearly the ratio: among areas within an eighth of the wanted one, else anywhere legal."""
    for low, high in ((wanted * (1 - GRID_SLACK), wanted * (1 + GRID_SLACK)), (limits.min_pixels, limits.max_pixels)):
        legal = [size for size in _near_sizes(ratio, low, high) if limits.allow(size)]
        if legal:
            return min(legal, key=lambda size: (abs(size.ratio - ratio), abs(size.pixels - wanted)))
    return None


def _near_sizes(ratio: Fraction, low: float, high: float) -> Iterator[Size]:
    """Sizes between two areas, one for every length of the shorter side."""
    long = max(ratio, 1 / ratio)
    for short in range(max(1, floor(sqrt(low / long))), ceil(sqrt(high / long)) + 1):
        size = Size(round(short * long), short)
        yield size if ratio >= 1 else size.swapped


def _rounded_up(size: Size, limits: Limits) -> Size:
    width = _ceil_sqrt(Fraction(size.width * limits.min_pixels, size.height))
    height = _ceil_sqrt(Fraction(size.height * limits.min_pixels, size.width))
    # Rounding may step over the ratio limit itself (16:1 becoming 16.01:1): the other side grows.
    return Size(max(width, ceil(height * limits.min_ratio)), max(height, ceil(width / limits.max_ratio)))


def _rounded_down(size: Size, limits: Limits) -> Size:
    area = _ceiling(size.ratio, limits)
    width = max(1, isqrt(area * size.width // size.height))
    height = max(1, isqrt(area * size.height // size.width))
    return Size(min(width, floor(height * limits.max_ratio)), min(height, floor(width / limits.min_ratio)))


def _ceil_sqrt(value: Fraction) -> int:
    root = isqrt(ceil(value))
    return root if root * root >= value else root + 1


def _cut(size: Size, ratio: Fraction) -> Size:
    """Keep the full height (or width) and cut the other side, giving up pixels of the full one while that misses."""
    wide = size.ratio > ratio
    full, across, per = (size.height, size.width, 1 / ratio) if wide else (size.width, size.height, ratio)
    best, least = size, None
    for kept in range(full, max(0, full - max(16, ceil(per))), -1):
        short = min(across, max(1, round(kept / per)))
        cut = Size(short, kept) if wide else Size(kept, short)
        error = mismatch(cut, ratio)
        if error <= EXACTNESS:
            return cut
        if least is None or error < least:
            best, least = cut, error
    return best


def _start(whole: int, part: int, share: float) -> int:
    """Where a part begins so that the point at `share` of the whole is its middle, as far as the edges allow."""
    return min(max(0, floor(whole * share - part / 2)), whole - part)


def _on_grid(start: int, step: int, last: int) -> int:
    nearest = (start + step // 2) // step * step
    return nearest if nearest <= last else last // step * step
