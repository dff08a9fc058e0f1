"""Strangers' files: random and damaged bytes end in a result or a clear error, soon, and leave no half file."""

from __future__ import annotations

import io
import random
import struct
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from seedframe.catalog import ReferenceLimits, catalog
from seedframe.errors import SeedreamError
from seedframe.geometry import Box, Size
from seedframe.images import crop, fit_reference, inspect, preview, resize_frame
from seedframe.service.replies import Slot
from seedframe.service.request import ImageRequest, check
from seedframe.settings import Settings
from seedframe.studio.postprocess import Destination, finish
from seedframe.studio.store import Store

LONGEST_SECONDS = 5.0
MAGICS = (
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"RIFF\0\1\0\0WEBPVP8X",
    b"RIFF\0\1\0\0WEBPVP8L",
    b"GIF89a",
    b"BM",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"\0\0\0\x18ftypavif\0\0\0\0mif1avif",
    b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    b"",
)


def originals() -> list[bytes]:
    """One small good file of every kind that is read."""
    dice = random.Random(5)
    picture = Image.frombytes("RGB", (8, 8), dice.randbytes(192)).resize((48, 64), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a picture"
    kinds = [
        ("JPEG", "RGB", {"exif": exif, "icc_profile": bytes(600), "comment": b"AIGC"}),
        ("JPEG", "RGB", {"progressive": True, "xmp": b"<x/>"}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGB", {"exif": exif}),
        ("PNG", "P", {"transparency": 3}),
        ("PNG", "RGBA", {}),
        ("PNG", "1", {}),
        ("WEBP", "RGB", {"lossless": True, "exif": exif}),
        ("WEBP", "RGBA", {"quality": 50}),
        ("GIF", "P", {"save_all": True, "append_images": [picture.rotate(90)]}),
        ("BMP", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        ("TIFF", "CMYK", {}),
        ("AVIF", "RGB", {"speed": 10}),
    ]
    files = []
    for kind, mode, options in kinds:
        data = io.BytesIO()
        picture.convert(mode).save(data, kind, **options)
        files.append(data.getvalue())
    return files


def damaged_files(count: int, seed: int) -> Iterator[bytes]:
    dice, good = random.Random(seed), originals()
    ways = (cut_off, bits_flipped, bytes_replaced, numbers_blown_up, piece_repeated, checksums_mended, invented)
    for number in range(count):
        yield ways[number % len(ways)](good[number % len(good)], dice)


def cut_off(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def bits_flipped(data: bytes, dice: random.Random) -> bytes:
    bad = bytearray(data)
    for _ in range(dice.choice((1, 3, 20))):
        bad[dice.randrange(len(bad))] ^= 1 << dice.randrange(8)
    return bytes(bad)


def bytes_replaced(data: bytes, dice: random.Random) -> bytes:
    at, length = dice.randrange(len(data)), dice.randrange(1, 64)
    return data[:at] + dice.randbytes(length) + data[at + length :]


def numbers_blown_up(data: bytes, dice: random.Random) -> bytes:
    """Headers are where sizes and counts live."""
    at = dice.randrange(min(len(data), 200))
    big = dice.choice((b"\xff\xff", b"\x7f\xff\xff\xff", b"\0\0", b"\0\0\0\0", b"\xff\xff\xff\xff"))
    return data[:at] + big + data[at + len(big) :]


def piece_repeated(data: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data))
    piece = data[start : start + dice.randrange(1, 200)]
    return data[:start] + piece * dice.choice((2, 50, 300)) + data[start:]


def checksums_mended(data: bytes, dice: random.Random) -> bytes:
    """Damage a PNG behind its checksums, so that the damage reaches the decoder; others are just damaged."""
    bad = bytes_replaced(data, dice)
    if not bad.startswith(b"\x89PNG\r\n\x1a\n"):
        return bad
    mended, at = bytearray(bad[:8]), 8
    while at + 12 <= len(bad):
        (length,) = struct.unpack_from(">I", bad, at)
        body = bad[at + 4 : at + 8 + length]
        mended += bad[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(mended)


def invented(_: bytes, dice: random.Random) -> bytes:
    return dice.choice(MAGICS) + dice.randbytes(dice.randrange(2000))


def outcome(way: Callable[[], object]) -> SeedreamError | None:
    try:
        way()
    except SeedreamError as error:
        return error
    return None


def survives(folder: Path, data: bytes) -> int:
    """Try everything that is done to a picture from elsewhere; how many of the ways gave a result."""
    source, target = folder / "source", folder / "target"
    source.write_bytes(data)
    ways = (
        lambda: inspect(source),
        lambda: preview(source, long_side=32),
        lambda: crop(source, target, Box(1, 2, 20, 20), preview_side=32),
        lambda: crop(source, target, Box(1, 2, 20, 20), lossless=False),
        lambda: resize_frame(source, target, Box(0, 0, 20, 20), Size(10, 10)),
        lambda: fit_reference(source, target, ReferenceLimits(formats=("gif",))),
    )
    good = 0
    for way in ways:
        target.unlink(missing_ok=True)
        began = time.perf_counter()
        failure = outcome(way)
        if failure is None:
            good += 1
        else:
            assert failure.text("zh") != failure.text("en")
            assert not target.exists()
        assert time.perf_counter() - began < LONGEST_SECONDS
        assert not (folder / "target.part").exists()
        if target.exists():
            inspect(target)
    return good


def requests() -> list[ImageRequest]:
    """What good files of this size are for: left alone, cut, cut and shrunk."""
    settings = Settings.read({"SEEDFRAME_BACKEND": "emulator", "SEEDFRAME_OUTPUT_DIR": "unused"})
    shapes: list[dict[str, str]] = [{"ratio": "3:4"}, {"ratio": "9:16"}, {"frame": "18x32"}]
    return [
        check("generate_image", {"prompt": "a lighthouse", **shape}, catalog=catalog(), settings=settings)
        for shape in shapes
    ]


def lands(folder: Path, data: bytes, request: ImageRequest) -> bool:
    """Save it as if the service had sent it; whether it became pictures, which are then whole, or nothing is there."""
    store, part = Store(folder / "pictures"), folder / "arrived.part"
    part.write_bytes(data)
    place, moment = Destination(0, "seedframe:X-1", store.root / "shot"), datetime(2026, 11, 20, tzinfo=UTC)
    began = time.perf_counter()
    failure = outcome(lambda: finish(part, Slot(0, part=0), request, place, store, moment))
    assert time.perf_counter() - began < LONGEST_SECONDS
    assert [file for file in folder.iterdir() if file != store.root] == [part] * (failure is None)
    found = sorted(store.root.glob("*"))
    for file in found:
        inspect(file)
        file.unlink()
    assert (failure is None) == bool(found)
    return failure is None


def trial(folder: Path, count: int, seed: int) -> int:
    with warnings.catch_warnings():
        # Pillow grumbles about odd metadata in files that it reads all the same.
        warnings.simplefilter("ignore")
        return sum(survives(folder, data) for data in damaged_files(count, seed))


def saving_trial(folder: Path, count: int, seed: int) -> int:
    asked = requests()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sum(lands(folder, data, asked[n % 3]) for n, data in enumerate(damaged_files(count, seed)))


@pytest.mark.slow
def test_every_kind_of_good_file_takes_every_way(tmp_path: Path) -> None:
    assert [survives(tmp_path, data) for data in originals()] == [6] * len(originals())


@pytest.mark.slow
def test_damaged_files_give_a_result_or_a_clear_error(tmp_path: Path) -> None:
    assert trial(tmp_path, 400, seed=1) > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_damaged_files_give_a_result_or_a_clear_error(tmp_path: Path) -> None:
    assert trial(tmp_path, 10_000, seed=2) > 0


@pytest.mark.slow
def test_every_kind_of_good_file_is_saved_in_every_shape(tmp_path: Path) -> None:
    assert all(lands(tmp_path, data, request) for data in originals() for request in requests())


@pytest.mark.slow
def test_damaged_files_from_the_service_are_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    assert saving_trial(tmp_path, 200, seed=3) > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_damaged_files_from_the_service_are_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    assert saving_trial(tmp_path, 10_000, seed=4) > 0
