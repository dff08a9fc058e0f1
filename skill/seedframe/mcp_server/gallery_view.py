"""The gallery inside hosts that show MCP Apps (spec 2026-01-26); other hosts keep text, previews and links as before.

In: the calls of `resources/*`. Out: the page `ui://seedframe/gallery`, and for it, on a local connection only, what was
made: `seedframe://gallery` (JSON), `seedframe://gallery/{id}` (a small JPEG) and each picture as a resource of its own
(`image_resources`). Never in here: a full-size file, the folder of one caller shown to another.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import mcp.types as t
from mcp import MCPError

from seedframe.gallery.gallery_page import gallery_page
from seedframe.gallery.made_pictures import Gallery, describe_record
from seedframe.gallery.previews import SIDES, Previews
from seedframe.mcp_server import resources
from seedframe.mcp_server.image_resources import PICTURES, ImageResources, came_over_http
from seedframe.messages import Language

EXTENSION = "io.modelcontextprotocol/ui"
PAGE = "ui://seedframe/gallery"
PAGE_TYPE = "text/html;profile=mcp-app"
RECORDS = "seedframe://gallery"
PAGE_META = {"ui": {"prefersBorder": True, "csp": {"connectDomains": [], "resourceDomains": []}}}
TOOL_META = {"ui": {"resourceUri": PAGE}}
"""The metadata of tools whose results the page shows."""

MOST_LISTED = 60
"""The most pictures in one answer to a host: its message must stay small."""


class GalleryView:
    """The resources of `resources`, and the gallery's beside them."""

    def __init__(self, language: Language) -> None:
        self.images = ImageResources()
        self._language = language
        self._gallery: Gallery | None = None
        self._previews = Previews()

    async def list_resources(self, ctx: Any, params: t.PaginatedRequestParams | None) -> t.ListResourcesResult:
        """`resources/list`."""
        known = await resources.list_resources(ctx, params)
        page = t.Resource(uri=PAGE, name="gallery-page", title="Gallery", mime_type=PAGE_TYPE, _meta=PAGE_META)
        records = t.Resource(uri=RECORDS, name="gallery", title="What was made", mime_type="application/json")
        local = [] if came_over_http(ctx) else [records, *self.images.listed()]
        return t.ListResourcesResult(resources=[*known.resources, page, *local])

    async def list_templates(self, ctx: Any, params: t.PaginatedRequestParams | None) -> t.ListResourceTemplatesResult:
        """`resources/templates/list`."""
        known = (await resources.list_templates(ctx, params)).resource_templates
        preview = t.ResourceTemplate(
            uri_template=f"{RECORDS}/{{id}}", name="gallery-preview", title="A small picture", mime_type="image/jpeg"
        )
        local = [] if came_over_http(ctx) else [preview, self.images.template()]
        return t.ListResourceTemplatesResult(resource_templates=[*known, *local])

    async def read_resource(self, ctx: Any, params: t.ReadResourceRequestParams) -> t.ReadResourceResult:
        """`resources/read`."""
        uri = str(params.uri)
        if uri == PAGE:
            page = gallery_page("host", self._language)
            content = t.TextResourceContents(uri=uri, mime_type=PAGE_TYPE, text=page, _meta=PAGE_META)
            return t.ReadResourceResult(contents=[content])
        if came_over_http(ctx) or not (uri == RECORDS or uri.startswith((f"{RECORDS}/", f"{PICTURES}/"))):
            return await resources.read_resource(ctx, params)
        gallery = await self._opened(ctx)
        if uri.startswith(f"{PICTURES}/"):
            return await self._read_image(ctx, uri, gallery)
        if uri == RECORDS:
            listed = await asyncio.to_thread(_listed, gallery)
            return t.ReadResourceResult(
                contents=[t.TextResourceContents(uri=uri, mime_type="application/json", text=listed)]
            )
        small = await asyncio.to_thread(self._small, gallery, uri.removeprefix(f"{RECORDS}/"))
        if small is None:
            raise MCPError(t.INVALID_PARAMS, "Resource not found", data={"uri": uri})
        blob = base64.b64encode(small).decode("ascii")
        return t.ReadResourceResult(contents=[t.BlobResourceContents(uri=uri, mime_type="image/jpeg", blob=blob)])

    async def complete(self, ctx: Any, params: t.CompleteRequestParams) -> t.CompleteResult:
        """`completion/complete`: ids of pictures; anything else is answered by `resources`."""
        asked = params.ref.uri if isinstance(params.ref, t.ResourceTemplateReference) else ""
        if came_over_http(ctx) or asked != self.images.template().uri_template or params.argument.name != "id":
            return await resources.complete(ctx, params)
        gallery = await self._opened(ctx)
        ids = await asyncio.to_thread(self.images.ids, gallery)
        return resources.completion(ids, params.argument.value)

    async def _read_image(self, ctx: Any, uri: str, gallery: Gallery) -> t.ReadResourceResult:
        settings = (await ctx.lifespan_context.studio()).settings
        view = settings.preview != "none"
        found = await asyncio.to_thread(self.images.read, uri, gallery, view=view)
        if found is None:
            raise MCPError(t.INVALID_PARAMS, "Resource not found", data={"uri": uri})
        return found

    async def _opened(self, ctx: Any) -> Gallery:
        if self._gallery is None:
            studio = await ctx.lifespan_context.studio()
            self._gallery = Gallery(studio.settings.output_dir.absolute())
        return self._gallery

    def _small(self, gallery: Gallery, id: str) -> bytes | None:
        record = gallery.record(id)
        return self._previews.preview(record, SIDES[0]) if record and gallery.has(record) else None


def _listed(gallery: Gallery) -> str:
    records = gallery.records()
    pictures = [describe_record(record, gallery) for record in records[:MOST_LISTED]]
    return json.dumps({"total": len(records), "pictures": pictures}, ensure_ascii=False)
