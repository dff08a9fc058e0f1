"""A paid command of the CLI: a worker process does it, so that ending this process loses no picture.

In: the arguments of the command line. Out: the worker's output and exit code, unchanged. The first Ctrl-C is passed on:
the worker ends where nothing was sent, or says that the call goes on. The second, SIGTERM and SIGHUP end this process
at once, as any other signal may. Never in here: what a command does.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from seedframe.front.spinner import Spinner
from seedframe.front.worker_process import WorkerProcess, start

INTERRUPTED = 130
_PIECE = 65_536


def run(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command with these arguments; returns its exit code."""
    from threading import Thread

    worker = start(words, environ, stdin=None)
    spinner = Spinner(sys.stderr.fileno() if sys.stderr.isatty() else None)
    _Signals(worker, spinner, environ).install()
    streams = ((worker.stdout, sys.stdout.fileno()), (worker.stderr, sys.stderr.fileno()))
    copying = [Thread(target=_copy, args=(source, target, spinner), daemon=True) for source, target in streams]
    for thread in copying:
        thread.start()
    with spinner:
        for thread in copying:
            thread.join()
    return worker.exit_code()


def _copy(source: IO[bytes], target: int, spinner: Spinner) -> None:
    """Copy to the end; once nobody reads any more, discard."""
    reading = True
    while piece := os.read(source.fileno(), _PIECE):
        try:
            if reading:
                spinner.write(target, piece)
        except OSError:
            reading = False


class _Signals:
    """The signals of a person, a shell or a closing terminal."""

    def __init__(self, worker: WorkerProcess, spinner: Spinner, environ: Mapping[str, str]) -> None:
        self._worker, self._spinner, self._environ = worker, spinner, environ
        self._interrupted = False

    def install(self) -> None:
        """Handle signals from now on."""
        for kind, act in (
            (signal.SIGINT, self._interrupt),
            (signal.SIGTERM, self._leave),
            (signal.SIGHUP, self._leave),
        ):
            signal.signal(kind, act)

    def _interrupt(self, kind: int, _frame: Any) -> None:
        if self._interrupted:
            self._say_left()
            os._exit(INTERRUPTED)
        self._interrupted = True
        with suppress(OSError):
            self._worker.interrupt()

    def _leave(self, kind: int, _frame: Any) -> None:
        self._say_left()
        signal.signal(kind, signal.SIG_DFL)
        signal.raise_signal(kind)

    def _say_left(self) -> None:
        from seedframe.messages import Message
        from seedframe.settings import language_of

        text = Message("leaving.left").text(language_of(self._environ)) + "\n"
        with suppress(OSError):  # the terminal is gone
            self._spinner.write(sys.stderr.fileno(), text.encode())
