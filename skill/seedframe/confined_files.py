"""Opening files only inside certain folders, and writing through handles of folders.

In: an untrusted path, and the folders it may be in. Out: an open file, checked after opening and not by
its name. Links are resolved first and not followed afterwards: a folder that becomes a link meanwhile leads nowhere.
Hidden files and folders are never opened. Never in here: which folders are allowed, what is in a file.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BY_HANDLE = os.open in os.supports_dir_fd and os.mkdir in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
"""Whether files are opened relative to an open folder. Windows cannot; there an open file stays where it is."""

_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_STAY = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = _READ | _STAY | getattr(os, "O_DIRECTORY", 0)
_FILE = _READ | _STAY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
"""Without waiting: a pipe that nobody writes to would never open."""


class Outside(Exception):
    """The path leads out of every allowed folder, or into a hidden one."""


class NoFile(Exception):
    """There is no regular file at the path, or its name cannot be one."""


@dataclass(frozen=True, slots=True)
class ConfinedPath:
    """The real place of a path: an allowed folder without links, and the names below it."""

    root: Path
    names: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The path without links."""
        return self.root.joinpath(*self.names)


def real_path(text: str, base: Path) -> Path:
    """The path in a text (from `base` where it is relative), links resolved; `NoFile` when it is not a path."""
    try:
        return Path(os.path.realpath(base / Path(text).expanduser()))
    except (OSError, ValueError, RuntimeError):  # a NUL, half a surrogate pair, the home of an unknown user
        raise NoFile(text) from None


def is_file(path: Path) -> bool:
    """Whether a regular file is there; a name no disk takes is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def locate(path: Path, roots: Sequence[Path]) -> ConfinedPath:
    """The real place of `path`. `NoFile` when nothing is there, `Outside` when it is in none of the `roots`."""
    try:
        real = Path(os.path.realpath(path, strict=True))
    except (OSError, ValueError):
        raise NoFile(path) from None
    for root in roots:
        base = Path(os.path.realpath(root))
        if real.is_relative_to(base):
            names = real.relative_to(base).parts
            if not any(name.startswith(".") for name in names):
                return ConfinedPath(base, names)
    raise Outside(path)


def open_confined(path: Path, roots: Sequence[Path]) -> BinaryIO:
    """Open a regular file inside one of the `roots` for reading. `NoFile` or `Outside` says why not."""
    place = locate(path, roots)
    if not place.names:
        raise NoFile(path)
    try:
        descriptor = _descend(place) if BY_HANDLE else _open_and_compare(place)
    except OSError:
        raise NoFile(path) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NoFile(path)
    return os.fdopen(descriptor, "rb")


def _descend(place: ConfinedPath) -> int:
    """Open name by name, each relative to the folder before it, without following links."""
    with open_folder(place.root, place.names[:-1]) as folder:
        return os.open(place.names[-1], _FILE, dir_fd=folder)


def _open_and_compare(place: ConfinedPath) -> int:
    """Open by name, then see that the name still leads to the very file that is open."""
    descriptor = os.open(place.path, _READ)
    with contextlib.suppress(OSError):
        same = os.path.samestat(os.fstat(descriptor), place.path.stat())
        if same and Path(os.path.realpath(place.path, strict=True)) == place.path:
            return descriptor
    os.close(descriptor)
    raise FileNotFoundError(place.path)


@contextlib.contextmanager
def open_folder(root: Path, names: Sequence[str] = (), *, make: bool = False) -> Iterator[int]:
    """Lend a handle of `root/names…`; neither `root` nor a name may be a link. OSError where one is, or is no folder.

    With `make`, folders that are missing are made. Only where `BY_HANDLE` is true.
    """
    handle = os.open(root, _FOLDER)
    try:
        for name in names:
            handle = _step(handle, name, make=make)
        yield handle
    finally:
        os.close(handle)


def _step(handle: int, name: str, *, make: bool) -> int:
    """The handle of a folder inside a folder; the outer one is closed unless this fails."""
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=handle)
    inner = os.open(name, _FOLDER, dir_fd=handle)
    os.close(handle)
    return inner
