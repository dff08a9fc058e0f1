"""The emulator on a socket: who may call it, how much it takes, and what it says to bodies that are no requests."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from seedframe.emulator import emulator, running
from seedframe.emulator.server import MAX_BODY
from seedframe.http_guard import HttpGuard

pytestmark = pytest.mark.anyio

GENERATE = "/api/v3/images/generations"
DEEP = b"[" * 100_000


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with running(emulator(profile="ark", paint="instant")) as address:
        yield address


def asked(base: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, bytes]:
    """A POST with exactly these headers; http.client writes no Host of its own here."""
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=10)
    connection.putrequest("POST", path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    described = answer.status, answer.read()
    connection.close()
    return described


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:1", 200),
        ("127.9.9.9", 200),
        ("localhost:8900", 200),
        ("LOCALHOST", 200),
        ("[::1]:8900", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("192.168.0.9", 421),
        ("[", 421),
        ("", 421),
        ("user@127.0.0.1@evil.example", 421),
    ],
)
def test_a_server_on_loopback_answers_only_to_names_of_loopback(base: str, host: str, status: int):
    assert asked(base, "/_emulator/reset", {"Host": host})[0] == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:3000", 200),
        ("http://localhost", 200),
        ("https://evil.example", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
    ],
)
def test_web_pages_of_other_origins_are_refused(base: str, origin: str, status: int):
    assert asked(base, "/_emulator/reset", {"Host": "127.0.0.1", "Origin": origin})[0] == status


def test_a_body_that_is_announced_too_large_is_refused_unread(base: str):
    headers = {"Host": "127.0.0.1", "Content-Length": str(MAX_BODY + 1)}

    assert asked(base, GENERATE, headers)[0] == 413


async def test_a_body_that_grows_too_large_is_refused_on_the_way():
    async def app(scope: Any, receive: Any, send: Any):
        await PlainTextResponse(str(len(await Request(scope, receive).body())))(scope, receive, send)

    async def pieces(count: int):
        for _ in range(count):
            yield b"x" * 1_000

    guarded = httpx.ASGITransport(HttpGuard(app, "127.0.0.1", 10_000))
    async with httpx.AsyncClient(transport=guarded, base_url="http://127.0.0.1") as http:
        small = await http.post("/", content=pieces(10))
        large = await http.post("/", content=pieces(11))

    assert (small.status_code, small.text) == (200, "10000")
    assert (large.status_code, "at most 10000 bytes" in large.text) == (413, True)


@pytest.mark.parametrize(
    ("host", "allowed", "refused"),
    [
        ("0.0.0.0", ["10.0.0.5:8900", "localhost", "[fe80::1]"], ["evil.example"]),
        ("studio.local", ["studio.local:8900", "10.0.0.5"], ["evil.example", "studio.local.evil.example"]),
    ],
)
async def test_a_server_for_a_network_answers_to_addresses_and_to_its_own_name(
    host: str, allowed: list[str], refused: list[str]
):
    guarded = httpx.ASGITransport(HttpGuard(PlainTextResponse("ok"), host, 10_000))
    async with httpx.AsyncClient(transport=guarded, base_url="http://x") as http:
        described = {name: (await http.get("/", headers={"Host": name})).status_code for name in (*allowed, *refused)}

    assert described == {**dict.fromkeys(allowed, 200), **dict.fromkeys(refused, 421)}


ODD = {
    "nothing": b"",
    "no json": b"{",
    "deep": DEEP,
    "deep objects": b'{"a":' * 50_000,
    "a list": b"[]",
    "null": b"null",
    "not utf-8": b'{"model":"\xff"}',
    "half a character": b'{"model":"\\ud800","prompt":"x"}',
    "half a character as a key": b'{"\\ud800":1,"model":"doubao-seedream-4-5-251128","prompt":"x"}',
    "an endless number": b'{"model":' + b"9" * 5_000 + b"}",
    "not a number": b'{"model":"doubao-seedream-4-5-251128","prompt":"x","seed":NaN}',
    "infinity": b'{"model":"doubao-seedream-4-5-251128","prompt":"x","size":Infinity}',
    "a huge exponent": b'{"model":"doubao-seedream-4-5-251128","prompt":"x","seed":1e400}',
    "wrong kinds": b'{"model":[],"prompt":{},"image":7,"size":[],"stream":"x"}',
    "a deep value": b'{"model":"doubao-seedream-4-5-251128","prompt":"x","image":' + b"[" * 500 + b"]" * 500 + b"}",
}


@pytest.mark.parametrize("case", ODD)
def test_a_body_that_is_no_request_gets_the_vendors_answer(base: str, case: str):
    headers = {"Host": "127.0.0.1", "Authorization": "Bearer k", "Content-Type": "application/json"}
    status, body = asked(base, GENERATE, headers, ODD[case])

    assert status in {400, 404}, body
    assert set(json.loads(body)["error"]) == {"code", "message", "param", "type"}
    report = httpx.get(f"{base}/_emulator/ledger")
    assert report.status_code == 200


@pytest.mark.parametrize("path", ["script", "clock"])
@pytest.mark.parametrize("body", [b"{", DEEP, b'{"advance":"x"}', b'{"advance":1e400}', b'{"script":{"a":[[]]}}', b"7"])
def test_our_own_paths_refuse_odd_bodies_in_words(base: str, path: str, body: bytes):
    status, described = asked(base, f"/_emulator/{path}", {"Host": "127.0.0.1"}, body)

    assert status in {200, 400}, described
    assert json.loads(described)


def emulate(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "seedframe", "emulate", *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


SENTENCES = ("cannot listen on 127.0.0.1", "not in the range 0<=x<=65535")


@pytest.mark.slow
def test_a_port_that_cannot_be_is_a_sentence_and_nothing_is_announced():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ends = {}
        for port in ("99999", "-1", str(taken.getsockname()[1])):
            process = emulate("--port", port)
            out, said = process.communicate(timeout=30)
            ends[port] = (process.returncode, out, any(words in said for words in SENTENCES), "emulating" in said)
            assert "Traceback" not in said

    assert set(ends.values()) == {(2, "", True, False)}


@pytest.mark.slow
def test_a_port_is_announced_once_it_is_open():
    process = emulate("--port", "0", "--profile", "emulator")
    try:
        assert process.stderr is not None
        address = process.stderr.readline().split(" on ")[1].split(";")[0]
        assert httpx.get(f"{address}/_emulator/ledger", timeout=10).status_code == 200
    finally:
        process.terminate()
        process.communicate(timeout=20)
