"""What a reference does not take along: where it was taken, and whatever follows the end of the picture."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import random
import struct
import warnings
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from canned import JSON, PICTURE, Answer, Canned
from seedframe.errors import PictureError
from seedframe.images import read_header, strip
from seedframe.mcp_server.app import build_server
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

CHANGE = "把图1中的猫换成狗，保持其他内容不变。"
REPLY = Answer(json.dumps({"model": "m", "data": [PICTURE], "usage": {"generated_images": 1}}).encode(), kind=JSON)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description exif:GPSLatitude='52,30.1N'/></x:xmpmeta>"
PLAIN_XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:Description dc:title='a cat'/></x:xmpmeta>"
SECRETS = (b"Kreuzberg", b"GPSLatitude", b"GPSLongitude", b"SECRET TRAILER")
TRAILER = b"SECRET TRAILER" * 10
NOTES = {
    "gps": "the GPS position",
    "maker": "maker's notes",
    "xmp": "XMP metadata",
    "iptc": "IPTC metadata",
    "c2pa": "provenance manifest",
    "comment": "text that names a place",
    "exif": "cannot be read",
    "trailer": "140 bytes after the end",
}


def photo() -> Image.Image:
    return Image.frombytes("RGB", (160, 120), random.Random(7).randbytes(160 * 120 * 3))


def exif(orientation: int = 1) -> Image.Exif:
    written = Image.Exif()
    written[0x010F] = "Camera"
    written[0x0112] = orientation
    place = written.get_ifd(0x8825)
    place[1], place[2], place[3], place[4] = "N", (52.0, 30.0, 1.5), "E", (13.0, 24.0, 2.5)
    inside = written.get_ifd(0x8769)
    inside[0x927C] = b"maker: taken in Kreuzberg"
    inside[0x829A] = 0.01
    return written


def encoded(format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    photo().save(out, format, **options)
    return out.getvalue()


def with_segments(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG with further segments behind its first one."""
    plain = encoded("JPEG", quality=90)
    end = 4 + struct.unpack(">H", plain[4:6])[0]
    more = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return plain[:end] + more + plain[end:]


def with_chunk(name: bytes, body: bytes) -> bytes:
    """A PNG with a further chunk before its end, behind the pixels."""
    plain = encoded("PNG")
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return plain[:-12] + chunk + plain[-12:]


def text(keyword: str, words: str, *, packed: bool) -> PngInfo:
    info = PngInfo()
    info.add_itxt(keyword, words, zip=packed)
    return info


CASES: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "jpeg": (lambda: encoded("JPEG", exif=exif(), xmp=XMP, icc_profile=PROFILE), {"gps", "maker", "xmp"}),
    "jpeg with several scans": (lambda: encoded("JPEG", exif=exif(), progressive=True), {"gps", "maker"}),
    "jpeg comment": (lambda: encoded("JPEG", comment=b"GPSLatitude=52.5"), {"comment"}),
    "jpeg iptc": (
        lambda: with_segments((0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0e\x1c\x02\x5a\0\x09Kreuzberg")),
        {"iptc"},
    ),
    "jpeg xmp in two parts": (
        lambda: with_segments(
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + PLAIN_XMP),
            (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 40 + b"<exif:GPSLat"),
            (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 40 + b"itude>52,30</exif:GPSLatitude>"),
        ),
        {"xmp"},
    ),
    "jpeg manifest": (lambda: with_segments((0xEB, b"JP\0\1\0\0\0\1 c2pa stds.exif exif:GPSLatitude")), {"c2pa"}),
    "jpeg with broken exif": (lambda: with_segments((0xE1, b"Exif\0\0MM\0*\0\0\0\x08\xff\xffKreuzberg")), {"exif"}),
    "png": (lambda: encoded("PNG", exif=exif(), icc_profile=PROFILE), {"gps", "maker"}),
    "png text": (lambda: encoded("PNG", pnginfo=text("Location", "GPSLatitude 52", packed=False)), {"comment"}),
    "png packed xmp": (
        lambda: encoded("PNG", pnginfo=text("XML:com.adobe.xmp", XMP.decode(), packed=True)),
        {"xmp"},
    ),
    "png text behind the pixels": (lambda: with_chunk(b"tEXt", b"Comment\0exif:GPSLatitude 52"), {"comment"}),
    "png raw profile": (
        lambda: with_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"45786966")),
        {"comment"},
    ),
    "webp": (
        lambda: encoded("WEBP", exif=exif().tobytes(), xmp=XMP, icc_profile=PROFILE, quality=90),
        {"gps", "maker", "xmp"},
    ),
    "tiff": (lambda: encoded("TIFF", tiffinfo={0x8825: {1: "N", 2: (52.0, 30.0, 1.5)}, 700: XMP}), {"gps", "xmp"}),
    "gif": (lambda: encoded("GIF", comment=b"GPSLatitude 52"), {"comment"}),
    "bmp": (lambda: encoded("BMP"), set()),
}
ENDLESS = {"tiff"}
"""Formats whose structure leads anywhere in the file: nothing can follow its end."""


@asynccontextmanager
async def host(environ: dict[str, str], carrier: Canned) -> AsyncIterator[Client]:
    settings = Settings.read(environ)
    async with Client(build_server(lambda: Studio.open(settings, transport=carrier), "en")) as client:
        yield client


async def sent(environ: dict[str, str], path: Path) -> tuple[bytes, list[str]]:
    """The bytes of the picture in the POST, and the warnings of the answer."""
    carrier = Canned(REPLY)
    async with host(environ, carrier) as client:
        result = await client.call_tool("edit_image", {"prompt": CHANGE, "images": [str(path)], "preview": "none"})
    assert not result.is_error, result.content[0].text
    facts = json.loads(result.content[0].text.rpartition("\n")[2])
    body = json.loads(carrier.posts[0].content)
    image = body["image"] if isinstance(body["image"], str) else body["image"][0]
    return base64.b64decode(image.partition(",")[2]), facts["warnings"]


def looks(content: bytes) -> tuple[Any, ...]:
    """What is seen of a picture. Of structures broken on purpose Pillow warns."""
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as image:
        image.load()
        return image.format, image.size, image.tobytes(), image.info.get("icc_profile")


@pytest.mark.parametrize("case", CASES)
async def test_a_reference_leaves_without_its_place_and_what_is_appended(
    environ: dict[str, str], tmp_path: Path, case: str
):
    make, expected = CASES[case]
    original = make()
    kind = case.split(maxsplit=1)[0]
    if kind not in ENDLESS:
        original, expected = original + TRAILER, expected | {"trailer"}
    path = tmp_path / f"in.{kind}"
    path.write_bytes(original)
    content, noted = await sent(environ, path)

    assert looks(content) == looks(original)
    assert [secret for secret in SECRETS if secret in content] == []
    assert path.read_bytes() == original
    described = " ".join(warning for warning in noted if "not sent along" in warning)
    assert {key for key, words in NOTES.items() if words in described} == expected
    with Image.open(io.BytesIO(content)) as image:
        assert dict(image.getexif().get_ifd(0x8825)) == {}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_the_orientation_and_the_rest_of_exif_stay(tmp_path: Path, format: str, orientation: int):
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(encoded(format, exif=exif(orientation)))

    assert len(strip(source, target)) == 2
    assert read_header(target).orientation == orientation
    with Image.open(target) as image:
        kept = image.getexif()
        assert (kept[0x010F], dict(kept.get_ifd(0x8769))) == ("Camera", {0x829A: 0.01})
    assert strip(target, tmp_path / "again") == []


def test_an_orientation_in_an_exif_block_that_cannot_be_read_stays(tmp_path: Path):
    broken = struct.pack(">4sIHHHIHH", b"MM\0*", 8, 2, 0x0112, 3, 1, 6, 0) + struct.pack(">HHII", 0x8825, 4, 1, 1 << 30)
    source = tmp_path / "in"
    source.write_bytes(with_segments((0xE1, b"Exif\0\0" + broken)))

    assert [note.key for note in strip(source, tmp_path / "out")] == ["privacy.exif"]
    assert read_header(tmp_path / "out").orientation == 6


@pytest.mark.parametrize(
    "make",
    [
        lambda: encoded("JPEG", xmp=PLAIN_XMP, icc_profile=PROFILE, comment=b"a cat"),
        lambda: encoded("PNG", pnginfo=text("Title", "a cat", packed=True)),
        lambda: encoded("WEBP", xmp=PLAIN_XMP),
        lambda: encoded("GIF", comment=b"a cat"),
        lambda: encoded("BMP"),
        lambda: encoded("TIFF"),
    ],
    ids=["jpeg", "png", "webp", "gif", "bmp", "tiff"],
)
async def test_a_reference_without_places_leaves_byte_for_byte(
    environ: dict[str, str], tmp_path: Path, make: Callable[[], bytes]
):
    path = tmp_path / "in"
    path.write_bytes(make())
    content, noted = await sent(environ, path)

    assert content == path.read_bytes()
    assert [warning for warning in noted if "not sent along" in warning] == []


async def test_whoever_wants_it_sends_everything(environ: dict[str, str], tmp_path: Path):
    path = tmp_path / "in.jpg"
    path.write_bytes(encoded("JPEG", exif=exif(), xmp=XMP) + TRAILER)
    content, noted = await sent({**environ, "SEEDFRAME_KEEP_METADATA": "1"}, path)

    assert content == path.read_bytes()
    assert [warning for warning in noted if "not sent along" in warning] == []


async def test_a_phone_picture_with_a_film_behind_it_leaves_as_the_picture_alone(
    environ: dict[str, str], tmp_path: Path
):
    """Motion photos and dual cameras: further pictures behind the first one, and an index that leads to them."""
    first = with_segments((0xE2, b"MPF\0MM\0*\0\0\0\x08"))
    path = tmp_path / "in.jpg"
    path.write_bytes(first + encoded("JPEG", comment=b"second") + b"ftypmp42" * 1_000)
    content, _ = await sent(environ, path)

    assert looks(content)[:3] == looks(first)[:3]
    assert (b"MPF" in content, b"second" in content, content[-2:]) == (False, False, b"\xff\xd9")


@pytest.mark.slow
@pytest.mark.parametrize("case", [name for name in CASES if name != "bmp"])
def test_a_damaged_file_is_never_a_defect(tmp_path: Path, case: str):
    whole, dice = CASES[case][0](), random.Random(case)
    source = tmp_path / "in"
    for _ in range(60):
        bent = bytearray(whole[: dice.randrange(32, len(whole))] if dice.random() < 0.3 else whole)
        for _ in range(dice.randrange(1, 12)):
            bent[dice.randrange(12, len(bent))] = dice.randrange(256)
        source.write_bytes(bent)
        with contextlib.suppress(PictureError):
            strip(source, tmp_path / "out")
