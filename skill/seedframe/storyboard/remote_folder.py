"""A board whose folder stands for a place in an object store: `--out s3://bucket/film`.

In: a folder, the settings. Out: board, picks, manifest, sheet and sidecars brought here before they are read and stored
after they were written; for workers, the frames and references that a frame needs, and finished frames stored before
they count as done. Every function does nothing for a folder of this disk.
Never in here: a payment, the engine. Who may write a frame's object is decided by the payment record: a frame has one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PureWindowsPath
from typing import Any, TypeVar

from seedframe.errors import InvalidRequest, StoreError
from seedframe.messages import Message
from seedframe.object_places import ObjectPlace, local_folder, place_of, spelled
from seedframe.objects.mirror import PICTURES, SIDECAR, Mirror
from seedframe.private_files import make_private_folder
from seedframe.settings import Settings
from seedframe.storyboard.board_folder import BOARD_FILE, MANIFEST_FILE, SHEET_FILE, SHEET_PICTURE, THUMBNAILS
from seedframe.storyboard.folder_links import CARD_FILE
from seedframe.storyboard.frames import FrameTask
from seedframe.storyboard.handoff.request_file import INDEX_FILE, REQUESTS_FILE
from seedframe.storyboard.names import KEY
from seedframe.storyboard.picks import PICKS_FILE
from seedframe.storyboard.record.database import STATE_FOLDER
from seedframe.storyboard.types import Board, BoardPicture
from seedframe.studio.store import PARTS_FOLDER

T = TypeVar("T")
REFERENCES = "references"
CARD = f"{STATE_FOLDER}/{CARD_FILE}"
BROUGHT = (BOARD_FILE, PICKS_FILE, MANIFEST_FILE, CARD)
SENT = (CARD, BOARD_FILE, PICKS_FILE, REQUESTS_FILE, INDEX_FILE, SHEET_PICTURE, MANIFEST_FILE, SHEET_FILE)
PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Between tries of what is paid and only waits for the store."""

_FRAME = re.compile(rf"(?:.*_)?(?P<key>{KEY.pattern})_\d+x\d+(?:-\d+)?\.[a-z]+", re.DOTALL)
log = logging.getLogger(__name__)


def opened_folder(out: Path, settings: Settings, *, whole: bool = False) -> Path:
    """The absolute folder to work in. For a place: what is known of its board is brought here first.

    `whole`: pictures too, which prove what is done where this machine has no record of the run. InvalidRequest for what
    is no place; StoreError, NotConfigured.
    """
    try:
        folder = local_folder(out, settings.object_cache).absolute()
    except ValueError:
        got, example = spelled(out), "s3://bucket/prefix"
        raise InvalidRequest(
            Message("objects.no-place", got=got, allowed=example), field="out", got=got, allowed=example
        ) from None
    mirror = Mirror.of(folder, settings)
    if mirror is not None:
        mirror.refresh(BROUGHT)
        mirror.bring_all(lambda name: _is_sidecar(name) or name.startswith(f"{REFERENCES}/"))
        if whole:
            mirror.bring_all(lambda name: _FRAME.fullmatch(name) is not None)
    return folder


def send_board(out: Path, settings: Settings) -> None:
    """Store what was written about the board: the page last, since it shows what the others hold."""
    mirror = Mirror.of(out, settings)
    if mirror is None:
        return
    pages = sorted(path.name for path in out.glob("sheet-[0-9][0-9][0-9].html"))
    for name in (*pages, *SENT):
        if (out / name).is_file():
            mirror.send(out / name, replace=True)
    mirror.trim()


def bring_pictures(out: Path, settings: Settings) -> None:
    """Sidecars, and the pictures whose small copies for the sheet were not made here yet."""
    mirror = Mirror.of(out, settings)
    if mirror is None:
        return
    mirror.bring_all(_is_sidecar)
    drawn = (out / PARTS_FOLDER / THUMBNAILS).glob("*.jpg")
    small = {path.name.rpartition("-")[0].rpartition("-")[0] for path in drawn}
    mirror.bring_all(lambda name: (match := _FRAME.fullmatch(name)) is not None and match["key"] not in small)


def link_of(out: Path, settings: Settings) -> Callable[[Mapping[str, Any]], str] | None:
    """Links to the frames of a manifest; None where the folder stands for no place."""
    mirror = Mirror.of(out, settings)
    return None if mirror is None else lambda frame: mirror.link(out / str(frame["file"]))


def with_references(board: Board, out: Path, settings: Settings) -> Board:
    """The board with its reference pictures in the place, where every worker finds them; unchanged on this disk.

    What is no file here (an address, a missing picture) stays as it is.
    """
    mirror = Mirror.of(out, settings)
    if mirror is None:
        return board
    mirror.check()
    base = Path(board.folder or ".").absolute()

    def shared(picture: BoardPicture) -> BoardPicture:
        path = base / picture.path
        if "://" in picture.path or picture.path.startswith(("data:", "seedframe:")) or not path.is_file():
            return picture
        copied = _copied(path, out / REFERENCES)
        mirror.send(copied, replace=True)
        return replace(picture, path=str(copied))

    def all_of(elements: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(replace(one, pictures=tuple(map(shared, one.pictures))) for one in elements)

    return replace(
        board,
        characters=all_of(board.characters),
        products=all_of(board.products),
        scenes=all_of(board.scenes),
        props=all_of(board.props),
    )


class SharedFolders:
    """Folders as one worker sees them: places in its own cache, everything else as it is."""

    def __init__(self, settings: Settings, sleep: Callable[[float], Awaitable[Any]]) -> None:
        self._cache = settings.object_cache
        self._sleep = sleep

        def place(folder: Path) -> ObjectPlace:
            found = place_of(folder, settings.object_cache)
            assert found is not None
            return found

        self._mirror: Callable[[Path], Mirror] = cache(lambda folder: Mirror(place(folder), folder, settings))

    def local(self, folder: Path) -> Path:
        """The folder on this machine."""
        return local_folder(folder, self._cache)

    def is_remote(self, folder: Path) -> bool:
        """Whether the folder stands for a place."""
        return place_of(folder, self._cache) is not None

    async def inputs(
        self, task: FrameTask, made: Mapping[str, Path], folder: Path
    ) -> tuple[FrameTask, Mapping[str, Path]]:
        """The task and the frames it needs, with every file where this machine has it."""
        if not self.is_remote(folder):
            return task, made
        here = {key: folder / PureWindowsPath(path).name for key, path in made.items()}
        references = tuple(
            replace(one, path=str(folder / REFERENCES / PureWindowsPath(one.path).name))
            if one.path and PureWindowsPath(one.path).parent.name == REFERENCES
            else one
            for one in task.references
        )
        paths = [*here.values(), *(Path(one.path) for one in references if one.path)]
        names = [path.relative_to(folder).as_posix() for path in paths if path.is_relative_to(folder)]
        await self._patiently(self._bring, folder, names)
        return replace(task, references=references), here

    async def brought(self, files: Sequence[Path], folder: Path) -> None:
        """Return once what the store has of these files and their sidecars is here: another machine made them."""
        if self.is_remote(folder):
            names = [name for file in files for name in (file.name, file.name + SIDECAR)]
            await self._patiently(self._bring, folder, names)

    async def stored(self, picture: Path, originals: Sequence[Path], folder: Path) -> None:
        """Return once the store has the frame and its sidecar. Paid as it is, it waits for a store that is away."""
        if self.is_remote(folder):
            await self._patiently(self._send, picture, originals, folder)

    def _bring(self, folder: Path, names: Sequence[str]) -> None:
        self._mirror(folder).bring(names)

    def _send(self, picture: Path, originals: Sequence[Path], folder: Path) -> None:
        mirror = self._mirror(folder)
        mirror.send_picture(picture, *originals, replace=True)
        mirror.trim()

    async def _patiently(self, work: Callable[..., T], *given: Any) -> T:
        tries = 0
        while True:
            try:
                return await asyncio.to_thread(work, *given)
            except StoreError as error:
                pause = PAUSES[min(tries, len(PAUSES) - 1)]
                log.warning("%s", Message("objects.waits", pause=f"{pause:g}", why=error.message))
                tries += 1
                await self._sleep(pause)


def _is_sidecar(name: str) -> bool:
    return name.endswith(SIDECAR) and Path(name.removesuffix(SIDECAR)).suffix.lower() in PICTURES


def _copied(path: Path, folder: Path) -> Path:
    """A copy whose name tells its bytes, so that a changed reference is another file. StoreError."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        copy = make_private_folder(folder) / f"{digest}-{path.name}"
        if path.parent == folder or copy.exists():
            return path if path.parent == folder else copy
        return Path(shutil.copyfile(path, copy))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise StoreError(Message("store.cannot-write", path=folder, why=why)) from error
