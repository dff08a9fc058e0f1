"""Another place for pictures that came inline and find no room where they belong: they cannot be fetched again.

In: parts that are arriving, or have arrived. Out: the same parts on a disk that takes them: the folder of the payment
record, or else the system's temporary folder. Never in here: a picture that has an address (it waits there), a price.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from seedframe.service.base64_stream import ImageChunk
from seedframe.service.response_stream import Parts, disk_full
from seedframe.studio.store import Store

RESCUED = "rescued"


@dataclass(frozen=True, slots=True)
class RescuePlaces:
    """The folders that take what the output folder does not, in the order they are tried."""

    folders: tuple[Path, ...]

    @classmethod
    def beside(cls, record: Path) -> RescuePlaces:
        """The user's data folder, which is the payment record's, then the temporary one."""
        user = getattr(os, "getuid", lambda: "user")()
        return cls((record.parent / RESCUED, Path(tempfile.gettempdir()) / f"seedframe-{user}" / RESCUED))

    def stores(self, name: str) -> Iterator[tuple[Store, Path]]:
        """Each store that can be opened, with its folder for parts of that name."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
                    continue  # a temporary folder is everybody's
                store = Store(folder)
                parts = store.parts(name)
                parts.mkdir(parents=True, exist_ok=True)
                yield store, parts

    def discard(self, name: str) -> None:
        """Remove whatever parts of that name are left."""
        for folder in self.folders:
            store = Store(folder)
            if store.parts(name).exists():
                store.discard(store.parts(name))
                store.tidy()
            with contextlib.suppress(OSError):
                folder.rmdir()


@dataclass(slots=True)
class RescueParts(Parts):
    """Parts that move to a spare place in the middle of a picture when their disk is full."""

    places: RescuePlaces | None = None
    name: str = ""
    moved: dict[int | str, Path] = field(default_factory=dict)
    tried: dict[int, set[Path]] = field(default_factory=dict)

    def path(self, name: int | str) -> Path:
        """Where a part is now."""
        home = self.folder / f"{self.stem}-{name}.part"
        return self.moved.get(name, home)

    def write(self, pieces: Iterable[ImageChunk]) -> None:
        """Append decoded bytes. StoreError when no disk takes them."""
        for piece in pieces:
            try:
                self._append(piece)
            except OSError as error:
                raise disk_full(self.folder, error) from error

    def _append(self, piece: ImageChunk) -> None:
        rest = piece.data
        while True:
            try:
                file = self._file(piece.part)
                while rest:
                    rest = rest[file.write(rest) :]
                break
            except OSError as error:
                self._move(piece.part, error)
        if piece.broken:
            self.broken.add(piece.part)
        if piece.last:
            self._open.pop(piece.part).close()

    def _file(self, part: int) -> BinaryIO:
        """The open file of a part; unbuffered, so that what is written is known to the byte when a disk says no."""
        if part not in self._open:
            self._open[part] = self.path(part).open("ab", buffering=0)
        return self._open[part]

    def _move(self, part: int, refused: OSError) -> None:
        """What has arrived of a part goes on elsewhere; the error again when there is nowhere."""
        if part in self._open:
            self._open.pop(part).close()
        here, tried = self.path(part), self.tried.setdefault(part, set())
        for _, folder in self.places.stores(self.name) if self.places else ():
            there = folder / here.name
            if folder in tried:
                continue
            tried.add(folder)
            try:
                if here.exists():
                    shutil.copyfile(here, there)
            except OSError:
                there.unlink(missing_ok=True)
                continue
            here.unlink(missing_ok=True)
            self.moved[part] = there
            return
        raise refused
