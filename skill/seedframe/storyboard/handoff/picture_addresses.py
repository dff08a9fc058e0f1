"""Where Seedance finds a frame: in the request itself, at a web address, or in its library of assets.

In: an image of a manifest's job with its frame. Out: a data URI, an https URL or `asset://…`; NoAddress where there is
none. A file goes out only with the bytes the manifest describes. Never in here: an upload, a request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from seedframe.errors import InvalidRequest
from seedframe.messages import Message
from seedframe.storyboard.board_folder import is_inside
from seedframe.storyboard.handoff.manifest import seedance

Frame = Mapping[str, Any]
"""A frame of a manifest: `key`, `file`, `sha256`, `mime` …"""

Addresses = Callable[[Frame], str]
LARGEST_MAPPING = 16 * 1024 * 1024


class NoAddress(Exception):
    """A frame cannot be sent. `message` says why, in both languages."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def inline(folder: Path) -> Addresses:
    """Data URIs of the files in a board's folder, each checked against its SHA-256."""

    def address(frame: Frame) -> str:
        path = folder / str(frame["file"])
        try:
            # A manifest may be anybody's: nothing outside the folder is read for it.
            content = path.read_bytes() if is_inside(path, folder) else None
        except OSError:
            content = None
        if content is None:
            raise NoAddress(Message("handoff.file-gone", path=path))
        if hashlib.sha256(content).hexdigest() != frame["sha256"]:
            raise NoAddress(Message("handoff.file-changed", path=path))
        return f"data:{frame['mime']};base64,{base64.b64encode(content).decode('ascii')}"

    return address


def below(base: str) -> Addresses:
    """URLs of files that lie under one web address, by their names. InvalidRequest for anything but http and https."""
    if not re.fullmatch(r"https?://[^/\s]+\S*", base):
        raise InvalidRequest(
            Message("handoff.url-base", got=base[:200]), field="url_base", got=base[:200], allowed="https://…"
        )
    return lambda frame: f"{base.rstrip('/')}/{quote(str(frame['file']))}"


def registered(path: Path) -> Addresses:
    """Ids from a JSON file: frame key or SHA-256 → `asset://…`. InvalidRequest where it is none."""
    known = _mapping(path)

    def address(frame: Frame) -> str:
        found = known.get(frame["key"]) or known.get(frame["sha256"])
        if found is None:
            raise NoAddress(Message("handoff.asset-missing", frame=frame["key"], path=path))
        return found

    return address


def _mapping(path: Path) -> dict[str, str]:
    pattern = re.compile(seedance()["requests"]["asset"])
    try:
        with path.open(encoding="utf-8") as file:
            known = json.loads(file.read(LARGEST_MAPPING))
    except (OSError, ValueError, RecursionError):
        known = None
    if isinstance(known, dict) and all(isinstance(id, str) and pattern.fullmatch(id) for id in known.values()):
        return known
    raise InvalidRequest(
        Message("handoff.assets-broken", path=path), field="assets", got=str(path), allowed='{"KEY": "asset://ID"}'
    )
