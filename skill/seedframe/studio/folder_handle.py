"""An open folder in which files are created: every name is resolved inside the folder that was opened.

In: a root that is ours and a folder below it. Out: a `Folder` to link, create and write in. A name below the root that
has become a link is refused, so that nothing is written outside. Where the system has no handles of folders, the
folder's real path is checked instead. Never in here: which names files get, what is in them.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from seedframe.confined_files import BY_HANDLE, open_folder

_NEW = os.O_CREAT | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_STAY = getattr(os, "O_NOFOLLOW", 0)
_LINKED = frozenset({errno.ELOOP, errno.ENOTDIR})
"""The errors of opening a folder that is a link: they differ by system, and on Linux a file gives the same."""


class Folder:
    """An open folder; `path` is where it lies. All errors are OSError."""

    def __init__(self, path: Path, handle: int | None) -> None:
        self.path = path
        self._handle = handle

    def has(self, name: str) -> bool:
        """Whether something has this name, even a broken link."""
        try:
            os.stat(self._at(name), dir_fd=self._handle, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def has_link(self, part: Path, name: str) -> bool:
        """Whether this name is a second name of that file."""
        try:
            found = os.stat(self._at(name), dir_fd=self._handle, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, part.stat())

    def link(self, part: Path, name: str) -> None:
        """A second name for a file; FileExistsError when the name is taken."""
        os.link(part, self._at(name), dst_dir_fd=self._handle)

    def move(self, part: Path, name: str) -> None:
        """Move a file of the same disk here; a file that has the name is replaced."""
        os.replace(part, self._at(name), dst_dir_fd=self._handle)

    def claim(self, name: str) -> None:
        """Take a name with an empty file; FileExistsError when it is taken."""
        os.close(os.open(self._at(name), _NEW | os.O_EXCL, 0o644, dir_fd=self._handle))

    def write(self, name: str, chunks: Iterable[bytes], part: str, mode: int = 0o666) -> None:
        """Write a file whole, under the name `part` until it is on the disk; an older one of that name is replaced."""
        descriptor = os.open(self._at(part), _NEW | os.O_TRUNC | _STAY, mode, dir_fd=self._handle)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(descriptor)
            os.replace(self._at(part), self._at(name), src_dir_fd=self._handle, dst_dir_fd=self._handle)
        except BaseException:
            self.remove(part)
            raise

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._handle)

    def flush(self) -> None:
        """Make new names durable where the system can."""
        if self._handle is not None:
            os.fsync(self._handle)

    def _at(self, name: str) -> str | Path:
        return name if self._handle is not None else self.path / name


@contextlib.contextmanager
def held(root: Path, folder: Path, real: Path) -> Iterator[Folder]:
    """The folder `folder` below `root`, made where it is missing. OSError (ELOOP) where a link is in the way.

    `real` is the path of `root` without links.
    """
    names = folder.relative_to(root).parts
    if not BY_HANDLE:
        folder.mkdir(parents=True, exist_ok=True)
        if Path(os.path.realpath(folder)) != real.joinpath(*names):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
        yield Folder(folder, None)
        return
    real.mkdir(parents=True, exist_ok=True)
    with _opened(real, names) as handle:
        yield Folder(folder, handle)


@contextlib.contextmanager
def _opened(root: Path, names: tuple[str, ...]) -> Iterator[int]:
    """The handle; errors name the folder that could not be opened."""
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(open_folder(root, names, make=True))
        except OSError as error:
            code = errno.ELOOP if error.errno in _LINKED else error.errno
            raise OSError(code, os.strerror(code or errno.EIO), str(root.joinpath(*names))) from None
        yield handle


def is_linked(error: OSError) -> bool:
    """Whether a folder could not be opened because a link or a file has its name."""
    return error.errno == errno.ELOOP
