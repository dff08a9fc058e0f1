"""Time a picture between the wire and the disk, ours against the way most tools go: `python bench/pictures.py`.

naive: open, decode, crop if the ratio is off, always save (quality 95; PNG: Pillow's default), thumbnail of a copy.
careful: bytes land verbatim when the ratio fits, thumbnail() from a lazy open; otherwise as naive without the copy.
ours: this package; `ours/pixels` is ours without libturbojpeg. All variants end with file on disk plus preview.

In: nothing but synthetic photographs. Out: a table on stdout. Medians of interleaved runs; ± is half the distance
between the quartiles. The network, base64 and JSON are not in here.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path

from PIL import Image

from photos import save_photo
from seedframe.geometry import Size, frame_plan
from seedframe.pictures import crop, preview, read_header, turbojpeg_version

PORTRAIT = Fraction(9, 16)
SCENES = (
    ("1440x2560 untouched", Size(1440, 2560)),
    ("2048x2048 to 9:16", Size(2048, 2048)),
    ("2304x4096 untouched", Size(2304, 4096)),
    ("4096x4096 to 9:16", Size(4096, 4096)),
)
Variant = Callable[[Path, Path], object]


def ours(source: Path, target: Path, *, lossless: bool = True) -> bytes | None:
    """Header, plan, then as little as possible; the preview's decode proves an untouched file."""
    plan = frame_plan(read_header(source).displayed, ratio=PORTRAIT)
    if plan.crop:
        return crop(source, target, plan.crop, lossless=lossless, preview_side=640).preview
    source.replace(target)
    return preview(target)


def naive(source: Path, target: Path) -> bytes:
    picture = Image.open(io.BytesIO(source.read_bytes()))
    picture.load()
    cut = _centre_cut(picture)
    _save(cut, target, source.suffix)
    return _thumbnail(cut.copy())


def careful(source: Path, target: Path) -> bytes:
    with Image.open(source) as picture:
        cut = _centre_cut(picture)
        if cut is picture:
            source.replace(target)
        else:
            _save(cut, target, source.suffix)
        return _thumbnail(cut)


def _save(picture: Image.Image, target: Path, suffix: str) -> None:
    if suffix == ".jpeg":
        picture.save(target, "JPEG", quality=95)
    else:
        picture.save(target, "PNG")


def _centre_cut(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    if abs(width / height - 9 / 16) <= 0.01:
        return picture
    wide = round(height * 9 / 16)
    return picture.crop(((width - wide) // 2, 0, (width - wide) // 2 + wide, height))


def _thumbnail(picture: Image.Image) -> bytes:
    picture.thumbnail((640, 640))
    data = io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=82)
    return data.getvalue()


def timed(variants: dict[str, Variant], source: Path, rounds: int) -> dict[str, list[float]]:
    """Run all variants in turn, `rounds` times after one warm-up; milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    data = source.read_bytes()
    for number in range(rounds + 1):
        for name, variant in variants.items():
            arrived = source.with_name("arrived" + source.suffix)
            arrived.write_bytes(data)
            start = time.perf_counter()
            variant(arrived, source.with_name("landed"))
            if number:
                times[name].append((time.perf_counter() - start) * 1000)
    return times


def report(times: dict[str, list[float]]) -> Iterable[str]:
    """One cell per variant: median ± spread (ratio to naive, to careful)."""
    base = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        low, _, high = statistics.quantiles(values, n=4)
        ratios = f"({base[name] / base['naive']:.2f} naive, {base[name] / base['careful']:.2f} careful)"
        yield f"  {name:<12} {base[name]:7.1f} ms ± {(high - low) / 2:4.1f}  {ratios}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=9)
    rounds = options.parse_args().rounds
    print(f"libturbojpeg: {turbojpeg_version() or 'not found, ours/pixels only'}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("jpeg", "png"):
            variants: dict[str, Variant] = {"naive": naive, "careful": careful, "ours": ours}
            if kind == "jpeg" and turbojpeg_version():
                variants["ours/pixels"] = partial(ours, lossless=False)
            for title, size in SCENES:
                source = save_photo(Path(folder), size.width, size.height, kind)
                print(f"{kind} {title} ({source.stat().st_size / 1e6:.1f} MB)")
                print("\n".join(report(timed(variants, source, rounds if kind == "jpeg" else max(3, rounds // 3)))))
                sizes = {name: _landed_size(variant, source) for name, variant in variants.items()}
                print("  bytes on disk: " + ", ".join(f"{name} {count / 1e6:.2f} MB" for name, count in sizes.items()))
                source.unlink()


def _landed_size(variant: Variant, source: Path) -> int:
    arrived, landed = source.with_name("arrived" + source.suffix), source.with_name("landed")
    arrived.write_bytes(source.read_bytes())
    variant(arrived, landed)
    return landed.stat().st_size


if __name__ == "__main__":
    main()
