"""Hostile input: values, JSON-RPC lines, pictures and replies that no caller means. All of it is made up here."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema
from PIL import Image

from canned import JSON, PICTURE, Answer, event, inline

DEEP = 20_000
EXAMPLES, MIXED = 300, 0.4
STRINGS = (
    "",
    " ",
    "\0",
    "\ud800",
    "\u202e\u2066",
    "\x1b]0;x\x07",
    "~nouser/x",
    "file://[x",
    "http://[",
    "https://[::1",
    "[" * DEEP,
    "{" * DEEP,
    '{"a":' * DEEP,
    "9" * 5_000,
    "1e400",
    "-0",
    "NaN",
    "x" * 70_000,
    "../" * 50,
    "/dev/zero",
    "C:\\con",
    "seedframe:x-1",
    "data:image/png;base64,AAAA",
    "%s%n{0}{name}",
    "一" * 3_000,
    "<bbox>1 2 3 4</bbox>",
    "ep-20260101000000-abcde",
)
NUMBERS = (0, -1, 2**31, 2**63, 10**400, 0.5, 1e308, -1e308, float("nan"), float("inf"), True)
TOOLS = ("generate_image", "style_prompt", "run_storyboard", "nothing")
NESTED = ([], {}, [[[[]]]], {"a": {"b": [None]}}, [{}] * 50, None)

PLAIN = "雨后的江南小巷，灯笼的暖光映在积水里。"
BOARD = '{"project":"river","shots":[{"id":"E01_SC01_SH010","action":"一条河"}]}'
GOOD: Mapping[str, Mapping[str, Any]] = {
    "generate_image": {"prompt": PLAIN, "preview": "none"},
    "edit_image": {"prompt": PLAIN, "images": ["good.png"], "preview": "none"},
    "style_prompt": {"prompt": PLAIN},
    "run_storyboard": {"action": "plan", "board": BOARD},
}
"""Calls that end in a result; `good.png` must lie where calls are made."""

junk = st.sampled_from((*STRINGS, *NUMBERS, *NESTED)) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=6,
)


def calls(tool: str, schema: Mapping[str, Any], count: int) -> Iterator[dict[str, Any]]:
    """Arguments for one tool: as its schema allows, with junk in some places, and good calls with one odd argument.

    Examples of the schema are put together anew, argument by argument, since drawing each call would take minutes.
    """
    dice = random.Random(17)
    examples, odd = _drawn(from_schema(dict(schema)), EXAMPLES), _drawn(junk, EXAMPLES)
    names = (*schema["properties"], "no_such_argument", "", "\0")
    for number in range(count):
        if number % 3 == 0:
            name = dice.choice(names)
            legal = dice.choice(examples).get(name)
            yield {**GOOD[tool], name: legal if legal is not None and dice.random() < MIXED else dice.choice(odd)}
            continue
        call = dict(dice.choice(examples))
        for other in dice.sample(examples, 3):
            call |= {name: value for name, value in other.items() if dice.random() < MIXED}
        if number % 3 == 1:
            call |= {dice.choice(names): dice.choice(odd) for _ in range(dice.randrange(1, 4))}
        yield call


def _drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    found: list[Any] = []
    quiet = {"database": None, "deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}

    @settings(max_examples=count, **quiet)
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def lines(count: int) -> Iterator[bytes]:
    """JSON-RPC lines from nearly right to noise; ids are texts, so that no answer is taken for another's."""
    dice = random.Random(11)
    methods = (
        "tools/call",
        "tools/list",
        "prompts/get",
        "resources/read",
        "completion/complete",
        "ping",
        "nothing",
        "",
    )
    for number in range(count):
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": f"x{number}", "method": dice.choice(methods)}
        message["params"] = _params(dice)
        yield dice.choice(_BENDS)(dice, message)


def _params(dice: random.Random) -> Any:
    word = dice.choice(STRINGS)
    return dice.choice(
        (
            {
                "name": dice.choice(("generate_image", "style_prompt", "run_storyboard", word)),
                "arguments": {"prompt": word},
            },
            {"name": "generate_image", "arguments": dice.choice((word, [], 7, None, {"count": word, "dry_run": True}))},
            {"name": word, "arguments": {word: word}},
            {"uri": word},
            {"ref": {"type": "ref/prompt", "name": word}, "argument": {"name": "model", "value": word}},
            {"cursor": word, "_meta": {"progressToken": dice.choice((word, [], 1.5))}},
            dice.choice((*NESTED, word)),
        )
    )


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_VERSION = {"jsonrpc": "2.0"}
_BENDS: tuple[Callable[[random.Random, dict[str, Any]], bytes], ...] = (
    lambda _, message: _json(message),
    lambda _, message: _json(message),
    lambda _, message: _json({name: value for name, value in message.items() if name != "jsonrpc"}),
    lambda dice, message: _json({**message, "id": dice.choice((None, [], {}, 1.5, "", True, 2**70))}),
    lambda dice, message: _json({**message, "method": dice.choice((None, [], 7, "x" * 5_000))}),
    lambda dice, message: _json(message)[: dice.randrange(1, 40)],
    lambda dice, _: dice.randbytes(dice.randrange(1, 200)).replace(b"\n", b""),
    lambda _, message: _json([message, message]),
    lambda _, __: b"[" * DEEP,
    lambda _, __: b'{"jsonrpc":"2.0","id":1,"method":' + b'{"a":' * DEEP,
    lambda _, __: b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b',"method":"ping"}',
    lambda dice, _: _json(
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": dice.random()}}
    ),
    lambda dice, _: _json({"jsonrpc": "2.0", "id": dice.randrange(99), "result": {}}),
    lambda _, message: b"\xff\xfe" + _json(message),
    lambda _, __: b"",
)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(width: int, height: int, *more: bytes) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + _chunk(b"IEND", b"")


def _webp(packed: int) -> bytes:
    return b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8L" + struct.pack("<IBI", 18, 0x2F, packed)


def _bmp(side: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)


@cache
def _whole(format: str) -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (96, 64), random.Random(3).randbytes(96 * 64 * 3)).save(out, format)
    return out.getvalue()


def pictures() -> dict[str, bytes]:
    """Thirty files that call themselves pictures."""
    packed = zlib.compress(bytes(40 << 20), 9)
    found = {
        "a png of 3.6 gigapixels": _png(60_000, 60_000, _chunk(b"IDAT", packed)),
        "a png without a pixel": _png(0, 0),
        "a png with 40 MB in a text": _png(64, 64, _chunk(b"zTXt", b"a\0\0" + packed), _chunk(b"IDAT", packed)),
        "a png of 5,000 chunks": _png(64, 64, *[_chunk(b"tEXt", b"a\0b")] * 5_000),
        "a chunk longer than the file": b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 1 << 31) + b"IHDR" + bytes(40),
        "a webp of 16383 squared": b"RIFF"
        + struct.pack("<I", 30)
        + b"WEBPVP8L"
        + struct.pack("<IBI", 18, 0x2F, 0xFFFFFFF),
        "a jpeg of fill bytes": b"\xff\xd8" + b"\xff" * 100_000,
        "a jpeg of 60,000 comments": b"\xff\xd8" + b"\xff\xfe\0\x03x" * 60_000,
        "a jpeg of many scans": _whole("JPEG")[:-2] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 5_000 + b"\xff\xd9",
        "a tiff that leads to itself": b"II*\0\x08\0\0\0"
        + struct.pack("<H", 1)
        + struct.pack("<HHII", 0x8769, 4, 1, 8) * 2,
        "a gif without an end": _whole("GIF")[:-1],
        "a bmp of endless rows": b"BM"
        + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 1 << 30, 1 << 30, 1, 24, 0, 0, 0, 0, 0, 0),
        "nothing": b"",
        "a page": b"<html>not a picture</html>" * 100,
        "a heic head": b"\0\0\0\x18ftypheic" + bytes(80),
    }
    dice = random.Random(5)
    for number, kind in enumerate(("JPEG", "PNG", "WEBP", "GIF", "TIFF") * 3):
        bent = bytearray(_whole(kind))
        for _ in range(number * 2 + 1):
            bent[dice.randrange(8, len(bent))] = dice.randrange(256)
        found[f"{kind} bent {number}"] = bytes(bent[: len(bent) - dice.choice((0, 1, len(bent) // 2))])
    return found


def replies() -> dict[str, Answer]:
    """Thirty answers to a paid POST."""
    usage = {"generated_images": 1}
    documents: list[Any] = [
        {},
        [],
        None,
        7,
        {"data": None},
        {"data": {}},
        {"data": [None]},
        {"data": [{"url": None}]},
        {"data": [{"url": "file:///etc/passwd"}], "usage": usage},
        {"data": [{"url": "http://["}], "usage": usage},
        {"data": [{"url": 7}], "usage": usage},
        {"data": [{"b64_json": "=" * 100}], "usage": usage},
        {"data": [{"b64_json": inline()[:1000]}], "usage": usage},
        {"data": [{"error": []}], "usage": usage},
        {"data": [{"error": {"code": 7, "message": []}}], "usage": usage},
        {"data": [PICTURE] * 300, "usage": {"generated_images": 300}},
        {"data": [{**PICTURE, "size": "9" * 400 + "x1"}], "usage": usage},
        {"data": [PICTURE], "usage": {"generated_images": -1}},
        {"data": [PICTURE], "usage": {"generated_images": 10**30}},
        {"data": [PICTURE], "usage": "x"},
        {"error": {"code": "\ud800", "message": "\x1b[31m\u202e" * 50}},
    ]
    described = {f"{n}: {json.dumps(document)[:18]}": Answer.says(document) for n, document in enumerate(documents, 1)}
    kind = "text/event-stream"
    described |= {
        "nothing at all": Answer(b""),
        "a deep reply": Answer(b"[" * 100_000),
        "a deep slot": Answer(b'{"data":' + b"[" * 100_000),
        "no json": Answer(b"<html>" * 100, 200, "text/html"),
        "no utf-8": Answer(b'{"data":[{"url":"\xff\xfe"}]}'),
        "an endless number": Answer(b'{"data":[],"usage":{"generated_images":' + b"9" * 5_000 + b"}}"),
        "a stream of noise": Answer(b"event: x\ndata: {\n\n" * 500, kind=kind),
        "a stream of odd events": Answer(event("partial_succeeded", image_index=-5, url=[]) * 20, kind=kind),
        "an odd status": Answer(b"{}", 418, JSON),
    }
    return described
