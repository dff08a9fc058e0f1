"""A store with S3's interface on a loopback socket: strict about conditions and checksums, and faulty when told to be.

It keeps bytes in memory, answers `If-None-Match: *` with 412, refuses a body whose SHA-256 is not the signed one, and
knows nothing of keys. `faults` is a list of what befalls the next PUTs.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from xml.sax.saxutils import escape

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seedframe.emulator import running

BUCKET = "boards"
CHECK = "/.seedframe/writable"
"""What is stored to find out whether the store can be written to: taken, and not counted among `puts`."""


@dataclass
class S3Server:
    """What is stored, what was put in which order, and what goes wrong next."""

    objects: dict[str, bytes] = field(default_factory=dict)
    puts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    refuses: bool = False
    held: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def environ(self, prefix: str = "film") -> dict[str, str]:
        """The settings of somebody who saves here."""
        return {
            "SEEDFRAME_OUTPUT_DIR": f"s3://{BUCKET}/{prefix}",
            "SEEDFRAME_S3_ENDPOINT": self.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-store",
        }

    def app(self) -> Starlette:
        """The ASGI app."""
        bucket = Route(f"/{BUCKET}", self._list)
        return Starlette(
            routes=[bucket, Route(f"/{BUCKET}/{{key:path}}", self._object, methods=["GET", "HEAD", "PUT"])]
        )

    async def _object(self, request: Request) -> Response:
        key = request.path_params["key"]
        if self.refuses:
            return _error("AccessDenied", 403)
        if request.method == "PUT":
            return await self._put(request, key)
        content = self.objects.get(key)
        return _error("NoSuchKey", 404) if content is None else Response(content, headers=_headers(content))

    async def _put(self, request: Request, key: str) -> Response:
        if key.endswith(CHECK):
            return Response(headers={"etag": _headers(await request.body())["etag"]})
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "half":
            async for _ in request.stream():
                request.scope["state"]["hang_up"]()
                return Response(status_code=500)
        if fault == "hold":
            self.held.set()
            await anyio.to_thread.run_sync(self.release.wait, 30)
        if fault == "slow":
            await anyio.sleep(0.2)
        body = await request.body()
        if fault == "refuse":
            return _error("AccessDenied", 403)
        if hashlib.sha256(body).hexdigest() != request.headers["x-amz-content-sha256"]:
            return _error("XAmzContentSHA256Mismatch", 400)
        if request.headers.get("if-none-match") == "*" and key in self.objects:
            return _error("PreconditionFailed", 412)
        self.puts.append(key)
        self.objects[key] = b"other bytes" if fault == "damage" else body
        return Response(headers={"etag": _headers(self.objects[key])["etag"]})

    async def _list(self, request: Request) -> Response:
        prefix = request.query_params.get("prefix", "")
        found = [(key, content) for key, content in sorted(self.objects.items()) if key.startswith(prefix)]
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-20T00:00:00.000Z</LastModified>"
            f"<ETag>{_headers(content)['etag']}</ETag><Size>{len(content)}</Size></Contents>"
            for key, content in found
        )
        return Response(f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>")


def _headers(content: bytes) -> dict[str, str]:
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return {"etag": f'"{etag}"', "last-modified": formatdate(1_790_000_000, usegmt=True)}


def _error(code: str, status: int) -> Response:
    return Response(f"<Error><Code>{code}</Code></Error>", status)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A store for as long as the block lasts."""
    server = S3Server()
    with running(server.app()) as url:
        server.url = url
        yield server
        server.release.set()
