"""Who works here: the name of this machine and of each process on it that makes frames.

In: the path of the journal (what a machine knows about its paid calls is in it). Out: a name that stays the same over
restarts, held by a file lock for as long as the process lives, however it ends.
Never in here: a process id or a host name as evidence; hosts share names, ids are used again.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from seedframe.private_files import make_private_folder

SLOTS = 64
_ODD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class WorkerId:
    """One working process: the machine's name, its number there, and both together, which is unique anywhere."""

    machine: str
    slot: int

    @property
    def executor(self) -> str:
        """The name the engine knows it by."""
        return f"{self.machine}-{self.slot}"


class Machine:
    """The machine of a journal and its seats."""

    def __init__(self, call_payments: Path) -> None:
        self._folder = call_payments.with_name(f"{call_payments.name}.workers")
        make_private_folder(self._folder)
        host = _ODD.sub("-", platform.node().lower()).strip("-")[:24] or "host"
        self.name = f"{host}-{_identity(self._folder / 'machine')}"

    @contextlib.contextmanager
    def worker_id(self) -> Iterator[WorkerId]:
        """The first free seat, held for the length of the block."""
        for slot in range(SLOTS):
            with self.empty(slot) as free:
                if free:
                    yield WorkerId(self.name, slot)
                    return
        raise OSError(f"{SLOTS} workers on one machine")

    @contextlib.contextmanager
    def empty(self, slot: int) -> Iterator[bool]:
        """Whether nobody sits there; if so, nobody can sit down during the block."""
        lock = FileLock(self._folder / f"{slot}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


def _identity(path: Path) -> str:
    """A random name, made once; whoever is second takes the first one's."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii")
    part = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    part.write_text(secrets.token_hex(5), encoding="ascii")
    try:
        os.link(part, path)
    except FileExistsError:
        return path.read_text(encoding="ascii")
    except OSError:  # a disk without hard links
        part.replace(path)
        return path.read_text(encoding="ascii")
    finally:
        part.unlink(missing_ok=True)
    return path.read_text(encoding="ascii")
