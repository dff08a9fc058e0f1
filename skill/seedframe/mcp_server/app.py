"""The MCP server: both protocol eras over stdio, everything heavy imported by the first call that needs it.

In: a function that opens a studio (from the entry point). Out: a low-level `Server`, or a loop on stdio.
Never in here: a key check or a network at start, anything on stdout but MCP, the text of a foreign exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import anyio
import mcp.types as t
from mcp import MCPError
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.stdio import stdio_server

from seedframe.errors import ConfirmationNeeded, InvalidRequest, SeedreamError
from seedframe.mcp_server.asked_uploads import (
    WAIT_SECONDS,
    Once,
    UploadDesk,
    WithUpload,
    names_uploads,
    picture_handed_over,
    upload_state,
    with_uploads,
)
from seedframe.mcp_server.hosts import seconds_to_answer
from seedframe.mcp_server.lines import OVERSIZED, host_lines
from seedframe.mcp_server.progress import Context, Progress, QuestionPending, consents
from seedframe.mcp_server.roots import granted_roots, kept_roots, state_of
from seedframe.messages import Language, Message

if TYPE_CHECKING:
    from seedframe.mcp_server.image_resources import ImageResources
    from seedframe.settings import Settings
    from seedframe.studio.pipeline import Studio

log = logging.getLogger(__name__)

NAME = "seedframe"
INSTRUCTIONS = (
    "Seedframe makes and edits pictures with ByteDance Seedream (豆包 Seedream 5.5, 5.0, 4.5, 4.0): generate_image "
    "(文生图, 画图, 生成图片, draw, poster, product shot, storyboard keyframe 9:16), edit_image (图生图, 改图, 换装, "
    "combine photos), run_storyboard (分镜, 故事板: many shots as keyframes for video), style_prompt (free: word and "
    "check a prompt). Every picture costs the user money: use dry_run when in doubt. Write Chinese prose for 5.x, "
    "English keywords for 4.x. The full-size file is at the path in the text; the inline image is only a preview. "
    "Never repeat a call whose outcome is unknown without asking."
)
_GENERATING = frozenset({"generate_image", "edit_image"})
_CLAIM_LOOK_SECONDS = 0.5
_FIXED = ("tools/list", "prompts/list", "server/discover")
HOUR = CacheHint(ttl_ms=3_600_000, scope="public")

OUTSIDE = frozenset({"references.outside", "boards.board-outside", "boards.blocked"})
"""Errors that access to further folders may resolve."""

OpenStudio = Callable[[], "AbstractAsyncContextManager[Studio]"]


class AppContext:
    """What the server's calls share: the studio, opened by the first call that needs it."""

    def __init__(self, open_studio: OpenStudio) -> None:
        self._open_studio = open_studio
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._studio: Studio | None = None
        self.uploads = UploadDesk()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets that no answer may show; none before there are settings."""
        return self._studio.settings.secrets if self._studio else ()

    async def studio(self) -> Studio:
        """The one studio of this process."""
        async with self._opening:
            if self._studio is None:
                self._studio = await self._stack.enter_async_context(self._open_studio())
            return self._studio

    async def close(self) -> None:
        """Wait for paid calls in flight, then let go; being asked to end meanwhile does not cut the wait short."""
        closing = asyncio.ensure_future(self._close())
        while not closing.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(closing)
        closing.result()

    async def _close(self) -> None:
        await self.uploads.close()
        await self._stack.aclose()


def build_server(
    open_studio: OpenStudio, language: Language, settings: Settings | None = None, *, announces: bool = False
) -> Server[AppContext]:
    """The server object; the same one serves stdio, HTTP and in-memory clients.

    `settings` are those in force: the tools show their defaults and prices. None: those of a fresh installation.
    `announces`: whether its one connection lasts, so that a client can listen for changes of the lists.
    """
    from seedframe import __version__
    from seedframe.mcp_server import resources
    from seedframe.mcp_server.gallery_view import EXTENSION, GalleryView

    gallery = GalleryView(language)

    @asynccontextmanager
    async def lifespan(_server: Server[AppContext]) -> AsyncIterator[AppContext]:
        desk = AppContext(open_studio)
        try:
            yield desk
        finally:
            await desk.close()

    server = Server(
        NAME,
        version=__version__,
        title="Seedframe",
        instructions=INSTRUCTIONS,
        lifespan=lifespan,
        on_list_tools=_Lister(settings),
        on_call_tool=_Caller(language, gallery.images),
        on_list_resources=gallery.list_resources,
        on_list_resource_templates=gallery.list_templates,
        on_read_resource=gallery.read_resource,
        on_list_prompts=resources.list_prompts,
        on_get_prompt=resources.get_prompt,
        on_completion=gallery.complete,
        on_subscriptions_listen=gallery.images.listen_handler() if announces else None,
        cache_hints=dict.fromkeys((*_FIXED, *(() if announces else ("resources/list",))), HOUR),
    )
    server.extensions[EXTENSION] = {}
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=server.name))
    return server


def initialization_options(server: Server[Any]) -> InitializationOptions:
    """What a connection that lasts begins with."""
    return server.create_initialization_options(NotificationOptions(resources_changed=True))


async def serve_stdio(server: Server[AppContext]) -> None:
    """Serve until the host closes stdin or ends the process; paid calls are finished first, within a limit."""
    with host_lines() as lines:
        await _serve(server, anyio.wrap_file(cast("TextIO", lines)))


async def _serve(server: Server[AppContext], lines: anyio.AsyncFile[str]) -> None:
    async with stdio_server(stdin=lines) as (read, write):
        serving = asyncio.ensure_future(server.run(read, write, initialization_options(server)))
        reported_to_end = asyncio.Event()
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _end, serving, reported_to_end)
        try:
            await serving
        except asyncio.CancelledError:
            if not reported_to_end.is_set():
                raise
            # The thread that reads stdin cannot be interrupted: all is finished, so end the way the host asked.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)


def _end(serving: asyncio.Future[None], ended: asyncio.Event) -> None:
    ended.set()
    serving.cancel()


class _Lister:
    """`tools/list`: computed once, then the same for the life of the process."""

    def __init__(self, settings: Settings | None) -> None:
        self._settings = settings
        self._tools: list[t.Tool] | None = None

    async def __call__(self, _ctx: Context, _params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
        if self._tools is None:
            from seedframe.mcp_server.tools import tools

            self._tools = list(tools(self._settings))
        return t.ListToolsResult(tools=self._tools)


"""One attempt of a call: its arguments, and the folders its host granted."""


class _AfterClaim(Exception):
    """A defect after a payment was recorded, as `entry`."""

    def __init__(self, entry: str) -> None:
        super().__init__(entry)
        self.entry = entry


class _Caller:
    """`tools/call`: an error a smarter agent could have avoided is a result; an unknown tool is a protocol error."""

    def __init__(self, language: Language, images: ImageResources) -> None:
        self._language = language
        self._images = images

    async def __call__(self, ctx: Context, params: t.CallToolRequestParams) -> t.CallToolResult | t.InputRequiredResult:
        """The only exit of a tool: everything it returns is redacted."""
        from seedframe.mcp_server import content

        try:
            result = await self._answer(ctx, params)
        except QuestionPending as question:
            return question.result
        return content.redacted(result, ctx.lifespan_context.secrets)

    async def _answer(self, ctx: Context, params: t.CallToolRequestParams) -> t.CallToolResult:
        from seedframe.mcp_server import content

        try:
            return await self._call(ctx, params)
        except QuestionPending:
            raise
        except SeedreamError as error:
            return content.refusal(error, self._language, generating=params.name in _GENERATING)
        except MCPError:
            raise
        except Exception as error:
            reference = uuid.uuid4().hex[:8]
            log.exception("tool %s failed, reference %s", params.name, reference)
            entry = error.entry if isinstance(error, _AfterClaim) else None
            return content.defect(reference, entry, self._language)

    async def _call(self, ctx: Context, params: t.CallToolRequestParams) -> t.CallToolResult:
        from seedframe.limits import limits
        from seedframe.mcp_server.tools import PICTURE_TOOLS
        from seedframe.service.argument_size import too_long

        arguments = dict(params.arguments or {})
        if isinstance(size := (params.meta or {}).get(OVERSIZED), int):
            raise too_long(params.name, size, limits().argument_characters, "arguments")
        if params.name in PICTURE_TOOLS:
            return await self._make(ctx, params, arguments)
        if params.name == "style_prompt":
            return await self._style(ctx, arguments)
        if params.name == "run_storyboard":
            return await self._board(ctx, params, arguments)
        raise MCPError(t.INVALID_PARAMS, f"Unknown tool: {params.name}")

    async def _make(self, ctx: Context, params: t.CallToolRequestParams, arguments: dict[str, Any]) -> t.CallToolResult:
        studio = await ctx.lifespan_context.studio()
        progress = Progress(ctx, self._language, studio.settings.secrets)

        began = asyncio.get_running_loop().time()
        limit = seconds_to_answer(ctx, studio.settings)
        folder, uploads = studio.settings.output_dir, ctx.lifespan_context.uploads

        async def once(given: dict[str, Any], roots: tuple[Path, ...]) -> t.CallToolResult:
            claimed: list[str] = []
            named = await asyncio.to_thread(with_uploads, given, folder) if names_uploads(given) else given
            making = self._hand_over(ctx, studio, params.name, named, progress, roots, claimed)
            return await making if limit is None else await self._in_time(making, claimed, began, limit)

        async def upload(error: InvalidRequest) -> str | None:
            patience = WAIT_SECONDS if limit is None else min(WAIT_SECONDS, limit / 2)
            return await picture_handed_over(ctx, params, uploads, error, folder, self._language, patience)

        async with progress.beating():
            return await self._asking(ctx, params, arguments, WithUpload(once, upload, self._language))

    async def _board(
        self, ctx: Context, params: t.CallToolRequestParams, arguments: dict[str, Any]
    ) -> t.CallToolResult:
        from seedframe.mcp_server import storyboard_tool

        studio: Studio = await ctx.lifespan_context.studio()
        progress = Progress(ctx, self._language, studio.settings.secrets)

        async def once(given: dict[str, Any], roots: tuple[Path, ...]) -> t.CallToolResult:
            async def wider() -> Settings:
                granted = await granted_roots(ctx, params)
                return studio.settings.with_roots((*roots, *granted)) if granted else settings

            settings = studio.settings.with_roots(roots) if roots else studio.settings
            return await storyboard_tool.answer(given, settings, self._language, progress.report, wider)

        async with progress.beating():
            return await self._asking(ctx, params, arguments, once)

    async def _asking(
        self, ctx: Context, params: t.CallToolRequestParams, arguments: dict[str, Any], once: Once
    ) -> t.CallToolResult:
        """Call; where the host can resolve a refusal (a folder, the user's consent), ask it and call again.

        Both are asked for before anything is sent, so that calling again costs nothing.
        """
        roots = kept_roots(params)
        try:
            try:
                return await once(arguments, roots)
            except InvalidRequest as error:
                granted = await granted_roots(ctx, params) if error.message.key in OUTSIDE else ()
                if not granted:
                    raise
                roots = (*roots, *granted)
                return await once(arguments, roots)
        except ConfirmationNeeded as error:
            question = Message("server.may-pay", price=error.facts["price"]).text(self._language)
            if not await consents(ctx, params, question, state_of(roots, upload_state(params))):
                raise
            return await once({**arguments, "confirm_cost": True}, roots)

    async def _in_time(
        self, making: Coroutine[Any, Any, t.CallToolResult], claimed: list[str], began: float, limit: float
    ) -> t.CallToolResult:
        """Its result; or a ticket, once the host's time limit is near and something is paid."""
        from seedframe.mcp_server import content

        loop = asyncio.get_running_loop()
        call = asyncio.create_task(making)
        try:
            await asyncio.wait([call], timeout=max(0.0, began + limit - loop.time()))
            while not call.done() and not claimed:
                await asyncio.wait([call], timeout=_CLAIM_LOOK_SECONDS)
            if call.done():
                return call.result()
            return content.ticket(claimed[0], round(loop.time() - began), self._language)
        finally:
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    async def _hand_over(
        self,
        ctx: Context,
        studio: Studio,
        tool: str,
        arguments: dict[str, Any],
        progress: Progress,
        roots: tuple[Path, ...],
        claimed: list[str],
    ) -> t.CallToolResult:
        from seedframe.mcp_server import content

        try:
            async with studio.make(
                tool, arguments, report=progress.report, roots=roots, claimed=claimed.append
            ) as result:
                small = content.is_small(result)  # then a thread would cost more than the answer
                answering = partial(content.answer, result, self._language)
                answered = answering() if small else await asyncio.to_thread(answering)
                await self._images.add(ctx, result.pictures)
                return answered
        except SeedreamError:
            raise
        except Exception as error:
            if not claimed:
                raise
            raise _AfterClaim(claimed[0]) from error

    async def _style(self, ctx: Context, arguments: dict[str, Any]) -> t.CallToolResult:
        from seedframe.mcp_server import content
        from seedframe.studio import render
        from seedframe.studio.preview_prompt import preview_prompt

        studio = await ctx.lifespan_context.studio()
        preview = preview_prompt(arguments, studio.catalog, studio.settings)
        machine = render.machine_text(preview.as_dict(studio.settings.language))
        return content.plain(preview.styled.prompt + "\n" + machine)
