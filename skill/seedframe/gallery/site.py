"""The gallery as a Starlette app for this machine only.

In: a folder. Out: an app whose addresses all begin with a secret, so that neither web pages nor other users of the
machine find it. Files are served from the folder alone, by ids that we gave. Never in here: a write, a call.

    GET /{secret}/                       the page
    GET /{secret}/pictures               every record, JSON
    GET /{secret}/preview/{id}/{side}    a small JPEG
    GET /{secret}/picture/{id}           the file as it is
    GET /{secret}/sidecar/{id}           its record, JSON
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import BinaryIO

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from seedframe.confined_files import NoFile, Outside
from seedframe.gallery.gallery_page import gallery_page, gallery_policy
from seedframe.gallery.made_pictures import Gallery, Record, describe_record
from seedframe.gallery.previews import SIDES, Previews
from seedframe.http_guard import HttpGuard
from seedframe.messages import Language

MAX_BODY = 4096
"""The longest body: requests have none."""

CHUNK = 256 * 1024
HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
PICTURE_HEADERS = {**HEADERS, "Cache-Control": "private, max-age=86400", "Content-Security-Policy": "sandbox"}


class GallerySite:
    """The endpoints over one gallery."""

    def __init__(self, gallery: Gallery, language: Language) -> None:
        self._gallery = gallery
        self._language = language
        self._previews = Previews()

    async def page(self, _request: Request) -> Response:
        """The page itself."""
        policy = f"{gallery_policy('browser')}; frame-ancestors 'none'"
        html = gallery_page("browser", self._language)
        return HTMLResponse(html, headers={**HEADERS, "Content-Security-Policy": policy})

    async def pictures(self, _request: Request) -> Response:
        """Every record."""
        records = await asyncio.to_thread(self._listed)
        return JSONResponse(records, headers=HEADERS)

    async def preview(self, request: Request) -> Response:
        """A small JPEG with one of the known sides."""
        record, side = await self._record(request), int(request.path_params["side"])
        if side not in SIDES:
            raise HTTPException(404)
        small = await asyncio.to_thread(self._small, record, side)
        if small is None:
            raise HTTPException(404)
        return Response(small, media_type="image/jpeg", headers=PICTURE_HEADERS)

    async def picture(self, request: Request) -> Response:
        """The file as it is."""
        record = await self._record(request)
        try:
            file = await asyncio.to_thread(self._gallery.open, record.path)
        except (NoFile, Outside, OSError):
            raise HTTPException(404) from None
        return StreamingResponse(_chunks(file), media_type=record.media_type, headers=PICTURE_HEADERS)

    async def sidecar(self, request: Request) -> Response:
        """What its sidecar says, without keys."""
        record = await self._record(request)
        return JSONResponse(dict(record.sidecar), headers=HEADERS)

    async def _record(self, request: Request) -> Record:
        record = await asyncio.to_thread(self._gallery.record, request.path_params["id"])
        if record is None:
            raise HTTPException(404)
        return record

    def _small(self, record: Record, side: int) -> bytes | None:
        return self._previews.preview(record, side) if self._gallery.has(record) else None

    def _listed(self) -> dict[str, object]:
        records = self._gallery.records()
        return {
            "folder": str(self._gallery.folder),
            "pictures": [describe_record(record, self._gallery) for record in records],
        }


def gallery_site(gallery: Gallery, *, secret: str, language: Language, host: str = "127.0.0.1") -> HttpGuard:
    """The app behind checks of Host, Origin and length. `secret` is the first part of every address."""
    site = GallerySite(gallery, language)
    routes = [
        Route("/", site.page),
        Route("/pictures", site.pictures),
        Route("/preview/{id}/{side:int}", site.preview),
        Route("/picture/{id}", site.picture),
        Route("/sidecar/{id}", site.sidecar),
    ]
    return HttpGuard(Starlette(routes=[Mount(f"/{secret}", routes=routes)]), host, MAX_BODY)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
