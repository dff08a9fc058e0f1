"""Picture files: read, proved, cut gently, previewed; and never a half file or a traceback."""

from __future__ import annotations

import io
import json
import math
import random
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps, ImageStat
from PIL.PngImagePlugin import PngInfo

from seedframe.catalog import ReferenceLimits
from seedframe.errors import PictureError, StoreError
from seedframe.geometry import Anchor, Box, Size, crop_box, mismatch, parse_ratio
from seedframe.images import (
    contact_strip,
    crop,
    fit_reference,
    inspect,
    preview,
    read_header,
    resize_frame,
    see_through,
    sniff,
    turbojpeg_version,
    verify,
    written_format,
)
from seedframe.messages import Message
from shapes import ANCHORS, RATIOS, TABLE

FORMATS = {
    "jpeg": {"quality": 92},
    "png": {},
    "webp": {"lossless": True},
    "gif": {},
    "bmp": {},
    "tiff": {},
    "avif": {"speed": 10},
}
METHODS = pytest.mark.parametrize(
    "lossless",
    [
        pytest.param(
            True,
            id="lossless",
            marks=pytest.mark.skipif(not turbojpeg_version(), reason="no libturbojpeg on this machine"),
        ),
        pytest.param(False, id="pixels"),
    ],
)


def photo(width: int, height: int, mode: str = "RGB", seed: int = 1) -> Image.Image:
    """Soft shapes with grain: what a photograph looks like to an encoder."""
    dice = random.Random(seed)
    coarse = Image.frombytes("RGB", (8, 8), dice.randbytes(192)).resize((width, height), Image.Resampling.BICUBIC)
    grain = Image.frombytes("RGB", (width, height), dice.randbytes(3 * width * height))
    picture = Image.blend(coarse, grain, 0.04)
    if mode in {"LA", "RGBA"}:
        picture.putalpha(Image.linear_gradient("L").resize((width, height)))
    return picture.convert(mode)


def saved(folder: Path, format: str = "jpeg", size: tuple[int, int] = (200, 160), **options: object) -> Path:
    path = folder / f"source.{format}"
    photo(*size).save(path, format.upper(), **(FORMATS[format] | options))
    return path


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def c2pa_segment() -> bytes:
    """A manifest as Seedream embeds it: a JUMBF box with a whole thumbnail JPEG, its own frame header included."""
    thumbnail = io.BytesIO()
    photo(64, 64).save(thumbnail, "JPEG", quality=30)
    jumbf = b"jumb" + struct.pack(">I", 30) + b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x008\x9bq\x03c2pa\x00"
    return segment(0xEB, b"JP\x00\x01\x00\x00\x00\x01\x00\x00\x10\x00" + jumbf + thumbnail.getvalue())


def with_segments(path: Path, *segments: bytes) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"".join(segments) + data[2:])
    return path


def psnr(one: Image.Image, other: Image.Image) -> float:
    error = ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).rms
    mean = sum(value * value for value in error) / 3
    return 99.0 if not mean else 10 * math.log10(255 * 255 / mean)


def same_pixels(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and one.size == other.size and one.tobytes() == other.tobytes()


def opened(file: Path | io.BytesIO) -> Image.Image:
    with Image.open(file) as image:
        image.load()
        return image


def jpeg_parts(path: Path) -> tuple[dict[int, list[int]], list[Any]]:
    with Image.open(path) as image:
        return image.quantization, image.layer


def leftovers(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("source"))


@pytest.fixture(scope="module")
def slopes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each size of the models' tables as a JPEG whose colours show the position: red grows rightwards, green down."""
    folder = tmp_path_factory.mktemp("slopes")
    down = Image.linear_gradient("L")
    for size in map(Size.parse, TABLE):
        planes = [down.rotate(90), down, Image.new("L", down.size, 90)]
        slope = Image.merge("RGB", [plane.resize((size.width, size.height)) for plane in planes])
        slope.save(folder / f"{size}.jpeg", quality=90, subsampling="4:2:0")
    return folder


def coarse(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.draft("RGB", (image.width // 8, image.height // 8))
        return image.convert("RGB")


@pytest.mark.slow
@pytest.mark.timeout(900)
@METHODS
@pytest.mark.parametrize("ratio", RATIOS)
def test_every_size_of_the_tables_is_cut_to_every_ratio_at_every_anchor(
    tmp_path: Path, slopes: Path, ratio: str, lossless: bool
) -> None:
    target = tmp_path / "cut.jpeg"
    for number, text in enumerate(TABLE):
        source, size = slopes / f"{text}.jpeg", Size.parse(text)
        # Neighbouring ratios take turns, so that each size meets each anchor.
        anchor = Anchor.parse(ANCHORS[(number + RATIOS.index(ratio)) % len(ANCHORS)])
        box = crop_box(size, parse_ratio(ratio), anchor)
        if box is None:
            continue
        report = crop(source, target, box, lossless=lossless)
        assert (report.size, read_header(target).size) == (box.size, box.size)
        assert mismatch(report.size, parse_ratio(ratio)) <= 1e-3
        assert report.box.inside(size)
        assert report.moved < 16
        cut, whole = coarse(target), coarse(source)
        for across, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            seen = cut.getpixel((across * (cut.width - 1), down * (cut.height - 1)))
            there = (report.box.left + across * (box.width - 1), report.box.top + down * (box.height - 1))
            expected = whole.getpixel((min(there[0] // 8, whole.width - 1), min(there[1] // 8, whole.height - 1)))
            assert max(abs(one - other) for one, other in zip(seen, expected, strict=True)) <= 4


@pytest.mark.slow
def test_importing_the_package_does_not_import_pillow() -> None:
    code = "import sys, seedframe.images; sys.exit('PIL' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode
        == 0
    )


@pytest.mark.parametrize("format", FORMATS)
def test_the_format_is_told_by_the_bytes_and_the_size_without_decoding(tmp_path: Path, format: str) -> None:
    path = saved(tmp_path, format)
    header = read_header(path.rename(tmp_path / "source.dat"))
    assert (header.format, header.displayed, header.mime) == (format, Size(200, 160), f"image/{format}")


def test_junk_has_no_format() -> None:
    assert sniff(b"") is None
    assert sniff(b"<html>") is None
    assert sniff(b"\0\0\0\x18ftypisom") is None
    assert sniff(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic") == "heic"


def test_the_thumbnail_inside_a_c2pa_manifest_is_not_mistaken_for_the_picture(tmp_path: Path) -> None:
    path = with_segments(saved(tmp_path), c2pa_segment())
    header = read_header(path)
    assert header.size == Size(200, 160)
    assert header.metadata.c2pa


def test_metadata_is_recognised(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = saved(tmp_path, exif=exif, icc_profile=profile, xmp=b"<x>AIGC</x>", comment=b"hello")
    known = read_header(path).metadata
    assert (known.exif, known.icc, known.xmp, known.comment, known.aigc, known.c2pa) == (True,) * 5 + (False,)
    assert read_header(path).displayed == Size(160, 200)


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_a_picture_stored_sideways_is_told_as_displayed(tmp_path: Path, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    header = read_header(saved(tmp_path, format, exif=exif))
    assert (header.size, header.displayed, header.orientation) == (Size(200, 160), Size(160, 200), 8)


@pytest.mark.parametrize("format", FORMATS)
def test_a_good_picture_is_verified(tmp_path: Path, format: str) -> None:
    verified = verify(saved(tmp_path, format), expected=Size(200, 160), expected_format=format)
    assert (verified.notes, verified.preview) == ((), None)


def test_a_picture_other_than_promised_is_noted(tmp_path: Path) -> None:
    verified = verify(saved(tmp_path), expected=Size(1440, 2560), expected_format="png")
    assert verified.notes == (
        Message("pictures.other-size", got="200x160", expected="1440x2560"),
        Message("pictures.other-format", got="jpeg", expected="png"),
    )


def test_one_decode_verifies_and_previews(tmp_path: Path) -> None:
    shown = verify(saved(tmp_path), preview_side=100).preview
    assert shown
    assert opened(io.BytesIO(shown)).size == (100, 80)


@pytest.mark.parametrize("preview_side", [None, 640], ids=["plain", "with preview"])
@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "gif", "tiff"])
def test_a_cut_off_file_is_found_out(tmp_path: Path, format: str, preview_side: int | None) -> None:
    path = saved(tmp_path, format)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(PictureError) as caught:
        verify(path, preview_side=preview_side)
    assert "损坏" in caught.value.text("zh")


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"{}", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0"], ids=repr)
def test_junk_is_a_picture_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "source"
    path.write_bytes(data)
    with pytest.raises(PictureError):
        read_header(path)


def test_a_missing_file_is_the_disks_fault(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        read_header(tmp_path / "nothing.png")
    assert "nothing.png" in str(caught.value)


def test_a_pixel_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "source.png"
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + head
        + struct.pack(">I", zlib.crc32(b"IHDR" + head))
        + struct.pack(">I4s", 0, b"IDAT")
    )
    with pytest.raises(PictureError, match="too large to decode"):
        verify(path)


def test_a_gif_bomb_is_refused_though_pillow_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "source.gif"
    path.write_bytes(
        b"GIF89a"
        + struct.pack("<HH", 65_000, 65_000)
        + b"\0\0\0,"
        + struct.pack("<4HB", 0, 0, 65_000, 65_000, 0)
        + b"\x02\x02\x4c\x01\x00;"
    )
    with pytest.raises(PictureError, match="too large to decode"):
        inspect(path)


def test_thousands_of_scans_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, progressive=True)
    data = path.read_bytes()
    at = data.rindex(b"\xff\xda")
    path.write_bytes(data[:at] + data[at:-2] * 200 + b"\xff\xd9")
    with pytest.raises(PictureError):
        read_header(path)


@METHODS
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0", "gray"])
@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_a_jpeg_is_cut_on_its_block_grid_nearly_or_wholly_without_loss(
    tmp_path: Path, sampling: str, progressive: bool, lossless: bool
) -> None:
    source, target = tmp_path / "source.jpeg", tmp_path / "cut.jpeg"
    options = {} if sampling == "gray" else {"subsampling": sampling}
    photo(333, 251, "L" if sampling == "gray" else "RGB").save(source, quality=90, progressive=progressive, **options)
    report = crop(source, target, Box(101, 37, 150, 200), lossless=lossless)
    box = report.box
    assert report.method == ("lossless" if lossless else "requantised")
    assert box.size == report.size == read_header(target).size == Size(150, 200)
    assert report.moved == max(abs(box.left - 101), abs(box.top - 37)) <= 8
    assert jpeg_parts(target) == jpeg_parts(source)
    cut, whole = opened(target), opened(source).crop(box.corners)
    # At the rim, chroma upsampling misses the neighbours that were cut away.
    inner = (2, 2, 148, 198)
    assert psnr(cut.crop(inner), whole.crop(inner)) >= (99 if lossless else 55)


@METHODS
def test_every_metadata_segment_of_a_jpeg_survives_the_cut_byte_for_byte(tmp_path: Path, lossless: bool) -> None:
    exif = Image.Exif()
    exif[0x010E] = "shot 12"
    source = saved(tmp_path, exif=exif, icc_profile=bytes(70_000), xmp=b"<x>AIGC</x>", comment=b"made here")
    manifest = c2pa_segment()
    with_segments(source, manifest)
    report = crop(source, tmp_path / "cut.jpeg", Box(0, 0, 96, 160), lossless=lossless)
    assert (report.metadata_kept, report.provenance_ended) == (True, True)
    assert report.notes == (Message("pictures.provenance-ended"),)
    assert manifest in (tmp_path / "cut.jpeg").read_bytes()
    before, after = opened(source), opened(tmp_path / "cut.jpeg")
    assert read_header(tmp_path / "cut.jpeg").metadata == read_header(source).metadata
    for name in ("exif", "icc_profile", "xmp", "comment"):
        assert after.info[name] == before.info[name]


@METHODS
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_cut_means_what_people_see(tmp_path: Path, orientation: int, lossless: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    source, target = saved(tmp_path, size=(320, 256), exif=exif, subsampling="4:4:4"), tmp_path / "cut.jpeg"
    shown = ImageOps.exif_transpose(opened(source))
    report = crop(source, target, Box(32, 50, 150, 99), lossless=lossless)
    cut = ImageOps.exif_transpose(opened(target))
    assert cut.size == (150, 99)
    assert psnr(cut, shown.crop(report.box.corners)) >= (99 if lossless else 48)
    assert report.moved <= 8


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (64, 64), (65, 129)])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_keeps_every_pixel(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    source, target = tmp_path / "source.png", tmp_path / "cut.png"
    picture = (
        Image.frombytes(mode, (80, 130), random.Random(2).randbytes(80 * 130 * 2))
        if mode == "I;16"
        else photo(80, 130, mode)
    )
    picture.save(source)
    report = crop(source, target, Box(3, 1, *size))
    assert (report.method, report.moved, report.format) == ("pixels", 0, "png")
    assert same_pixels(opened(target), picture.crop((3, 1, 3 + size[0], 1 + size[1])))


def test_a_png_keeps_its_text_profile_and_transparent_colour(tmp_path: Path) -> None:
    source, target = tmp_path / "source.png", tmp_path / "cut.png"
    text = PngInfo()
    text.add_text("AIGC", '{"Label":"1"}')
    text.add_itxt("XML:com.adobe.xmp", "<x/>")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo(90, 90).save(source, pnginfo=text, icc_profile=profile, dpi=(300, 300), transparency=(1, 2, 3))
    crop(source, target, Box(1, 1, 50, 50))
    before, after = opened(source), opened(target)
    assert after.info == before.info
    assert read_header(target).metadata == read_header(source).metadata


def test_a_png_deeper_than_can_be_kept_says_so(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    rows = b"".join(b"\0" + random.Random(row).randbytes(6 * 20) for row in range(20))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    packed = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    source.write_bytes(b"\x89PNG\r\n\x1a\n" + packed)
    report = crop(source, tmp_path / "cut.png", Box(0, 0, 10, 10))
    assert report.method == "requantised"
    assert report.notes == (Message("pictures.depth-lost", bits=16),)


def test_a_lossless_webp_stays_lossless_and_a_lossy_one_is_told(tmp_path: Path) -> None:
    source, target = saved(tmp_path, "webp"), tmp_path / "cut.webp"
    assert crop(source, target, Box(10, 10, 50, 60)).method == "pixels"
    assert same_pixels(opened(target), photo(200, 160).crop((10, 10, 60, 70)))
    lossy = saved(tmp_path, "webp", lossless=False, quality=80)
    assert crop(lossy, target, Box(10, 10, 50, 60)).method == "requantised"
    assert read_header(target).size == Size(50, 60)


@pytest.mark.parametrize("format", ["tiff", "avif"])
def test_other_formats_stored_sideways_are_cut_as_seen(tmp_path: Path, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source, target = saved(tmp_path, format, exif=exif), tmp_path / "cut.png"
    assert read_header(source).displayed == Size(160, 200)
    crop(source, target, Box(10, 20, 90, 100))
    expected = ImageOps.exif_transpose(opened(source)).crop((10, 20, 100, 120))
    assert same_pixels(ImageOps.exif_transpose(opened(target)), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "I;16B"])
def test_any_mode_is_cut_and_framed(tmp_path: Path, mode: str) -> None:
    source = tmp_path / "source.tiff"
    picture = Image.frombytes(mode, (60, 60), bytes(7200)) if mode.startswith("I;") else photo(60, 60, mode)
    picture.save(source)
    method = crop(source, tmp_path / "cut.png", Box(0, 0, 30, 40)).method
    assert method == ("requantised" if mode in {"CMYK", "I", "F", "I;16B"} else "pixels")
    resize_frame(source, tmp_path / "frame.png", Box(0, 0, 30, 40), Size(15, 20))
    assert [verify(tmp_path / name).header.size for name in ("cut.png", "frame.png")] == [Size(30, 40), Size(15, 20)]
    assert fit_reference(source, tmp_path / "fitted", ReferenceLimits(formats=("jpeg",))).size == Size(60, 60)


@pytest.mark.parametrize("format", ["gif", "bmp", "tiff"])
def test_other_formats_are_cut_into_a_png(tmp_path: Path, format: str) -> None:
    source, target = saved(tmp_path, format), tmp_path / "cut.png"
    report = crop(source, target, Box(10, 10, 50, 60))
    assert (report.format, report.method, written_format(format)) == ("png", "pixels", "png")
    expected = opened(source).convert("RGB").crop((10, 10, 60, 70))
    assert same_pixels(opened(target).convert("RGB"), expected)


def test_an_animation_loses_its_movement_and_says_so(tmp_path: Path) -> None:
    source = tmp_path / "source.gif"
    photo(60, 60).save(source, save_all=True, append_images=[photo(60, 60, seed=9)])
    assert Message("pictures.animation-lost") in crop(source, tmp_path / "cut.png", Box(0, 0, 30, 30)).notes


@pytest.mark.parametrize("box", [Box(-1, 0, 10, 10), Box(0, 0, 201, 10), Box(5, 5, 0, 10)])
def test_a_cut_outside_the_picture_is_refused(tmp_path: Path, box: Box) -> None:
    with pytest.raises(PictureError):
        crop(saved(tmp_path), tmp_path / "cut.jpeg", box)
    assert leftovers(tmp_path) == []


@METHODS
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_a_cut_that_fails_leaves_the_old_target_and_nothing_else(tmp_path: Path, format: str, lossless: bool) -> None:
    source, target = saved(tmp_path, format, size=(400, 400)), tmp_path / "cut"
    target.write_bytes(b"earlier work")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(PictureError):
        crop(source, target, Box(0, 0, 100, 390), lossless=lossless)
    assert leftovers(tmp_path) == ["cut"]
    assert target.read_bytes() == b"earlier work"


def test_a_target_in_a_missing_folder_is_the_disks_fault(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        crop(saved(tmp_path), tmp_path / "no" / "cut.jpeg", Box(0, 0, 10, 10))


@METHODS
@pytest.mark.parametrize("format", ["jpeg", "png"])
def test_a_cut_brings_its_preview(tmp_path: Path, format: str, lossless: bool) -> None:
    report = crop(saved(tmp_path, format), tmp_path / "cut", Box(0, 0, 90, 160), lossless=lossless, preview_side=80)
    assert report.preview
    shown = opened(io.BytesIO(report.preview))
    assert shown.size == (45, 80)
    assert psnr(shown, photo(200, 160).crop((0, 0, 90, 160)).resize((45, 80))) > 25


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_a_frame_has_exactly_the_size_asked_for(tmp_path: Path, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source, target = saved(tmp_path, format, exif=exif), tmp_path / "frame"
    report = resize_frame(source, target, Box(5, 10, 90, 160), Size(45, 80))
    assert (report.method, report.size, read_header(target).displayed) == ("resampled", Size(45, 80), Size(45, 80))
    expected = ImageOps.exif_transpose(opened(source)).crop((5, 10, 95, 170)).resize((45, 80), Image.Resampling.LANCZOS)
    assert psnr(ImageOps.exif_transpose(opened(target)), expected) > 35


def test_a_frame_is_never_reached_by_enlarging(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="never enlarges"):
        resize_frame(saved(tmp_path), tmp_path / "frame", None, Size(100, 161))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "I", "F"])
def test_a_preview_is_a_small_jpeg_of_any_picture(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("source.tiff" if mode in {"CMYK", "I", "F"} else "source.png")
    picture = photo(300, 500, "L" if mode == "I;16" else mode)
    (picture.convert("I").point(lambda value: value * 256).convert("I;16") if mode == "I;16" else picture).save(path)
    shown = opened(io.BytesIO(preview(path, long_side=250)))
    assert (shown.format, shown.size) == ("JPEG", (150, 250))
    if mode in {"L", "RGB", "I;16"}:
        assert psnr(shown, photo(300, 500, "RGB" if mode == "RGB" else "L").resize((150, 250))) > 25


@pytest.mark.slow
def test_a_preview_is_upright_and_within_its_budget(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "source.jpeg"
    Image.frombytes("RGB", (900, 700), random.Random(3).randbytes(3 * 900 * 700)).save(path, quality=95, exif=exif)
    for budget in (100_000, 20_000, 2_000):
        data = preview(path, max_bytes=budget)
        assert len(data) <= budget
        assert opened(io.BytesIO(data)).height > opened(io.BytesIO(data)).width
    assert opened(io.BytesIO(preview(path))).size == (498, 640)


def test_a_small_picture_is_not_enlarged_for_its_preview(tmp_path: Path) -> None:
    assert opened(io.BytesIO(preview(saved(tmp_path)))).size == (200, 160)


def test_what_is_transparent_is_shown_on_white(tmp_path: Path) -> None:
    path = tmp_path / "source.png"
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(path)
    assert opened(io.BytesIO(preview(path))).getpixel((20, 20)) == (255, 255, 255)


def test_a_strip_shows_pictures_side_by_side(tmp_path: Path) -> None:
    paths = []
    for number, size in enumerate([(90, 160), (160, 90), (100, 100)]):
        paths.append(tmp_path / f"{number}.png")
        photo(*size).save(paths[-1])
    data = contact_strip(paths, height=80, columns=2, max_bytes=30_000)
    assert len(data) <= 30_000
    assert opened(io.BytesIO(data)).size == (8 + 45 + 8 + 143 + 8, 8 + 80 + 8 + 80 + 8)


def test_an_inspection_is_json_and_tells_what_seedance_takes(tmp_path: Path) -> None:
    described = inspect(saved(tmp_path, size=(1152, 648)))
    assert json.loads(json.dumps(described)) == described
    assert (described["ratio"], described["nearest_ratio"], described["ratio_error"]) == ("16:9", "16:9", 0.0)
    assert described["seedance"] == {"legal": True, "problems": []}


def test_an_inspection_names_what_seedance_refuses_in_either_language(tmp_path: Path) -> None:
    path = saved(tmp_path, size=(900, 200))
    assert len(inspect(path)["seedance"]["problems"]) == 2
    assert "每边" in inspect(path, language="zh")["seedance"]["problems"][0]


@pytest.mark.parametrize("format", ["png", "webp"])
@pytest.mark.parametrize(("alpha", "seen"), [(None, False), (255, False), (254, True), (0, True)])
def test_transparency_is_told_by_the_pixels(tmp_path: Path, format: str, alpha: int | None, seen: bool) -> None:
    path = tmp_path / f"source.{format}"
    picture = photo(40, 30, "RGB" if alpha is None else "RGBA")
    if alpha is not None:
        picture.putalpha(255)
        picture.putpixel((7, 9), (1, 2, 3, alpha))
    picture.save(path, **FORMATS[format])
    assert see_through(path) is seen


def test_a_colour_declared_transparent_counts_only_where_it_is_used(tmp_path: Path) -> None:
    for mode, unused, used in (("P", 5, 3), ("RGB", (9, 9, 9), (0, 0, 0)), ("L", 9, 0)):
        picture = Image.new(mode, (8, 8), used if mode == "P" else 0)
        if mode == "P":
            picture.putpalette(random.Random(1).randbytes(768))
        picture.save(tmp_path / "unused.png", transparency=unused)
        picture.save(tmp_path / "used.png", transparency=used)
        assert (see_through(tmp_path / "unused.png"), see_through(tmp_path / "used.png")) == (False, True)


def test_transparency_is_looked_for_only_in_pictures_that_may_be_decoded(tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    photo(40, 30, "RGBA").save(source)
    with pytest.raises(PictureError, match="too large to decode"):
        see_through(source, max_pixels=1000)
    source.write_bytes(source.read_bytes()[:-200])
    with pytest.raises(PictureError):
        see_through(source)


def test_a_reference_that_fits_is_left_alone(tmp_path: Path) -> None:
    source = saved(tmp_path)
    report = fit_reference(source, tmp_path / "fitted", ReferenceLimits())
    assert (report.path, report.changed, report.bytes, report.notes) == (source, False, source.stat().st_size, ())
    assert leftovers(tmp_path) == []


def test_a_sideways_reference_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    report = fit_reference(saved(tmp_path, exif=exif), tmp_path / "fitted", ReferenceLimits())
    assert (report.changed, report.size, report.notes) == (True, Size(160, 200), (Message("pictures.fit-turned"),))
    assert read_header(report.path).orientation == 1


def test_a_heavy_reference_is_made_lighter(tmp_path: Path) -> None:
    source = saved(tmp_path, "bmp", size=(400, 300))
    report = fit_reference(source, tmp_path / "fitted", ReferenceLimits(max_bytes=20_000, max_pixels=60_000))
    assert report.format == "jpeg"
    assert report.bytes == report.path.stat().st_size <= 20_000
    assert report.size.pixels <= 60_000
    assert abs(report.size.ratio - Fraction(4, 3)) < Fraction(1, 50)


def test_a_transparent_reference_becomes_a_png(tmp_path: Path) -> None:
    source = tmp_path / "source.webp"
    photo(100, 100, "RGBA").save(source, lossless=True)
    report = fit_reference(source, tmp_path / "fitted", ReferenceLimits(formats=("jpeg", "png")))
    assert (report.format, opened(report.path).mode) == ("png", "RGBA")
    assert report.notes == (Message("pictures.fit-format", got="webp"),)


@pytest.mark.parametrize("size", [(14, 400), (400, 20)], ids=["too small", "too long"])
def test_a_reference_that_cannot_be_mended_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(PictureError):
        fit_reference(saved(tmp_path, size=size), tmp_path / "fitted", ReferenceLimits())


def test_a_reference_that_can_never_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(PictureError):
        fit_reference(saved(tmp_path), tmp_path / "fitted", ReferenceLimits(max_bytes=50))
    assert leftovers(tmp_path) == []


def test_heic_is_read_when_the_extra_is_installed_and_explained_when_not(tmp_path: Path) -> None:
    path = tmp_path / "source.heic"
    try:
        import pillow_heif
    except ImportError:
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
        with pytest.raises(PictureError, match="heif"):
            read_header(path)
    else:
        pillow_heif.from_pillow(photo(64, 48)).save(path)
        assert verify(path).header.size == Size(64, 48)
        assert crop(path, tmp_path / "cut.png", Box(0, 0, 32, 32)).format == "png"
