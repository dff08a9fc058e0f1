"""A fallback folder for pictures that arrive inline while their disk is full: they cannot be fetched again.

In: part files, complete or still growing. Out: the same parts on another disk: in the folder of the payment record, or
else in the system's temporary folder. Never in here: a picture that has an address (it can be fetched later), a price.
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
    """The fallback folders, in the order they are tried."""

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
                    continue  # other users share the temporary folder
                store = Store(folder)
                parts = store.parts(name)
                parts.mkdir(parents=True, exist_ok=True)
                yield store, parts

    def discard(self, name: str) -> None:
        """Remove all remaining parts of that name."""
        for folder in self.folders:
            store = Store(folder)
            if store.parts(name).exists():
                store.discard(store.parts(name))
                store.tidy()
            with contextlib.suppress(OSError):
                folder.rmdir()


@dataclass(slots=True)
class RescueParts(Parts):
    """Part files that move to a fallback folder when their disk is full, even in the middle of a picture."""

    places: RescuePlaces | None = None
    name: str = ""
    moved: dict[int | str, Path] = field(default_factory=dict)
    tried: dict[int, set[Path]] = field(default_factory=dict)

    def path(self, name: int | str) -> Path:
        """Where a part is now."""
        home = self.folder / f"{self.stem}-{name}.part"
        return self.moved.get(name, home)

    def write(self, pieces: Iterable[ImageChunk]) -> None:
        """Append decoded bytes. StoreError when every disk is full."""
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
        """The open file of a part; unbuffered, so that the number of bytes written is exact when a disk is full."""
        if part not in self._open:
            self._open[part] = self.path(part).open("ab", buffering=0)
        return self._open[part]

    def _move(self, part: int, refused: OSError) -> None:
        """Continue a part in the next fallback folder; raise the error again when there is none."""
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
