"""Finds the file a name refers to: relative paths, and paths that exist only in the sandbox of a chat.

In: a name as an agent wrote it, the folders to search. Out: the path, or InvalidRequest that says what to do.
Never in here: whether that path may be read (see `references`), a picture's bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from seedframe.errors import InvalidRequest
from seedframe.messages import Message

LATEST = "latest"
"""In place of a path: the last picture that was made."""

SANDBOX = re.compile(r"(?:sandbox:|attachment:|/mnt/(?:user-data|data|uploads)(?:/|$)|/home/(?:claude|oai|sandbox)/)")
"""Where chat hosts such as Claude and ChatGPT keep uploads; only that chat can read them."""


def places(output: Path) -> tuple[Path, ...]:
    """Where a relative path is looked up: the working folder, while there is one, then the output folder."""
    try:
        return (Path.cwd(), output)
    except OSError:
        return (output,)


def candidates(wanted: str, folders: Sequence[Path]) -> tuple[str, ...]:
    """The paths a name may refer to, in the order they are tried; absolute paths, `~` and URLs stay as they are."""
    if "://" in wanted or wanted.startswith("~") or Path(wanted).is_absolute():
        return (wanted,)
    return tuple(os.path.join(folder, wanted) for folder in folders)  # noqa: PTH118  # an odd name must not raise here


def find(wanted: str, folders: Sequence[Path]) -> str:
    """The first candidate that exists, else the name as given. InvalidRequest for a path inside a chat."""
    for path in candidates(wanted, folders):
        if os.path.isfile(path):  # noqa: PTH113  # False for a name no path can have
            return path
    if SANDBOX.match(wanted):
        raise InvalidRequest(
            Message("shapes.sandbox", got=wanted[:200]),
            field="images",
            got=wanted[:200],
            allowed="path on this machine, https URL, data URI, seedframe: id, latest",
            advice=Message("shapes.sandbox-advice"),
        )
    return wanted
