"""A page on this machine that takes one picture from a person: for a picture that an assistant names and cannot read.

In: what was named, a folder. Out: an address with a secret in it, and the id of the picture once it is there. The
address works for one picture and one call; other hosts, other origins and more bytes than a picture may have are
refused. Never in here: how a host is asked to open it, what the picture is used for.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from seedframe.errors import SeedreamError
from seedframe.html_pages import as_script, asset, content_policy, environment, live_words
from seedframe.http_guard import HttpGuard
from seedframe.limits import limits
from seedframe.listening import listening
from seedframe.mcp_server.http import uploads
from seedframe.messages import Language, Message

HOST = "127.0.0.1"
OPEN_SECONDS = 600.0
"""A page ends then by itself: some hosts ask and never come back."""

SITE = "mcp_server/upload_site"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class UploadPage:
    """One page. `id`: what the page is called towards the host; its address holds another secret."""

    def __init__(self, wanted: str, folder: Path, language: Language) -> None:
        self.id = secrets.token_hex(16)
        self._wanted, self._folder, self._language = wanted, folder, language
        self._socket = listening(HOST, 0)
        path = f"/{secrets.token_urlsafe(24)}/"
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}{path}"
        self._came: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        site = Starlette(routes=[Route(path, self._show), Route(path, self._take, methods=["POST"])])
        app = HttpGuard(site, HOST, limits().upload_bytes)
        self._server = _Quiet(
            uvicorn.Config(app, http="h11", lifespan="off", log_level="critical", timeout_graceful_shutdown=5)
        )
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        self._end = asyncio.get_running_loop().call_later(OPEN_SECONDS, self._stop)

    @property
    def picture(self) -> str | None:
        """The id of the picture that came; None as long as none did."""
        return self._came.result() if self._came.done() else None

    async def wait(self, seconds: float) -> str | None:
        """The id of the picture; None when none came in time. Either way the page has ended then."""
        try:
            await asyncio.wait({self._came}, timeout=seconds)
        finally:
            await self.close()
        return self.picture

    async def close(self) -> None:
        """End the page; an answer under way is still given."""
        self._end.cancel()
        self._stop()
        await asyncio.gather(self._serving, return_exceptions=True)
        self._socket.close()

    def _stop(self) -> None:
        self._server.should_exit = True

    async def _show(self, _request: Request) -> Response:
        style, script = _assets()
        policy = content_policy(style, script, "connect-src 'self'")
        page = environment(SITE, _words).get_template("upload.html")
        html = page.render(
            language=self._language,
            policy=policy,
            style=style,
            script=script,
            words=live_words("upload"),
            wanted=self._wanted,
            megabytes=limits().upload_bytes // 1_000_000,
        )
        return HTMLResponse(html, headers={**HEADERS, "Content-Security-Policy": f"{policy}; frame-ancestors 'none'"})

    async def _take(self, request: Request) -> Response:
        """201 with the id · 410 a second picture · 413 too large · 415 not a picture."""
        most = limits().upload_bytes
        if self._came.done():
            return self._plain(Message("upload.used"), 410)
        try:
            id = await uploads.keep(request.stream(), self._folder, most)
        except uploads.UploadTooLarge:
            return self._plain(Message("http.upload-too-large", most=most), 413)
        except SeedreamError as error:
            return JSONResponse({"message": error.text(self._language)}, status_code=415, headers=HEADERS)
        if self._came.done():
            return self._plain(Message("upload.used"), 410)
        self._came.set_result(id)
        return JSONResponse({"id": id}, status_code=201, headers=HEADERS)

    def _plain(self, message: Message, status: int) -> Response:
        return JSONResponse({"message": message.text(self._language)}, status_code=status, headers=HEADERS)


class _Quiet(uvicorn.Server):
    """Serves beside the MCP server, whose signals are its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@cache
def _assets() -> tuple[str, str]:
    return asset(SITE, ("upload.css",)), as_script(asset(SITE, ("upload.js",)))


def _words(key: str, **values: Any) -> Message:
    return Message(f"upload.{key}", **values)
