"""Signed links: addresses of one file, or of the files of one folder, of one caller, with an expiry time.

In: a caller's folder and a path in it. Out: `/files/<caller>/<expires>-<depth>-<signature>/<path>`. The signature
covers the caller, the expiry time and the first `depth` parts of the path, so that a page finds the pictures
beside it.
Never in here: who may ask for a link, how a file is sent.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

FILES = "/files"
_TICKET = re.compile(r"(\d{1,12})-(\d{1,2})-([A-Za-z0-9_-]{43})")


class LinkRefused(Exception):
    """A link that was not made here, was changed, or leads to a file that is not shown."""


class LinkExpired(Exception):
    """A valid link that has expired."""


@dataclass(frozen=True, slots=True)
class Links:
    """Makes and reads links; one is valid for `seconds`; `now` is in seconds since the epoch."""

    base: str
    key: bytes
    seconds: int
    now: Callable[[], float]

    def to(self, caller: str, root: Path, file: Path, *, scope: Path | None = None) -> str:
        """The address of a file inside `root`; with a `scope`, also of all other files of that folder."""
        parts = file.relative_to(root).parts
        depth = len(scope.relative_to(root).parts) if scope is not None else len(parts)
        expires = int(self.now()) + self.seconds
        ticket = f"{expires}-{depth}-{self._signature(caller, expires, parts[:depth])}"
        path = "/".join(quote(part) for part in parts)
        return f"{self.base}{FILES}/{caller}/{ticket}/{path}"

    def file(self, caller: str, ticket: str, path: str, root: Path) -> Path:
        """The file a link leads to. LinkRefused or LinkExpired; FileNotFoundError when it is gone."""
        parts = tuple(path.split("/"))
        found = _TICKET.fullmatch(ticket)
        if found is None or any(part in {"", ".", ".."} or part.startswith(".") or "\\" in part for part in parts):
            raise LinkRefused
        expires, depth = int(found[1]), int(found[2])
        if not 0 < depth <= len(parts):
            raise LinkRefused
        if not hmac.compare_digest(self._signature(caller, expires, parts[:depth]), found[3]):
            raise LinkRefused
        if expires < self.now():
            raise LinkExpired
        file = root.joinpath(*parts).resolve(strict=True)
        if not file.is_relative_to(root.resolve()) or not file.is_file():
            raise LinkRefused
        return file

    def _signature(self, caller: str, expires: int, scope: tuple[str, ...]) -> str:
        signed = "\n".join((caller, str(expires), *scope)).encode()
        digest = hmac.new(self.key, signed, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")
