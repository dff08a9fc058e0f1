"""Folders a host grants to read from: asked for when a call names a file outside the configured ones.

In: a request context of either protocol era. Out: paths, or a pending question. The answer of the modern era comes
with the repeated call and is kept for its further rounds in the sealed request state. Never in here: reading a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import anyio
import mcp.types as t
from mcp import MCPError
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from seedframe.mcp_server.progress import Context, QuestionPending

ROOTS = "roots"
ANSWER_SECONDS = 5.0
LOCAL_HOSTS = frozenset({"", "localhost"})


def kept_roots(params: t.CallToolRequestParams) -> tuple[Path, ...]:
    """What an earlier round of this call was granted, with what its answer grants now."""
    given = (params.input_responses or {}).get(ROOTS)
    answered = _paths(given.roots) if isinstance(given, t.ListRootsResult) else ()
    return tuple(dict.fromkeys((*map(Path, _state(params)), *answered)))


def state_of(roots: tuple[Path, ...], more: Mapping[str, Any] | None = None) -> str:
    """What a further question of the same call must carry; `more` is what others keep there."""
    return json.dumps({**(more or {}), ROOTS: [str(root) for root in roots]})


async def granted_roots(ctx: Context, params: t.CallToolRequestParams) -> tuple[Path, ...]:
    """The folders this host grants; none where it cannot be asked or was asked before."""
    capabilities = ctx.session.client_capabilities
    if capabilities is None or capabilities.roots is None:
        return ()
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        if params.request_state is not None or ROOTS in (params.input_responses or {}):
            return ()
        asked: t.InputRequests = {ROOTS: t.ListRootsRequest()}
        raise QuestionPending(t.InputRequiredResult(input_requests=asked, request_state=state_of(())))
    if not ctx.session.can_send_request:
        return ()
    try:
        with anyio.fail_after(ANSWER_SECONDS):
            return _paths((await ctx.session.list_roots()).roots)
    except (MCPError, TimeoutError):  # a host that announces roots and gives none
        return ()


def _state(params: t.CallToolRequestParams) -> list[str]:
    """The roots in the request state, which is sealed and so our own."""
    if params.request_state is None:
        return []
    kept: list[str] = json.loads(params.request_state)[ROOTS]
    return kept


def _paths(roots: list[t.Root]) -> tuple[Path, ...]:
    """Folders of this machine; never a whole disk."""
    found = []
    for root in roots:
        parts = urlsplit(str(root.uri))
        path = Path(url2pathname(parts.path))
        if parts.scheme == "file" and parts.netloc in LOCAL_HOSTS and path.is_absolute() and path != Path(path.anchor):
            found.append(path)
    return tuple(found)
