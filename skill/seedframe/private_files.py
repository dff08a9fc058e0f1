"""Files and folders that only their owner may read: records, sidecars, boards. Pictures are not among them.

In: a path. Out: a folder or a file of mode 0700 or 0600, whatever the umask says; where the system has no modes
(Windows), the rights of the folder apply. Never in here: what is written (but for random secrets), a picture.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
SECRET_BYTES = 32
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


def kept_secret(path: Path) -> bytes:
    """The random secret in that file, made on first use; OSError when it cannot be made, or is not a secret of ours."""
    path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    try:
        with open(path, "xb", opener=open_private) as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    secret = path.read_bytes()
    if len(secret) != SECRET_BYTES:
        raise OSError(f"{path} is not a secret of {SECRET_BYTES} bytes; remove it and start again")
    return secret


def open_private(path: str, flags: int) -> int:
    """An `opener` for `open()`: new files are private, and a symbolic link in their place raises OSError."""
    return os.open(path, flags | _NO_FOLLOW, PRIVATE_FILE)


def _close_to_others(path: Path, mode: int) -> None:
    # The folder of another user keeps its mode.
    with contextlib.suppress(PermissionError):
        if path.stat().st_mode & 0o077:
            path.chmod(mode)
