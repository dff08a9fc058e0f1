"""A request's body, read within a limit: JSON, or a form whose pictures go to files.

In: a Starlette request and a folder for its files. Out: a dictionary and paths. Never in here: what a field means.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from seedframe.errors import InvalidRequest
from seedframe.messages import Message

MOST_BYTES = 100_000_000
"""One request with its pictures: 14 references of 5 MB as base64. Larger pictures are better sent as addresses."""

_MOST_FILES = 16
_MOST_FIELDS = 100
_FIELD_BYTES = 70_000_000
_LARGE = 256_000
_PIECE = 1 << 20


def is_form(request: Request) -> bool:
    """Whether the body comes as a form, as OpenAI's `images.edit` sends it."""
    return request.headers.get("content-type", "").startswith(("multipart/", "application/x-www-form-urlencoded"))


async def json_body(request: Request) -> dict[str, Any]:
    """The object in a JSON body. InvalidRequest for anything else."""
    content = await request.body()
    try:
        body = await asyncio.to_thread(json.loads, content) if len(content) > _LARGE else json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise InvalidRequest(Message("gateway.no-json"), field="body", got="?", allowed="JSON object")
    return body


@asynccontextmanager
async def form_body(request: Request, folder: Path) -> AsyncIterator[tuple[dict[str, Any], tuple[Path, ...]]]:
    """The fields of a form and the files of its pictures, which lie in `folder`."""
    try:
        form = await request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=_FIELD_BYTES)
    except (MultiPartException, AssertionError) as error:
        wanted = "multipart/form-data"
        raise InvalidRequest(Message("gateway.no-form"), field="body", got="?", allowed=wanted) from error
    try:
        fields: dict[str, Any] = {}
        paths: list[Path] = []
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name == "mask":
                    fields[name] = "file"
                    continue
                paths.append(await _stored(value, folder / f"upload-{len(paths) + 1}"))
            elif name in fields and name.startswith("image"):
                fields[name] = [*_as_list(fields[name]), value]
            else:
                fields[name] = value
        yield fields, tuple(paths)
    finally:
        await form.close()


async def _stored(upload: UploadFile, path: Path) -> Path:
    with path.open("wb") as file:
        while piece := await upload.read(_PIECE):
            await asyncio.to_thread(file.write, piece)
    return path


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
