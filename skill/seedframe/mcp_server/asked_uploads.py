"""Asks the person for a picture that an edit names and nobody here can read: the host opens an upload page.

In: a call that was refused for such a picture, in either protocol era. Out: the same arguments with the uploaded
picture in its place, a pending question, or None where the host cannot ask or nobody uploads. Only for hosts on this
machine: a page on loopback reaches nobody else. Never in here: the page itself, reading a picture.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mcp.types as t
from mcp import MCPError
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from seedframe.errors import InvalidRequest
from seedframe.mcp_server.http.uploads import PREFIX, uploaded
from seedframe.mcp_server.progress import Context, QuestionPending
from seedframe.messages import Language, Message

if TYPE_CHECKING:
    from seedframe.mcp_server.upload_page import UploadPage

Once = Callable[[dict[str, Any], tuple[Path, ...]], Awaitable[t.CallToolResult]]
"""A tool's call, with its arguments and the folders that were granted for it."""

UPLOAD = "upload"
UNREADABLE = frozenset({"references.no-file", "shapes.sandbox"})
"""Refusals that an upload mends."""

WAIT_SECONDS = 240.0
"""How long a person has. Below the five minutes after which desktop hosts end a call."""

MOST_PAGES = 4
LONGEST_SHOWN = 120


class UploadDesk:
    """The upload pages of one server process, and the ids that came through them."""

    def __init__(self) -> None:
        self._pages: dict[str, UploadPage] = {}

    async def open(self, wanted: str, folder: Path, language: Language) -> UploadPage:
        """A new page; the oldest ends where there are too many."""
        from seedframe.mcp_server.upload_page import UploadPage

        while len(self._pages) >= MOST_PAGES:
            await self._pages.pop(next(iter(self._pages))).close()
        page = UploadPage(wanted[:LONGEST_SHOWN], folder, language)
        self._pages[page.id] = page
        return page

    def page(self, id: object) -> UploadPage | None:
        """The page of an earlier round of a call, while it is kept."""
        return self._pages.get(str(id))

    async def close(self) -> None:
        """End all pages."""
        while self._pages:
            await self._pages.popitem()[1].close()


def names_uploads(arguments: Mapping[str, Any]) -> bool:
    """Whether an `upload:` id is among the pictures, so that the disk must be asked."""
    images = arguments.get("images")
    return isinstance(images, list) and any(isinstance(image, str) and image.startswith(PREFIX) for image in images)


def with_uploads(arguments: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The arguments with the file behind each `upload:` id. InvalidRequest for an id that is not kept any more."""
    images = arguments.get("images")
    if not isinstance(images, list):
        return dict(arguments)
    named = [isinstance(image, str) and image.startswith(PREFIX) for image in images]
    files = [str(uploaded(image, folder)) if own else image for image, own in zip(images, named, strict=True)]
    return {**arguments, "images": files}


async def picture_handed_over(
    ctx: Context,
    params: t.CallToolRequestParams,
    desk: UploadDesk,
    error: InvalidRequest,
    folder: Path,
    language: Language,
    seconds: float,
) -> str | None:
    """The id of the picture that a person uploads for the one that is refused; None where nobody does."""
    capabilities = ctx.session.client_capabilities
    offered = capabilities is not None and capabilities.elicitation is not None and capabilities.elicitation.url
    if error.message.key not in UNREADABLE or not offered or ctx.request is not None:
        return None
    message = Message("upload.ask", wanted=str(error.got)[:LONGEST_SHOWN]).text(language)
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return await _modern(params, desk, message, await _page(params, desk, error, folder, language), seconds)
    if not ctx.session.can_send_request:
        return None
    page = await desk.open(str(error.got), folder, language)
    try:
        answer = await ctx.session.elicit_url(message, page.url, page.id, related_request_id=ctx.request_id)
    except MCPError:  # a host that says it can ask, and cannot
        return await page.wait(0)
    picture = await _waited(page, answer, seconds)
    if picture:
        await ctx.session.send_elicit_complete(page.id, related_request_id=ctx.request_id)
    return picture


class WithUpload:
    """A tool's call that goes on with a picture its user uploads for one that cannot be read, once.

    `call` makes the call; `ask` asks for the picture: its id, None where nobody uploads one.
    """

    def __init__(self, call: Once, ask: Callable[[InvalidRequest], Awaitable[str | None]], language: Language) -> None:
        self._call = call
        self._ask = ask
        self._language = language
        self._refused: InvalidRequest | None = None
        self._picture: str | None = None

    async def __call__(self, arguments: dict[str, Any], roots: tuple[Path, ...]) -> t.CallToolResult:
        """The call's result; it names the id of what was uploaded. InvalidRequest when nobody did."""
        if self._picture is None:
            try:
                return await self._call(arguments, roots)
            except InvalidRequest as error:
                self._refused, self._picture = error, await self._ask(error)
                if self._picture is None:
                    raise
        assert self._refused is not None
        result = await self._call(in_place_of(self._refused, self._picture, arguments), roots)
        words = Message("upload.kept", id=self._picture).text(self._language)
        return result.model_copy(update={"content": [*result.content, t.TextContent(type="text", text=words)]})


def in_place_of(error: InvalidRequest, picture: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with the uploaded picture where the refused one stood."""
    images = list(arguments["images"])
    at = next((number for number, image in enumerate(images) if str(image).startswith(str(error.got))), None)
    if at is None:
        raise error
    images[at] = picture
    return {**arguments, "images": images}


def upload_state(params: t.CallToolRequestParams) -> dict[str, Any]:
    """What further questions of the same call must carry: the page that was asked for."""
    kept = json.loads(params.request_state) if params.request_state else {}
    return {UPLOAD: kept[UPLOAD]} if UPLOAD in kept else {}


async def _waited(page: UploadPage, answer: t.ElicitResult, seconds: float) -> str | None:
    """What comes through a page that the person agreed to open; nobody waits for one that was declined."""
    return await page.wait(seconds if answer.action == "accept" else 0)


async def _page(
    params: t.CallToolRequestParams, desk: UploadDesk, error: InvalidRequest, folder: Path, language: Language
) -> UploadPage | None:
    """The page of the round before; a new one in the first round; None for a page that is gone."""
    kept = upload_state(params)
    return desk.page(kept[UPLOAD]) if kept else await desk.open(str(error.got), folder, language)


async def _modern(
    params: t.CallToolRequestParams, desk: UploadDesk, message: str, page: UploadPage | None, seconds: float
) -> str | None:
    """The modern era asks by ending the call; the host repeats it with the answer, and with what it carries."""
    if page is None:
        return None
    given = (params.input_responses or {}).get(UPLOAD)
    if given is not None:
        answer = t.ElicitResult.model_validate(given.model_dump(mode="json", by_alias=True, exclude_none=True))
        return await _waited(page, answer, seconds)
    if upload_state(params):
        return page.picture
    kept = json.loads(params.request_state) if params.request_state else {"roots": []}
    asked = t.ElicitRequest(params=t.ElicitRequestURLParams(message=message, url=page.url))
    state = json.dumps({**kept, UPLOAD: page.id})
    raise QuestionPending(t.InputRequiredResult(input_requests={UPLOAD: asked}, request_state=state))
