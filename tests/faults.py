"""The faults of the fault table: what the service, the network, the disk and the payment record do to one call."""

from __future__ import annotations

import contextlib
import gzip
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from canned import EVENTS, MODERATED, PICTURE, SIZE, URL, Answer, completed, event, inline, jpeg
from seedframe.emulator import scripted, transport

CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}
THREE = {"prompt": "一组三张图：同一只猫在窗台、屋顶和花园", "ratio": "1:1", "count": 3, "related": True}
CUT = {"prompt": "一只猫坐在窗台上，午后阳光", "size": "1920x1920", "frame": "900x1600"}
PAGE = b"<html><body>a page of something in between</body></html>"
GOOD = Answer.says({"data": [PICTURE], "usage": {"generated_images": 1}})
INLINE = Answer.says({"data": [{"b64_json": inline(), "size": SIZE}], "usage": {"generated_images": 1}})
IMAGE = Answer(jpeg(), kind="image/jpeg")

Act = Callable[["Place"], contextlib.AbstractContextManager[None]]
Reply = Answer | Exception


@dataclass(frozen=True)
class Place:
    """Where a call happens: its pictures, its payment record."""

    pictures: Path
    record: Path


class Service(httpx.AsyncBaseTransport):
    """Gives one answer to each POST and one to each GET, the last of each for ever; `at_post` runs before a POST's."""

    def __init__(self, posts: Sequence[Reply], gets: Sequence[Reply], at_post: Callable[[], None]) -> None:
        self._posts, self._gets, self._at_post = list(posts), list(gets), at_post
        self.posts = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answers = self._gets if request.method == "GET" else self._posts
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if request.method == "POST" and not isinstance(
            answer, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError
        ):
            self.posts += 1
            self._at_post()
        if isinstance(answer, Exception):
            raise answer
        headers = {"content-type": answer.kind, "x-request-id": "02" + "0" * 51, **answer.headers}
        content = answer.body if isinstance(answer.body, bytes) else answer.body()
        return httpx.Response(answer.status, headers=headers, content=content, request=request)


@dataclass(frozen=True)
class Fault:
    """One row. `script`: played by the emulator; else `posts` and `gets`. `billed`: pictures the service charged.

    `before` and `at_post` happen to the disk or the record and end before the next start.
    """

    name: str
    script: Sequence[object] = ()
    posts: Sequence[Reply] = ()
    gets: Sequence[Reply] = (IMAGE,)
    billed: int = 0
    arguments: Mapping[str, Any] = field(default_factory=lambda: CAT)
    variables: Mapping[str, str] = field(default_factory=dict)
    before: Act | None = None
    at_post: Act | None = None
    free: int | None = None
    disk: str = ""

    def carrier(self, at_post: Callable[[], None]) -> Any:
        if self.script:
            return transport(paint="instant", script=scripted(*self.script))
        return Service(self.posts, self.gets, at_post)


def played(name: str, *script: object, arguments: Mapping[str, Any] = CAT, **variables: str) -> Fault:
    return Fault(name, script, arguments=arguments, variables=variables)


def said(name: str, *posts: Reply, billed: int = 0, **more: Any) -> Fault:
    return Fault(name, posts=posts, billed=billed, **more)


def fetched(name: str, *gets: Reply, posts: Sequence[Reply] = (GOOD,), billed: int = 1, **more: Any) -> Fault:
    """The picture is made and billed; its address does this."""
    return Fault(name, posts=posts, gets=gets, billed=billed, **more)


def page(status: int, **headers: str) -> Answer:
    return Answer(PAGE, status, "text/html", headers)


def refusal(status: int, code: str = "SomethingNew", message: str = "A refusal nobody has listed.") -> Answer:
    return Answer.says({"error": {"code": code, "message": message, "type": "", "param": ""}}, status)


def breaking(*pieces: bytes, kind: str = EVENTS) -> Answer:
    async def broken() -> Any:
        for piece in pieces:
            yield piece
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")

    return Answer(broken, kind=kind)


def streamed(*pieces: bytes) -> Answer:
    return Answer(b"".join(pieces), kind=EVENTS)


def came(index: int) -> bytes:
    return event("partial_succeeded", image_index=index, size=SIZE, url=URL)


def data(*slots: Any, **more: Any) -> Answer:
    return Answer.says({"data": list(slots), **more})


def usage(billed: Any, *slots: Any) -> Answer:
    return data(*(slots or (PICTURE,)), usage={"generated_images": billed})


@contextlib.contextmanager
def locked(place: Place) -> Iterator[None]:
    """Another program holds the record."""
    db = sqlite3.connect(place.record, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        db.close()


@contextlib.contextmanager
def broken_record(place: Place) -> Iterator[None]:
    """Something tears the record apart; a person moves what is left aside before the next start."""
    db = sqlite3.connect(place.record, isolation_level=None)
    db.executescript("DROP VIEW calls; DROP TABLE slots; DROP TABLE waiting; DROP TABLE entries;")
    db.close()
    yield
    for path in place.record.parent.glob(place.record.name + "*"):
        if path.is_file():
            path.unlink()


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Not a byte more fits on the disk of the folder."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0")
    try:
        yield
    finally:
        ballast.unlink()


def full_record(place: Place) -> contextlib.AbstractContextManager[None]:
    return filled(place.record.parent)


def full_pictures(place: Place) -> contextlib.AbstractContextManager[None]:
    return filled(place.pictures)


@contextlib.contextmanager
def folder_gone(place: Place) -> Iterator[None]:
    """The folder in which pictures arrive is removed under way."""
    for folder in place.pictures.glob(".seedframe/*"):
        folder.rmdir()
    yield


@contextlib.contextmanager
def file_in_the_way(place: Place) -> Iterator[None]:
    place.pictures.write_bytes(b"")
    yield
    place.pictures.unlink()


@contextlib.contextmanager
def file_for_a_folder(place: Place) -> Iterator[None]:
    place.pictures.mkdir(exist_ok=True)
    (place.pictures / "taken").write_bytes(b"")
    yield
    (place.pictures / "taken").unlink()


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A real, small disk; OSError where this user may not mount one."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        raise OSError("no small disk here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def error(kind: type[httpx.TransportError], words: str) -> Exception:
    return kind(words)


NO_KEY = {"SEEDFRAME_BACKEND": "ark"}
LATER = refusal(429, "ModelAccountIpmRateLimitExceeded", "IPM (Images Per Minute) limit of the model is exceeded.")

FAULTS: tuple[Fault, ...] = (
    # before the POST
    said("no connection", error(httpx.ConnectError, "connection refused")),
    said("no connection in time", error(httpx.ConnectTimeout, "timed out")),
    said("no such host", error(httpx.ConnectError, "Name or service not known")),
    said("certificate refused", error(httpx.ConnectError, "CERTIFICATE_VERIFY_FAILED")),
    said("proxy refuses", error(httpx.ProxyError, "407 Proxy Authentication Required")),
    said("no connection once", error(httpx.ConnectError, "connection refused"), GOOD, billed=1),
    said("no key", GOOD, variables=NO_KEY),
    said("key copied with a space", GOOD, variables={**NO_KEY, "ARK_API_KEY": "one two"}),
    said("budget used up", GOOD, variables={"SEEDFRAME_BUDGET": "0.10 CNY"}),
    said("consent missing", GOOD, variables={"SEEDFRAME_CONFIRM_ABOVE": "0.10 CNY"}),
    said("too little room for the picture", GOOD, free=500_000),
    said("output folder is a file", GOOD, before=file_in_the_way),
    said("folder of save_as is a file", GOOD, before=file_for_a_folder, arguments={**CAT, "save_as": "taken/cat"}),
    said("record locked before the POST", GOOD, before=locked),
    said("record full before the POST", GOOD, before=full_record, disk="record"),
    # the answer is lost
    played("drop before the answer", "drop-before-answer"),
    played("drop in the middle of the answer", "drop-mid-answer"),
    played("read timeout", "hang", SEEDFRAME_TIMEOUT="0.2"),
    said("connection reset while waiting", error(httpx.ReadError, "connection reset by peer"), billed=1),
    said("connection breaks while sending", error(httpx.WriteError, "broken pipe")),
    said("sending takes too long", error(httpx.WriteTimeout, "timed out")),
    # statuses
    said("301 to elsewhere", page(301, location="https://elsewhere.invalid/")),
    said("302 to a login page", page(302, location="https://login.invalid/")),
    said("307", page(307, location="http://emulator.invalid/api/v3/images/generations/")),
    said("308", page(308, location="http://emulator.invalid/api/v3/images/generations/")),
    said("304", Answer(b"", 304)),
    said("204", Answer(b"", 204)),
    played("401", *["key-unknown"] * 9),
    said("408 of a gateway", page(408), billed=1),
    said("409 nobody has listed", refusal(409)),
    said("413 page", page(413)),
    said("418 nobody has listed", refusal(418)),
    said("425", page(425)),
    said("451 page", page(451)),
    played("429 once", "rate-ipm"),
    said("429 always", LATER),
    played("429 for quota", *["quota-trial"] * 9),
    said("429 page of a gateway", page(429)),
    said("400 nobody has listed", refusal(400)),
    played("500 once", "internal"),
    played("500 always", *["internal"] * 9),
    played("html with status 502", "html-502"),
    played("html with status 503", "html-503"),
    played("html with status 504", "html-504"),
    said("520 of a gateway", page(520), billed=1),
    said("529 nobody has listed", refusal(529)),
    # bodies
    played("html with status 200", "html-200"),
    played("error with status 200", "error-200"),
    said("empty body", Answer(b""), billed=1),
    said("null", Answer(b"null"), billed=1),
    said("a list", Answer(b"[]"), billed=1),
    said("a number", Answer(b"7"), billed=1),
    said("an empty object", Answer(b"{}"), billed=1),
    said("json cut off", Answer(GOOD.body[:60] if isinstance(GOOD.body, bytes) else b""), billed=1),
    said("not utf-8", Answer(b'{"data":[{"url":"\xff\xfe'), billed=1),
    said("damaged gzip", Answer(gzip.compress(b"{}")[:-6], headers={"content-encoding": "gzip"}), billed=1),
    said("data is text", Answer.says({"data": "soon"}), billed=1),
    said("data is an object without pictures", Answer.says({"data": {"id": 7}}), billed=1),
    played("empty data", "empty-data"),
    said("a slot that is null", data(None)),
    said("a slot that is a number", data(7)),
    said("an address that is a number", data({"url": 7}), billed=1),
    said("an address that is empty", data({"url": ""})),
    said("usage of minus five", usage(-5), billed=1),
    said("usage of ten to the thirtieth", usage(10**30), billed=1),
    said("usage that is text", usage("three"), billed=1),
    said("usage is a list", data(PICTURE, usage=[]), billed=1),
    said("two pictures where one was asked for", data(PICTURE, PICTURE, usage={"generated_images": 2}), billed=2),
    said("a document without end", Answer(b'{"a":"' + b"x" * 8_100_000), billed=1),
    # moderation
    played("moderated words", *["input-text-sensitive"] * 9),
    played("moderated picture", "output-image-sensitive"),
    said("moderated picture as a slot", data({"error": MODERATED}, usage={"generated_images": 0})),
    said("withheld picture that is counted", data({"error": MODERATED}, usage={"generated_images": 1}), billed=1),
    # sets
    played("one picture of three moderated", {"name": "slot-error", "index": 1}, arguments=THREE),
    played("a set that came out smaller", "stop-after 2", arguments=THREE),
    played("stream cut after one picture of three", "cut-stream 1", arguments=THREE),
    played("stream cut after two pictures of three", "cut-stream 2", arguments=THREE),
    played("stream cut before the first picture", "cut-stream 0", arguments=THREE),
    played("500 in the middle of a stream", "error-frame 1", arguments=THREE),
    played("stream without its closing word", "no-completed", arguments=THREE),
    said("stream cut within an event", breaking(came(0), came(1)[:40]), arguments=THREE, billed=3),
    said(
        "stream with unreadable events",
        streamed(came(0), b"data: {oops\n\n", came(1), came(2), completed(3)),
        arguments=THREE,
        billed=3,
    ),
    said(
        "stream with the same number twice",
        streamed(came(0), came(0), came(0), completed(3)),
        arguments=THREE,
        billed=3,
    ),
    said("stream that only says done", streamed(b"data: [DONE]\n\n"), arguments=THREE, billed=3),
    said(
        "one of three calls lost", GOOD, error(httpx.ReadError, "reset"), GOOD, arguments={**CAT, "count": 3}, billed=3
    ),
    fetched(
        "one address of three is gone",
        IMAGE,
        page(404),
        IMAGE,
        posts=(streamed(came(0), came(1), came(2), completed(3)),),
        arguments=THREE,
        billed=3,
    ),
    # the picture's address
    played("finished picture cannot be downloaded", "download-404"),
    played("download breaks off always", "download-cut"),
    fetched("address 403 once", page(403), IMAGE),
    fetched("address 403 always", page(403)),
    fetched("address 410", page(410)),
    fetched("address 500 three times", *[page(500)] * 3, IMAGE),
    fetched("address 500 always", page(500)),
    fetched("address 500 for a while", *[page(500)] * 5, IMAGE),
    fetched("address moved within the host", page(302, location="/moved.jpeg"), IMAGE),
    fetched("address moved to another host", page(302, location="https://elsewhere.invalid/moved.jpeg"), IMAGE),
    fetched("address cannot be connected", error(httpx.ConnectError, "connection refused")),
    fetched("address times out", error(httpx.ReadTimeout, "timed out")),
    fetched("address times out for a while", *[error(httpx.ReadTimeout, "timed out")] * 5, IMAGE),
    fetched("address gives a page", Answer(PAGE, kind="text/html")),
    fetched("address gives a page once", Answer(PAGE, kind="text/html"), IMAGE),
    fetched("address gives nothing", Answer(b"", kind="image/jpeg")),
    fetched("address gives half a picture", Answer(jpeg()[:2000], kind="image/jpeg")),
    fetched("address gives half a picture once", Answer(jpeg()[:2000], kind="image/jpeg"), IMAGE),
    fetched("address gives a picture labelled as text", Answer(jpeg(), kind="text/plain")),
    fetched("address gives a picture labelled as json", Answer(jpeg(), kind="application/json")),
    said("address that is no https", data({"url": "http://elsewhere.invalid/a.jpeg"}), billed=1),
    said("address that is ftp", data({"url": "ftp://elsewhere.invalid/a.jpeg"}), billed=1),
    said("address that is unreadable", data({"url": "https://[x"}), billed=1),
    played("junk picture", "junk-picture"),
    played("pixel bomb", "pixel-bomb"),
    played("wrong size", "wrong-size"),
    played("wrong format", "wrong-format"),
    # base64
    played("truncated base64", "truncated-base64", SEEDFRAME_RESPONSE_FORMAT="b64_json"),
    said("base64 with other letters", data({"b64_json": "@@@@"}), billed=1),
    said("base64 that is empty", data({"b64_json": ""}), billed=1),
    said("base64 that is no picture", data({"b64_json": "aGVsbG8="}), billed=1),
    said(
        "base64 written with escapes",
        Answer((INLINE.body if isinstance(INLINE.body, bytes) else b"").replace(b"+", b"\\u002b")),
        billed=1,
    ),
    said(
        "base64 cut with the answer",
        breaking((INLINE.body if isinstance(INLINE.body, bytes) else b"")[:9000], kind="application/json"),
        billed=1,
    ),
    # disks
    said("folder removed while base64 arrives", INLINE, at_post=folder_gone, billed=1),
    said("folder removed before the download", GOOD, at_post=folder_gone, billed=1),
    said("output disk full, base64", INLINE, at_post=full_pictures, disk="pictures", billed=1),
    said(
        "output disk full, base64, to be cut", INLINE, at_post=full_pictures, disk="pictures", arguments=CUT, billed=1
    ),
    said("output disk full, address", GOOD, at_post=full_pictures, disk="pictures", billed=1),
    # the payment record
    said("record locked after the POST", GOOD, at_post=locked, billed=1),
    said("record broken after the POST", GOOD, at_post=broken_record, billed=1),
    said("record full after the POST", GOOD, at_post=full_record, disk="record", billed=1),
    said("record locked, answer lost", error(httpx.ReadError, "reset"), at_post=locked, billed=1),
    said("record full, answer lost", error(httpx.ReadError, "reset"), at_post=full_record, disk="record", billed=1),
    fetched("record locked, address 404", page(404), at_post=locked),
    said("record locked, words refused", refusal(400, "InputTextSensitiveContentDetected"), at_post=locked),
)


def counts(carrier: Any, fault: Fault | None) -> tuple[int, int]:
    """POSTs that reached the service, pictures it billed."""
    if fault is None or fault.script:
        return carrier.app.state.request_log.posts, carrier.app.state.request_log.images
    return carrier.posts, fault.billed


@contextlib.contextmanager
def disk_of(fault: Fault, place: Place) -> Iterator[None]:
    """A small disk where the fault needs one that can be full."""
    if not fault.disk:
        yield
        return
    folder = place.pictures if fault.disk == "pictures" else place.record.parent
    with contextlib.ExitStack() as mounted:
        try:
            mounted.enter_context(small_disk(folder, "2m" if fault.disk == "record" else "1m"))
        except OSError as error:
            pytest.skip(str(error))
        yield
