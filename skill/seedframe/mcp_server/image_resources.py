"""Every picture that was made, as the resource `seedframe://images/{id}`; on a local connection only.

In: results as they are handed over, the gallery of the output folder. Out: for one picture its facts as JSON and a view
of it (a JPEG, left out where the user's model takes no pictures); the pictures of this connection for `resources/list`,
with a notice when one was added; ids of all that lie in the folder for completion. Never in here: a full-size file.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Sequence
from typing import Any

import anyio
import mcp.types as t
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourcesListChanged
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from seedframe.gallery.made_pictures import Gallery, Record, describe_record
from seedframe.gallery.previews import Previews
from seedframe.mcp_server.progress import Context
from seedframe.studio.types import Picture

PICTURES = "seedframe://images"
HANDLE = "seedframe:"
"""How the id of a picture begins in the results of the tools; the rest names the resource."""

VIEW_SIDE = 1024
VIEW_TYPE = "image/jpeg"
MOST_LISTED = 60
"""Pictures announced to a host at once; its message must stay small."""


class ImageResources:
    """The pictures of one connection, and those of the folder by their id."""

    def __init__(self) -> None:
        self._made: deque[Picture] = deque(maxlen=MOST_LISTED)
        self._bus = InMemorySubscriptionBus()
        self._previews = Previews()

    def listen_handler(self) -> ListenHandler:
        """What serves `subscriptions/listen`."""
        return ListenHandler(self._bus)

    def template(self) -> t.ResourceTemplate:
        """Its row in `resources/templates/list`."""
        return t.ResourceTemplate(
            uri_template=f"{PICTURES}/{{id}}", name="image", title="A picture that was made", mime_type=VIEW_TYPE
        )

    def listed(self) -> list[t.Resource]:
        """What this connection made, newest first."""
        return [
            t.Resource(uri=_address(picture.id), name=picture.path.name, mime_type=VIEW_TYPE)
            for picture in reversed(self._made)
        ]

    async def add(self, ctx: Context, pictures: Sequence[Picture]) -> None:
        """Note what was made and notify the host that the list has changed; a host that has left is told nothing."""
        if came_over_http(ctx):
            return
        known = {picture.id for picture in self._made}
        new = [picture for picture in pictures if picture.id not in known]
        if not new:
            return
        self._made.extend(new)
        try:
            if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
                await self._bus.publish(ResourcesListChanged())
            else:
                await ctx.session.send_resource_list_changed()
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            return

    def read(self, uri: str, gallery: Gallery, *, view: bool) -> t.ReadResourceResult | None:
        """Facts, and the view where one is wanted; None for a picture that is not there. Blocks on the disk."""
        record = _found(gallery, uri.removeprefix(f"{PICTURES}/"))
        if record is None or not gallery.has(record):
            return None
        facts = json.dumps(describe_record(record, gallery), ensure_ascii=False)
        contents: list[t.TextResourceContents | t.BlobResourceContents] = [
            t.TextResourceContents(uri=uri, mime_type="application/json", text=facts)
        ]
        if view and (small := self._previews.preview(record, VIEW_SIDE)):
            blob = base64.b64encode(small).decode("ascii")
            contents.append(t.BlobResourceContents(uri=uri, mime_type=VIEW_TYPE, blob=blob))
        return t.ReadResourceResult(contents=contents)

    def ids(self, gallery: Gallery) -> list[str]:
        """The ids of everything in the folder, newest first. Blocks on the disk."""
        return [id for record in gallery.records() if (id := _id(record))]


def came_over_http(ctx: Any) -> bool:
    """Whether the caller is remote: it need not be the owner of the folder."""
    return getattr(ctx, "request", None) is not None


def _found(gallery: Gallery, id: str) -> Record | None:
    return next((record for record in gallery.records() if id and _id(record) == id), None)


def _id(record: Record) -> str:
    picture: Any = record.sidecar.get("picture")
    handle = picture.get("id") if isinstance(picture, dict) else None
    return handle.removeprefix(HANDLE) if isinstance(handle, str) else ""


def _address(handle: str) -> str:
    return f"{PICTURES}/{handle.removeprefix(HANDLE)}"
