"""A run in a process of its own: started, known to be at it, heard of afterwards.

In: a board file and its folder. Out: a process that outlives us and a log; one run of a folder at a time.
Never in here: the engine, a protocol, a wait.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from seedframe.errors import InvalidRequest
from seedframe.messages import Message
from seedframe.private_files import make_private_file, make_private_folder, open_private
from seedframe.settings import Settings
from seedframe.storyboard.folder_links import check_folder
from seedframe.studio.store import PARTS_FOLDER

LOG_FILE = "run.log"
LOCK_FILE = "run.lock"
STARTING_FILE = "run.starting"
START_SECONDS = 60.0
"""A process that was started and has not begun after this long never will."""

TAIL = 2_000


@contextmanager
def only_run(out: Path) -> Iterator[None]:
    """One run of a folder at a time on this machine; InvalidRequest while another one is at it."""
    check_folder(out)
    lock = _lock(out)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InvalidRequest(Message("boards.running", out=out), field="out", got=str(out), allowed=None) from None
    try:
        _starting(out).unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def is_running(out: Path) -> bool:
    """Whether a run of this machine is at it, or about to be."""
    if not (out / PARTS_FOLDER).is_dir():
        return False
    check_folder(out)
    return _is_starting(out) or _is_locked(out)


def _is_starting(out: Path) -> bool:
    try:
        return time.time() - _starting(out).stat().st_mtime < START_SECONDS
    except OSError:
        return False


def _is_locked(out: Path) -> bool:
    lock = _lock(out)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def _starting(out: Path) -> Path:
    return out / PARTS_FOLDER / STARTING_FILE


def _lock(out: Path) -> FileLock:
    folder = out / PARTS_FOLDER
    folder.parent.mkdir(parents=True, exist_ok=True)
    make_private_folder(folder)
    return FileLock(folder / LOCK_FILE)


def start_detached(arguments: Sequence[str], out: Path, settings: Settings) -> Path:
    """`seedframe storyboard …` in a process of its own that outlives this one; returns its log.

    It gets our variables and nothing of our stdin and stdout, which belong to a protocol.
    """
    log = out / LOG_FILE
    apart: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        apart = {"creationflags": 0x00000008 | 0x00000200}  # DETACHED_PROCESS, CREATE_NEW_PROCESS_GROUP
    mark = _starting(out)
    check_folder(out)
    make_private_folder(mark.parent)
    token = uuid.uuid4().hex
    for path, text in ((mark, token), (log, "")):
        make_private_file(path).write_text(text, encoding="ascii")
    with open(log, "w", encoding="utf-8", opener=open_private) as file:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "seedframe", "--backend", settings.backend, "storyboard", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=dict(settings.environ),
            **apart,
        )

    def note_its_end() -> None:
        """Or it would stay a zombie for as long as we live, and one that never began would seem about to."""
        process.wait()
        with suppress(OSError):
            if mark.read_text(encoding="ascii") == token:
                mark.unlink()

    threading.Thread(target=note_its_end, daemon=True).start()
    return log


def log_tail(out: Path) -> str:
    """The last words of a detached run."""
    try:
        with (out / LOG_FILE).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""
