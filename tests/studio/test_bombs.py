"""Strangers' bytes through the outermost door: each bomb ends in a result or a teaching error, in little memory."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from canned import jpeg
from seedframe.limits import limits
from wayside import Says, Site, site

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timed,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured by Linux's /proc"),
]

MIB = 1 << 20
MOST_MEMORY = 64 * MIB
LONGEST_STALL = 0.05
TRIES = 3
"""A stall is also what a busy machine does; a real one comes back each time."""

GENERATE = "/api/v3/images/generations"
CAT = {"prompt": "一只猫坐在窗台上，午后阳光。", "ratio": "1:1"}


@cache
def zeros(size: int, letter: bytes = b"A") -> bytes:
    """Very little that becomes very much."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = letter * MIB
    return b"".join([*(packer.compress(block) for _ in range(size // MIB)), packer.flush()])


def framed(head: bytes, size: int, tail: bytes = b"") -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"A" * MIB
    parts = [packer.compress(head), *(packer.compress(block) for _ in range(size // MIB)), packer.compress(tail)]
    return b"".join([*parts, packer.flush()])


def packed(body: bytes, layers: str, status: int = 200) -> Says:
    return Says(body, status, {"content-encoding": layers, "content-type": "application/json"})


def picture(format: str, side: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB" if format != "PNG" else "L", side).save(out, format)
    return out.getvalue()


def endless_base64() -> Iterable[bytes]:
    yield b'{"data":[{"b64_json":"'
    for _ in range(893):
        yield b"A" * MIB
    yield b'"}]}'


def url(local: Site) -> bytes:
    return json.dumps({"data": [{"url": f"{local.base}/made"}], "usage": {"generated_images": 1}}).encode()


REPLIES: dict[str, Callable[[Site], Says]] = {
    "nested gzip": lambda _: packed(gzip.compress(zeros(512 * MIB)), "gzip, gzip"),
    "nested gzip in a refusal": lambda _: packed(gzip.compress(zeros(512 * MIB)), "gzip, gzip", 400),
    "four layers": lambda _: packed(zeros(64 * MIB), "gzip, deflate, gzip, gzip"),
    "a gzip that grows into one text": lambda _: packed(framed(b'{"error":{"message":"', 512 * MIB), "gzip"),
    "a gzip that grows into a picture": lambda _: packed(framed(b'{"data":[{"b64_json":"', 512 * MIB, b'"}]}'), "gzip"),
    "a picture as base64 of 893 MiB": lambda _: Says(endless_base64),
    "an error message of 8 MB": lambda _: Says(
        json.dumps({"error": {"code": "InvalidParameter", "message": "x" * 8_000_000}}).encode(), 400
    ),
    "an error message of 900 KB": lambda _: Says(
        json.dumps({"error": {"code": "C" * 400_000, "message": "x" * 500_000, "param": "p" * 9_000}}).encode(), 400
    ),
    "400,000 slots": lambda _: Says(b'{"data":[' + b"{}," * 400_000 + b"{}]}"),
    "200,000 slots of errors": lambda _: Says(b'{"data":[' + b'{"error":1},' * 80_000 + b"{}]}"),
    "200,000 pictures of nothing": lambda _: Says(b'{"data":[' + b'{"b64_json":""},' * 200_000 + b"{}]}"),
    "deep nesting": lambda _: Says(b'{"data":' + b"[" * 400_000 + b"]" * 400_000 + b"}"),
    "deep nesting in a refusal": lambda _: Says(b'{"error":' * 90_000 + b"1" + b"}" * 90_000, 500),
    "deep nesting of a few hundred": lambda _: Says(b'{"error":' * 900 + b"1" + b"}" * 900, 400),
    "a million events": lambda _: Says(
        b'data: {"type":"image_generation.partial_failed","error":{"code":"x","message":"y"}}\n\n' * 40_000,
        headers={"content-type": "text/event-stream"},
    ),
    "a data prefix without end": lambda _: Says(b'{"data":[{"b64_json":"data:' + b"x" * 40_000_000 + b'"}]}'),
    "an address of 900 KB": lambda _: Says(json.dumps({"data": [{"url": "https://h/" + "a" * 900_000}]}).encode()),
}
DOWNLOADS: dict[str, Callable[[], Says]] = {
    "nested gzip": lambda: packed(gzip.compress(zeros(512 * MIB)), "gzip, gzip"),
    "gzip": lambda: packed(zeros(512 * MIB), "gzip"),
    "more bytes than a picture has": lambda: Says(lambda: iter([jpeg(), *[b"\0" * MIB] * 300])),
    "webp of 89 million pixels": lambda: Says(picture("WEBP", (16_383, 5_400))),
    "png of 400 million pixels": lambda: Says(picture("PNG", (20_000, 20_000))),
    "progressive jpeg of 80 million pixels": lambda: Says(_progressive()),
}


def _progressive() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (10_000, 8_000)).save(out, "JPEG", progressive=True)
    return out.getvalue()


@pytest.fixture
def service() -> Iterator[Site]:
    with site({"/models": Says(b"{}")}) as local:
        yield local


def called(environ: dict[str, str], local: Site, tool: str, arguments: dict[str, Any], bomb: Says) -> dict[str, Any]:
    """The call in a process of its own, after one that was refused for its key."""
    variables = {**environ, "SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": "0123456789", "ARK_API_BASE": local.base}
    refusal = {"error": {"code": "AuthenticationError", "message": "no"}}
    answers = iter([Says(json.dumps(refusal).encode(), 401)])
    local.pages[GENERATE] = Says(b"")
    pages = local.pages

    class Once(dict[str, Says]):
        def get(self, path: str, default: Any = None) -> Any:
            return next(answers, bomb) if path == GENERATE else pages.get(path, default)

    local.pages = Once()
    task = {"environ": variables, "first": {**CAT, "prompt": "先试一次"}, "tool": tool, "arguments": arguments}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parents[1] / "bombed_server.py")],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=110,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measured(environ: dict[str, str], *wanted: Any) -> dict[str, Any]:
    """The first of a few tries without a stall, or the last."""
    for number in range(TRIES):
        journal = f"{environ['SEEDFRAME_JOURNAL']}.{number}"
        found = called({**environ, "SEEDFRAME_JOURNAL": journal}, *wanted)
        if found["stall"] <= LONGEST_STALL:
            break
    print({name: found[name] for name in ("above", "stall", "length")}, found["text"][:200])  # noqa: T201
    return found


def harmless(found: dict[str, Any]) -> None:
    assert found["error"] is True
    assert "internal" not in found["text"].lower()
    assert found["length"] < 6_000
    assert found["above"] <= MOST_MEMORY
    assert found["stall"] <= LONGEST_STALL


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_that_is_a_bomb(environ: dict[str, str], service: Site, name: str):
    harmless(measured(environ, service, "generate_image", CAT, REPLIES[name](service)))


@pytest.mark.parametrize("name", DOWNLOADS)
def test_a_picture_that_is_a_bomb(environ: dict[str, str], service: Site, name: str):
    service.pages["/made"] = DOWNLOADS[name]()
    found = measured(environ, service, "generate_image", CAT, Says(url(service)))

    harmless(found)
    assert '"billed":"yes"' in found["text"].replace(" ", "")


@pytest.mark.parametrize("format", ["WEBP", "PNG", "JPEG"])
@pytest.mark.parametrize("fit", [True, False])
def test_a_reference_that_is_a_bomb(environ: dict[str, str], service: Site, tmp_path: Path, format: str, fit: bool):
    source = tmp_path / "bomb"
    source.write_bytes(_progressive() if format == "JPEG" else picture(format, (16_383, 5_400)))
    edit = {"prompt": "把图1中的猫换成一只狗", "ratio": "1:1", "images": [str(source)], "fit_references": fit}

    harmless(measured(environ, service, "edit_image", edit, Says(b"{}", 500)))
    assert len(service.seen) == 1 * min(TRIES, len(service.seen))


def test_a_large_photo_still_fits(environ: dict[str, str], service: Site, tmp_path: Path):
    """A baseline JPEG of 88 million pixels is read at a quarter of its size."""
    source = tmp_path / "photo.jpg"
    Image.new("RGB", (11_000, 8_000), "teal").save(source)
    edit = {"prompt": "把图1中的猫换成一只狗", "ratio": "1:1", "images": [str(source)], "fit_references": True}
    service.pages["/made"] = Says(jpeg())
    found = measured(environ, service, "edit_image", edit, Says(url(service)))

    assert found["error"] is False
    assert found["above"] <= MOST_MEMORY


@pytest.mark.parametrize("tool", ["style_prompt", "generate_image"])
def test_words_of_64_mb_are_refused_at_once(environ: dict[str, str], service: Site, tool: str):
    """In memory, so that only our own part is measured; the text itself is there already."""
    found = measured(environ, service, tool, {"prompt": "猫" * 60_000 + "x" * 5_000}, Says(b"{}", 500))

    harmless(found)
    assert "allowed: 64000" in found["text"]


def test_a_line_of_64_mb_on_stdin_is_answered_at_once_and_never_held(environ: dict[str, str]):
    command = [sys.executable, "-m", "seedframe", "serve"]
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env={**os.environ, **environ}, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8"
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def ask(**message: Any) -> dict[str, Any]:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            server.stdin.flush()
            answer: dict[str, Any] = json.loads(server.stdout.readline())
            return answer

        ask(id=1, method="initialize", params=hello)
        ask(id=2, method="tools/call", params={"name": "style_prompt", "arguments": {"prompt": "一只猫"}})
        status = Path(f"/proc/{server.pid}/status")
        Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")
        rest = _kib(status, "VmRSS")
        huge = {"name": "style_prompt", "arguments": {"prompt": "x" * 64_000_000}}
        before = time.monotonic()
        first = ask(id=3, method="tools/call", params=huge)
        seconds = time.monotonic() - before
        last = ask(method="tools/call", params=huge, id="four")
        ping = ask(id=5, method="ping")
        above = (_kib(status, "VmHWM") - rest) * 1024
        server.kill()

    assert [first["id"], last["id"], ping["id"]] == [3, "four", 5]
    for answer in (first, last):
        assert answer["result"]["isError"] is True
        assert f"allowed: {limits().argument_characters}" in answer["result"]["content"][0]["text"]
    assert above <= MOST_MEMORY
    assert seconds < 5


def _kib(status: Path, name: str) -> int:
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def test_words_on_the_command_line_are_refused_too(environ: dict[str, str], tmp_path: Path):
    brief = tmp_path / "brief.json"
    brief.write_text(json.dumps({"subject": "x" * 64_000_000}), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "seedframe", "style", "--brief", str(brief), "--json"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )

    assert done.returncode == 2
    assert "brief" in done.stdout
    assert len(done.stdout) < 2_000


def test_base64_is_what_the_limits_say() -> None:
    """A picture as text is a third longer than the picture, and both limits fit a whole reply of fifteen."""
    assert len(base64.b64encode(b"\0" * 3_000)) * limits().picture_bytes // 3_000 < limits().reply_bytes
