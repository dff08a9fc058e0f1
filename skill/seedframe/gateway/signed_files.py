"""Signed addresses of finished pictures: nobody can guess one, and each is valid for a day.

In: a file's path. Out: a signed address with the path and its expiry time; and the path of an address.
Never in here: a file that was not signed by this installation, a list of files.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

PREFIX = "/files/"
LIFE_SECONDS = 86_400
"""The service keeps its own results as long."""


class SignedFiles:
    """Makes and checks addresses under `PREFIX`; `root` is where pictures usually lie. `now` is in seconds."""

    def __init__(self, secret: bytes, root: Path, now: Callable[[], float]) -> None:
        self._secret, self._root, self._now = secret, root.absolute(), now

    def path_of(self, path: Path) -> str:
        """The address of a file, without scheme and host."""
        ends = int(self._now()) + LIFE_SECONDS
        shown = path.relative_to(self._root) if path.is_relative_to(self._root) else path
        named = base64.urlsafe_b64encode(os.fsencode(shown)).decode("ascii").rstrip("=")
        return f"{PREFIX}{ends}/{self._signature(named, ends)}/{named}/{quote(path.name)}"

    def file(self, address: str) -> Path | None:
        """The file behind an address or its path; None for one that is not ours, was changed or has expired."""
        parts = urlsplit(address).path.removeprefix(PREFIX).split("/")
        if not urlsplit(address).path.startswith(PREFIX) or len(parts) != 4 or not parts[0].isdecimal():
            return None
        ends, signature, named, _ = parts
        good = hmac.compare_digest(signature.encode(), self._signature(named, int(ends[:12])).encode())
        if not good or int(ends[:12]) < self._now():
            return None
        try:
            path = self._root / Path(os.fsdecode(base64.urlsafe_b64decode(named + "=" * (-len(named) % 4))))
        except (binascii.Error, ValueError):
            return None
        return path if path.is_file() else None

    def _signature(self, named: str, ends: int) -> str:
        return hmac.new(self._secret, f"{ends}/{named}".encode(), hashlib.sha256).hexdigest()
