"""What a cut costs a picture, and what its parts take: quality, size, preview. No network.

In: painted photographs. Out: coefficients, decibels, bytes, milliseconds.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from bench import naive
from bench.coefficients import changed, coefficients
from bench.figures import Ground, Report, Series, compared
from seedframe.geometry import Box, Size, align_box, crop_box, mismatch, parse_ratio
from seedframe.images import CropReport, crop, preview, read_header, turbojpeg_version

PORTRAIT = Fraction(9, 16)
CUTS = ("2048x2048", "4096x4096")
SHAPES = ("1:1", "4:5", "3:4", "2:3", "9:16", "9:21", "16:9", "2.39:1")
SIZES = ("2048x2048", "1440x2560", "2304x4096", "2848x1600", "3040x5504", "4096x4096")


def report(report: Report, ground: Ground) -> None:
    """Quality, geometry, PNG, preview."""
    report.title("What a cut does to the picture (9:16, centre)")
    for name in CUTS:
        _quality(report, ground, name)
    _geometry(report)
    report.title("PNG written after a cut, and previews")
    for name in CUTS:
        _png_size(report, ground, name)
    for name in ("1440x2560", "2304x4096"):
        source = ground.folder / f"{name}-7.jpeg"
        ours = _timed(lambda source=source: preview(source), ground.rounds(9, 5))  # type: ignore[misc]
        usual = _timed(lambda source=source: _thumbnail(source), ground.rounds(9, 5))  # type: ignore[misc]
        report.line(f"preview of {name}", compared({"ours": ours, "thumbnail()": usual}) + _weight(preview(source)))


def _quality(report: Report, ground: Ground, name: str) -> None:
    source = ground.folder / f"{name}-7.jpeg"
    box = crop_box(Size.parse(name), PORTRAIT)
    assert box
    coded, coding = _cut(source, box, lossless=False)
    plain, usual = ground.folder / "cut-naive.jpeg", ground.folder / "exact.png"
    with Image.open(source) as picture:
        naive.save(picture.crop(box.corners), plain, "JPEG")
        picture.crop(box.corners).save(usual, compress_level=0)
    if not turbojpeg_version():
        report.line(f"{name} fallback", f"{_psnr(usual, coded):.1f} dB against the source's pixels")
        report.target(f"{name} → 9:16, fallback against the source", _psnr(usual, coded), 55, "dB", at_least=True)
        return
    exact, cutting = _cut(source, box, lossless=True)
    whole = coefficients(source)
    shifted, total = changed(whole, coefficients(exact), cutting.box.left, cutting.box.top)
    recoded, _ = changed(whole, coefficients(coded), coding.box.left, coding.box.top)
    report.line(f"{name} lossless", f"{shifted} of {total} coefficients changed, {exact.stat().st_size:,} bytes")
    report.line(
        f"{name} fallback",
        f"{_psnr(exact, coded):.1f} dB against it, {recoded / total:.2%} changed, {coded.stat().st_size:,} bytes",
    )
    report.line(f"{name} quality 95", f"{_psnr(exact, plain):.1f} dB against it, {plain.stat().st_size:,} bytes")
    report.target(f"{name} → 9:16, lossless: coefficients changed", shifted, 0)
    report.target(f"{name} → 9:16, fallback against lossless", _psnr(exact, coded), 55, "dB", at_least=True)


def _cut(source: Path, box: Box, *, lossless: bool) -> tuple[Path, CropReport]:
    target = source.with_name(f"cut-{lossless}.jpeg")
    return target, crop(source, target, box, lossless=lossless)


def _geometry(report: Report) -> None:
    """The worst of many cuts."""
    shift, error = 0, 0.0
    for size in map(Size.parse, SIZES):
        for ratio in map(parse_ratio, SHAPES):
            box = crop_box(size, ratio)
            if box:
                shift = max(shift, align_box(box, (16, 16), size)[1])
                error = max(error, mismatch(box.size, ratio))
    report.line(
        f"{len(SIZES)} sizes × {len(SHAPES)} ratios", f"centre at most {shift} px off, ratio at most {error:.1e}"
    )
    report.target("centre shift of a cut", shift, 8, "px")
    report.target("ratio error of a cut", error, 1e-3)


def _png_size(report: Report, ground: Ground, name: str) -> None:
    source, target, usual = (ground.folder / file for file in (f"{name}-7.png", "cut.png", "cut-naive.png"))
    box = crop_box(read_header(source).displayed, PORTRAIT)
    assert box
    crop(source, target, box)
    with Image.open(source) as picture:
        naive.save(picture.crop(box.corners), usual, "PNG")
    size, usual_size = target.stat().st_size, usual.stat().st_size
    report.line(f"{name} PNG", f"ours {size:,} bytes · naive {usual_size:,} | ours/naive {size / usual_size:.2f}")
    report.target(f"{name} PNG → 9:16: size, ours/naive", size / usual_size, 1.25)


def _psnr(one: Path, other: Path) -> float:
    with Image.open(one) as first, Image.open(other) as second:
        error = ImageStat.Stat(ImageChops.difference(first.convert("RGB"), second.convert("RGB"))).rms
    mean = sum(value * value for value in error) / len(error)
    return 99.0 if not mean else 10 * math.log10(255 * 255 / mean)


def _thumbnail(source: Path) -> None:
    with Image.open(source) as picture:
        picture.thumbnail((640, 640))
        picture.save(io.BytesIO(), "JPEG", quality=82)


def _weight(small: bytes) -> str:
    return f" | {len(small) / 1000:.0f} KB"


def _timed(work: Callable[[], object], rounds: int) -> Series:
    work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return Series(times)
