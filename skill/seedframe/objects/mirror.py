"""A local folder and the place in an object store that it stands for, kept the same.

In: files of the folder. Out: objects of the same names, and files brought back; links. A picture is stored before its
sidecar, so that a sidecar in the store proves a picture there. Old pictures leave the folder once they are proven to
be stored and the folders of all places together are over their limit. Everything blocks; callers use threads.
Never in here: a payment, which names a picture gets.
"""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from seedframe.errors import StoreError
from seedframe.messages import Message
from seedframe.object_places import ObjectPlace, place_of
from seedframe.objects.bucket import Bucket
from seedframe.private_files import make_private_folder, open_private
from seedframe.settings import Settings

SIDECAR = ".json"
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"})
MEGABYTE = 1_000_000
HIDDEN = ".seedframe"
DOWNLOADS = 8


class Mirror:
    """One folder and its place."""

    def __init__(self, place: ObjectPlace, folder: Path, settings: Settings) -> None:
        self.place = place
        self.folder = folder
        self._cache = settings.object_cache
        self._all = settings.object_cache / place.bucket
        self._most = settings.object_cache_mb * MEGABYTE
        self._bucket = Bucket(place, settings)

    @classmethod
    def of(cls, folder: Path, settings: Settings) -> Self | None:
        """The mirror of a folder that stands for a place; None for any other folder. NotConfigured without obstore."""
        place = place_of(folder, settings.object_cache)
        return None if place is None else cls(place, folder, settings)

    def send(self, path: Path, *, replace: bool = False, name: str | None = None) -> None:
        """Store one file under its name in the folder, or under `name`. StoreError: it is still here, and not there."""
        try:
            content = path.read_bytes()
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise StoreError(Message("objects.cannot-read", path=path, why=why)) from error
        mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self._bucket.put(self._key(path, name), content, mime, replace=replace)

    def send_picture(self, path: Path, *originals: Path, replace: bool = False) -> None:
        """Store a picture with what belongs to it: originals first, then the picture, its sidecar last."""
        for file in (*originals, path):
            self.send(file, replace=replace)
        sidecar = path.with_name(path.name + SIDECAR)
        if sidecar.is_file():
            self.send(sidecar, replace=True)

    def bring(self, names: Iterable[str]) -> None:
        """Files that are missing here, from the store; what is not there either stays missing."""
        for name in names:
            path = self.folder / name
            if not path.exists() and (content := self._bucket.get(self.place.key(name))) is not None:
                self._write(path, content)

    def refresh(self, names: Iterable[str]) -> None:
        """Files as the store has them, also where an older one is here; what is not in the store stays as it is."""
        for name in names:
            content = self._bucket.get(self.place.key(name))
            if content is not None:
                self._write(self.folder / name, content)

    def bring_all(self, wanted: Callable[[str], bool]) -> None:
        """Every file of the place whose name is `wanted` and that is missing here or has another length."""

        def differs(name: str, size: int) -> bool:
            path = self.folder / name
            return not (path.is_file() and path.stat().st_size == size)

        names = [name for name, size in self.names().items() if wanted(name) and differs(name, size)]
        with ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="objects") as pool:
            for _ in pool.map(lambda name: self.refresh([name]), names):
                pass

    def names(self) -> dict[str, int]:
        """What is in the place: names as in the folder, and lengths. Names that would lead out of it are left out."""
        start = f"{self.place.prefix}/" if self.place.prefix else ""
        found = ((one.key.removeprefix(start), one.bytes) for one in self._bucket.listed(start))
        return {name: size for name, size in found if _is_inside(name)}

    def address(self, path: Path) -> str:
        """The web address of a file's object, without a signature."""
        return self._bucket.address(self._key(path, None))

    def link(self, path: Path) -> str:
        """A link to a file's object that opens without keys for some days."""
        return self._bucket.link(self._key(path, None))

    def check(self) -> None:
        """StoreError where the store cannot be written to: asked before anything is paid."""
        self._bucket.put(self.place.key(f"{HIDDEN}/writable"), b"seedframe\n", "text/plain", replace=True)

    def trim(self) -> None:
        """Remove the oldest pictures of this bucket from the cache until all of it is within the limit.

        Only such as the store has whole, with their sidecars.
        """
        kept = sorted(_pictures(self._cache), key=lambda one: one[0])
        total = sum(size for _, size, _ in kept)
        for _, size, path in kept:
            if total <= self._most:
                return
            if path.is_relative_to(self._all) and self._is_stored(path.relative_to(self._all).as_posix(), size):
                path.unlink(missing_ok=True)
                total -= size

    def _is_stored(self, key: str, size: int) -> bool:
        there = self._bucket.head(key)
        return there is not None and there.bytes == size and self._bucket.head(key + SIDECAR) is not None

    def _key(self, path: Path, name: str | None) -> str:
        inside = path.is_relative_to(self.folder)
        return self.place.key(name or (path.relative_to(self.folder).as_posix() if inside else path.name))

    def _write(self, path: Path, content: bytes) -> None:
        part = path.with_name(f".{path.name}.part")
        try:
            make_private_folder(path.parent)
            with open(part, "wb", opener=open_private) as file:
                file.write(content)
            part.replace(path)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise StoreError(Message("store.cannot-write", path=path, why=why)) from error


def _is_inside(name: str) -> bool:
    parts = name.split("/")
    return all(part not in {"", ".", ".."} and "\\" not in part and ":" not in part for part in parts)


def _pictures(cache: Path) -> list[tuple[float, int, Path]]:
    """Age, length and path of every picture in the cache; none of what is still being made.

    Other workers make and remove files and folders meanwhile: what is gone when it is reached is left out.
    """
    found = []
    for folder, folders, names in os.walk(cache):
        folders[:] = [name for name in folders if name != HIDDEN]
        for path in (Path(folder, name) for name in names):
            if path.suffix.lower() in PICTURES and not path.is_symlink():
                with suppress(OSError):
                    status = path.stat()
                    found.append((status.st_mtime, status.st_size, path))
    return found
