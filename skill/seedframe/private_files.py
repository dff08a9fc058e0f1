"""Files and folders that only their owner may read: records, sidecars, boards. Pictures are not among them.

In: a path. Out: a folder or a file of mode 0700 or 0600, whatever the umask says; where the system knows no modes
(Windows), the folder's own rights hold. Never in here: what is written, a picture.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def make_private_folder(path: Path) -> Path:
    """The folder, made where it is missing, closed to others also where an older one was open. OSError as `mkdir`."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    _close_to_others(path, PRIVATE_FOLDER)
    return path


def make_private_file(path: Path) -> Path:
    """An empty file where there is none; an older one is closed to others and keeps its content.

    OSError where a symbolic link stands in its place.
    """
    # An older file is never opened: closing it would drop the POSIX locks by which SQLite, in this process, keeps
    # other processes from deleting a write-ahead log that is in use, and payments would be lost with it.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
    except FileExistsError:
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None
    _close_to_others(path, PRIVATE_FILE)
    return path


def open_private(path: str, flags: int) -> int:
    """An `opener` for `open()`: what it makes is private, and a symbolic link in its place is refused with OSError."""
    return os.open(path, flags | _NO_FOLLOW, PRIVATE_FILE)


def _close_to_others(path: Path, mode: int) -> None:
    # A folder of another user stays as that user wants it.
    with contextlib.suppress(PermissionError):
        if path.stat().st_mode & 0o077:
            path.chmod(mode)
