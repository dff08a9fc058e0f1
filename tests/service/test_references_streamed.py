"""Input pictures leave as they lie on the disk: whole, unchanged, checked, while they are read."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import random
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageChops

from canned import JSON, PICTURE, Answer, Canned
from seedframe.catalog import ReferenceLimits
from seedframe.errors import InvalidRequest, PictureError
from seedframe.images import FileChecks, fit_reference, inspect
from seedframe.service.body import JsonBody
from seedframe.service.file_part import PIECE_BYTES, FilePart
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

FORMATS = ("png", "jpeg", "webp", "gif", "bmp", "tiff")
WIDE = 400
CHANGE = "把图1中的猫换成狗，保持其他内容不变。"
REPLY = Answer(json.dumps({"model": "m", "data": [PICTURE], "usage": {"generated_images": 1}}).encode(), kind=JSON)


def noise(width: int = WIDE, height: int = 300) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(width).randbytes(width * height * 3))


def saved(path: Path, picture: Image.Image | None = None, **options: Any) -> Path:
    (picture or noise()).save(path, **options)
    return path


async def made(environ: dict[str, str], carrier: httpx.AsyncBaseTransport, images: list[Path | str]) -> dict[str, Any]:
    arguments = {"prompt": CHANGE, "images": [str(image) for image in images], "preview": "none"}
    async with (
        Studio.open(Settings.read(environ), transport=carrier) as studio,
        studio.make("edit_image", arguments) as result,
    ):
        return result.as_dict()


def sent(request: httpx.Request) -> list[tuple[str, bytes]]:
    """Type and bytes of each picture in a request."""
    images = json.loads(request.content)["image"]
    parts = [image.partition(";base64,") for image in ([images] if isinstance(images, str) else images)]
    return [(head.removeprefix("data:"), base64.b64decode(body, validate=True)) for head, _, body in parts]


@pytest.mark.parametrize("format", FORMATS)
async def test_the_bytes_on_the_wire_are_the_bytes_of_the_file(
    format: str, environ: dict[str, str], tmp_path: Path
) -> None:
    carrier, source = Canned(REPLY), saved(tmp_path / f"picture.{format}", format=format)
    await made(environ, carrier, [source])
    ((mime, data),) = sent(carrier.posts[0])
    assert (mime, data) == (f"image/{format}", source.read_bytes())
    with Image.open(io.BytesIO(data)) as arrived, Image.open(source) as original:
        assert ImageChops.difference(arrived.convert("RGB"), original.convert("RGB")).getbbox() is None


@pytest.mark.parametrize("size", [1, 2, 3, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 2])
async def test_a_body_is_what_json_would_write_of_it_whatever_the_length_of_its_files(
    size: int, tmp_path: Path
) -> None:
    content = random.Random(size).randbytes(size)
    (tmp_path / "file").write_bytes(content)
    part = as_part(tmp_path / "file")
    uri = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    body = JsonBody({"model": "m", "image": [part, "https://example.com/ü.png", part], "seed": 1, "n": {"a": None}})
    request = httpx.Request("POST", "http://x", content=body.content, headers=body.headers)
    plain = {"model": "m", "image": [uri, "https://example.com/ü.png", uri], "seed": 1, "n": {"a": None}}
    expected = httpx.Request("POST", "http://x", json=plain)
    assert await request.aread() == expected.content
    assert request.headers == expected.headers


async def test_a_refused_call_is_sent_again_with_the_same_pictures(environ: dict[str, str], tmp_path: Path) -> None:
    busy = Answer(b'{"error":{"code":"ServerOverloaded","message":"busy"}}', 429, JSON)
    carrier, source = Canned(busy, REPLY), saved(tmp_path / "picture.png")
    arguments = {"prompt": CHANGE, "images": [str(source)], "preview": "none"}

    async def at_once(_seconds: float) -> None:
        return None

    async with (
        Studio.open(Settings.read(environ), transport=carrier, sleep=at_once) as studio,
        studio.make("edit_image", arguments),
    ):
        pass
    first, second = carrier.posts
    assert sent(first) == sent(second) == [("image/png", source.read_bytes())]


class Rewriting(httpx.AsyncBaseTransport):
    """A service before whose eyes a file changes while it is received."""

    def __init__(self, change: Callable[[], object]) -> None:
        self.change = change
        self.received = b""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        async for piece in request.stream:
            self.received += piece
            self.change()
            self.change = lambda: None
        raise AssertionError("the whole request came")


def replaced(path: Path) -> None:
    saved(path.with_name("other.png"), noise(WIDE + 1)).replace(path)


def rewritten(path: Path) -> None:
    """Another last byte under the same name, size and time."""
    before = path.stat()
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change", [replaced, rewritten, lambda path: path.unlink()], ids=["other", "same time", "gone"]
)
async def test_a_file_that_changes_while_it_is_sent_never_makes_a_whole_request(
    change: Callable[[Path], None], environ: dict[str, str], tmp_path: Path
) -> None:
    first, second = saved(tmp_path / "a.png"), saved(tmp_path / "b.png", noise(WIDE, 310))
    carrier = Rewriting(lambda: change(second))
    with pytest.raises(InvalidRequest) as refused:
        await made(environ, carrier, [first, second])
    assert refused.value.message.key == "references.changed"
    assert refused.value.facts["billed"] == "no"
    assert not carrier.received.endswith(b"}")


@pytest.mark.slow
async def test_equal_contents_are_the_same_call_and_other_contents_another(
    environ: dict[str, str], tmp_path: Path
) -> None:
    carrier = Canned(REPLY)
    one, copy = saved(tmp_path / "one.png"), saved(tmp_path / "copy.png")
    other = saved(tmp_path / "other.png", noise(WIDE, 301))
    fingerprints = []
    async with Studio.open(Settings.read(environ), transport=carrier) as studio:
        for path in (one, copy, other):
            async with studio.make("edit_image", {"prompt": CHANGE, "images": [str(path)], "fresh": True}):
                pass
        entries = await studio.payments.entries(limit=10)
        fingerprints = [entry.fingerprint for entry in entries]
    assert len(fingerprints) == 3
    assert len(set(fingerprints)) == 2


@pytest.mark.slow
async def test_what_is_shown_names_a_picture_by_type_size_and_digest(environ: dict[str, str], tmp_path: Path) -> None:
    source = saved(tmp_path / "picture.png")
    inline = "data:image/png;base64," + base64.b64encode(source.read_bytes()).decode()
    digest = FileChecks().at(source).sha256[:12]
    line = f"[image/png, {source.stat().st_size} bytes, sha256 {digest}]"
    facts = await made(environ, Canned(REPLY), [source, inline])
    sidecar = json.loads(Path(facts["pictures"][0]["path"] + ".json").read_text(encoding="utf-8"))
    assert sidecar["request"]["image"] == [line, line]
    async with Studio.open(Settings.read(environ), transport=Canned(REPLY)) as studio:
        noted = await studio.payments.delivery(facts["id"])
        (entry,) = await studio.payments.entries(limit=1)
        arguments = {"prompt": CHANGE, "images": [str(source)], "dry_run": True}
        async with studio.make("edit_image", arguments) as result:
            assert result.as_dict()["payload"]["image"] == line
    assert entry.request["image"] == [line, line]
    assert noted["arguments"]["images"] == [str(source), line]


async def test_nothing_is_copied_for_a_picture_that_is_sent_as_it_is(environ: dict[str, str], tmp_path: Path) -> None:
    source = saved(tmp_path / "picture.png")
    during: list[Path] = []

    class Looking(Canned):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            during.extend((tmp_path / "pictures").rglob("references-*"))
            return await super().handle_async_request(request)

    await made(environ, Looking(REPLY), [source])
    assert during == []


async def test_what_was_unpacked_for_a_call_is_gone_afterwards(environ: dict[str, str], tmp_path: Path) -> None:
    source = saved(tmp_path / "picture.png")
    inline = "data:image/png;base64," + base64.b64encode(source.read_bytes()).decode()
    carrier = Canned(REPLY)
    await made(environ, carrier, [inline])
    assert sent(carrier.posts[0]) == [("image/png", source.read_bytes())]
    assert list((tmp_path / "pictures").rglob("references-*")) == []


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


DAMAGES = [*((kind, cut) for kind in FORMATS), ("png", flipped)]


@pytest.mark.slow
@pytest.mark.parametrize(("format", "damage"), DAMAGES)
async def test_a_damaged_file_is_refused_before_anything_is_sent(
    format: str, damage: Callable[[Path], None], environ: dict[str, str], tmp_path: Path
) -> None:
    carrier, source = Canned(REPLY), saved(tmp_path / f"picture.{format}", format=format)
    damage(source)
    with pytest.raises(PictureError):
        await made(environ, carrier, [source])
    assert carrier.posts == []


async def test_damage_inside_the_coded_data_is_found_by_those_who_want_every_pixel_decoded(
    environ: dict[str, str], tmp_path: Path
) -> None:
    source = saved(tmp_path / "picture.png")
    source.write_bytes(without_last_rows(source.read_bytes()))
    carrier = Canned(REPLY)
    with pytest.raises(PictureError):
        await made({**environ, "SEEDFRAME_DECODE_REFERENCES": "1"}, carrier, [source])
    assert carrier.posts == []


async def test_a_file_is_read_anew_once_it_has_changed(environ: dict[str, str], tmp_path: Path) -> None:
    source = saved(tmp_path / "picture.png")
    checks = FileChecks(now=lambda: time.time_ns() + 10**10)  # ten seconds later
    before = checks.at(source)
    assert checks.at(source) is before
    saved(source, noise(WIDE, 310))
    os.utime(source, ns=(before.stamp.modified, before.stamp.modified))
    assert checks.at(source).header.size.height == 310


async def test_calls_that_come_at_once_with_one_file_read_it_once(tmp_path: Path) -> None:
    source = saved(tmp_path / "picture.png")
    checks = FileChecks(now=lambda: time.time_ns() + 10**10)
    found = await asyncio.gather(*(asyncio.to_thread(checks.at, source) for _ in range(8)))
    assert {id(one) for one in found} == {id(found[0])}


async def test_a_file_changed_a_moment_ago_is_compared_byte_for_byte_while_it_is_sent(tmp_path: Path) -> None:
    source = saved(tmp_path / "picture.png")
    young, old = FileChecks(), FileChecks(now=lambda: time.time_ns() + 10**10)
    assert young.at(source).checksum == zlib.crc32(source.read_bytes())
    assert old.at(source).checksum is None
    assert young.at(source) is not young.at(source)


@pytest.mark.slow
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_photo_is_turned_as_pillow_turns_it(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.linear_gradient("L").resize((1700, 1300)).convert("RGB")
    picture.paste((200, 30, 30), (100, 50, 700, 300))
    source = saved(tmp_path / "photo.png", picture, exif=exif)
    limits = ReferenceLimits(formats=("jpeg",))
    fit_reference(source, tmp_path / "fitted", limits)
    from PIL import ImageOps

    with Image.open(tmp_path / "fitted") as fitted, Image.open(source) as original:
        expected = ImageOps.exif_transpose(original)
        assert fitted.size == expected.size
        assert max(high for _, high in ImageChops.difference(fitted.convert("RGB"), expected).getextrema()) < 16


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGB", "RGBA"])
def test_a_png_too_large_for_memory_is_reduced_as_pillow_reduces_it(mode: str, tmp_path: Path) -> None:
    picture = Image.linear_gradient("L").resize((4000, 3300)).convert("RGB")
    picture.paste((200, 30, 30), (500, 400, 2500, 1200))
    if mode in {"LA", "RGBA"}:
        picture.putalpha(200)
    source = saved(tmp_path / "large.png", picture.convert(mode), compress_level=1)
    fit_reference(source, tmp_path / "fitted", ReferenceLimits(max_pixels=13_000_000))
    with Image.open(tmp_path / "fitted") as fitted, Image.open(source) as original:
        shown = "RGBA" if "A" in mode else "RGB"
        expected = original.convert(shown).reduce(2)
        assert fitted.size == expected.size
        difference = ImageChops.difference(fitted.convert(shown), expected)
        assert max(high for _, high in difference.getextrema()) < 32
    assert inspect(tmp_path / "fitted")["format"] == ("png" if "A" in mode else "jpeg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fitted", "large.png"]


def as_part(path: Path) -> FilePart:
    from seedframe.images import FileStamp

    with path.open("rb") as file:
        stamp = FileStamp.of(file)
        return FilePart(path, "image/png", "0" * 64, zlib.crc32(file.read()), stamp)


def without_last_rows(png: bytes) -> bytes:
    """A PNG whose chunks are all right and whose pixels end early."""
    return b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        if name
        else content
        for name, content in shortened(png)
    )


def shortened(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    yield b"", png[:8]
    position, pixels = 8, b""
    while position < len(png):
        length, name = struct.unpack_from(">I4s", png, position)
        content = png[position + 8 : position + 8 + length]
        position += 12 + length
        if name == b"IDAT":
            pixels += content
        else:
            if name == b"IEND":
                yield b"IDAT", zlib.compress(zlib.decompress(pixels)[:-9000])
            yield name, content
