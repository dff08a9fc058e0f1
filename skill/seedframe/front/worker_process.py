"""A process that outlives the one that starts it: in its own session, and no descendant of a process a host may kill.

In: the arguments of a command line and an environment. Out: its pipes and, at its end, its exit code; for the worker
itself, its parent. Never in here: what a worker does, a signal.

Where the system can fork, the worker forks once at its start and goes on in the child, which is not among the
descendants of the host's process. Its exit code therefore comes through a socket. On Windows it is a direct child
in a process group of its own, outside the host's job where the host allows that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import subprocess

INTERRUPTED = b"i"
"""The byte a parent sends when its user pressed Ctrl-C once."""

_parents: list[Parent] = []
_CAN_FORK = hasattr(os, "fork")
_START = """import sys
if {place!r} not in sys.path: sys.path.insert(0, {place!r})
from seedframe.__main__ import work
work({channel}, {arguments!r})
"""
_BREAKAWAY, _NEW_GROUP, _NO_WINDOW = 0x01000000, 0x00000200, 0x08000000


class WorkerProcess:
    """A started worker, as its parent sees it."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket | None) -> None:
        self._process = process
        self._channel = channel
        self._code: int | None = None
        self.stdin: IO[bytes] | None = process.stdin
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdout: IO[bytes] = process.stdout
        self.stderr: IO[bytes] = process.stderr

    def interrupt(self) -> None:
        """Pass on that the user pressed Ctrl-C; OSError when the worker has ended."""
        if self._channel is not None:
            self._channel.sendall(INTERRUPTED)

    def exit_code(self) -> int:
        """Wait for its end. 1 when it did not report any."""
        if self._code is None:
            self._code = self._process.wait() if self._channel is None else self._reported(self._channel)
        return self._code

    def _reported(self, channel: socket.socket) -> int:
        self._process.wait()
        said = b""
        with suppress(OSError):  # it was killed while bytes of ours were unread
            while piece := channel.recv(16):
                said += piece
        return said[-1] if said else 1


class Parent:
    """The process that started this worker, as the worker sees it."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel

    def report_end(self, code: int) -> None:
        """Report how this process ends; a parent that is gone receives nothing."""
        with suppress(OSError):
            self.channel.sendall(bytes([code & 0xFF]))


def start(arguments: Sequence[str], environ: Mapping[str, str], *, stdin: int | None) -> WorkerProcess:
    """Start the program with these arguments in another process; `stdin` as `subprocess.Popen` takes it."""
    return _started_apart(arguments, environ, stdin) if _CAN_FORK else _started_on_windows(arguments, environ, stdin)


def detach(channel: int | None) -> Parent | None:
    """Called first in a worker: leave the process tree, and connect to the parent through the socket."""
    if channel is None:
        return None
    if os.fork():
        os._exit(0)
    import socket

    parent = Parent(socket.socket(fileno=channel))
    _parents.append(parent)
    return parent


def parent() -> Parent | None:
    """The parent of this worker; None in any other process."""
    return _parents[0] if _parents else None


def _command(arguments: Sequence[str], channel: int | None) -> list[str]:
    """`-P`: a folder in the working folder that is named like a module is not imported."""
    place = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    return [sys.executable, "-P", "-c", _START.format(place=place, channel=channel, arguments=list(arguments))]


def _started_apart(arguments: Sequence[str], environ: Mapping[str, str], stdin: int | None) -> WorkerProcess:
    import socket
    import subprocess

    ours, theirs = socket.socketpair()
    process = subprocess.Popen(  # noqa: S603
        _command(arguments, theirs.fileno()),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environ),
        pass_fds=[theirs.fileno()],
        start_new_session=True,
    )
    theirs.close()
    return WorkerProcess(process, ours)


def _started_on_windows(arguments: Sequence[str], environ: Mapping[str, str], stdin: int | None) -> WorkerProcess:
    import subprocess

    def started(flags: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603
            _command(arguments, None),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            creationflags=flags,
        )

    try:
        return WorkerProcess(started(_NEW_GROUP | _NO_WINDOW | _BREAKAWAY), None)
    except OSError:  # the host's job allows no breakaway
        return WorkerProcess(started(_NEW_GROUP | _NO_WINDOW), None)
