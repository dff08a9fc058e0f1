"""Stage 5, the disk: the only module that writes pictures. Names, atomic writes, sidecars.

In: finished part files and the content of their sidecars. Out: paths. A file appears whole or not at all, and an
existing file is never overwritten. Everything is synchronous; callers run it in threads.
Never in here: pixels, a network, a price.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from seedframe.errors import InvalidRequest, StoreError
from seedframe.messages import Message
from seedframe.private_files import PRIVATE_FILE, make_private_folder
from seedframe.studio.folder_handle import Folder, held, is_linked

PARTS_FOLDER = ".seedframe"
LEFTOVER_SECONDS = 86_400.0
EXTENSIONS = {"jpeg": ".jpg", "tiff": ".tif"}
_PICTURE_SUFFIX = re.compile(r"\.(jpe?g|png|webp|gif|tiff?|bmp)$", re.IGNORECASE)
_UNSAFE = re.compile(r'[\x00-\x1f<>:"|?*\\/]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST_NAME = 120
_MOST_FOLDERS = 16
_JSON = json.JSONEncoder(ensure_ascii=False, indent=2)


@dataclass(frozen=True, slots=True)
class Saved:
    """A picture on disk."""

    path: Path
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Seal:
    """Checksum and length of a part file that has been flushed to the disk."""

    sha256: str
    bytes: int


class Store:
    """Pictures of one output folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real: Path | None = None

    def prepare(self, name: str = "") -> Path:
        """The folder for parts, on the same disk as the pictures; StoreError when it cannot be made.

        With a `name` the folder belongs to one entry: another process that tidies up does not remove it.
        """
        folder = self.parts(name)
        self._real_root()
        with _translate_errors(self.root):
            try:
                self._make(folder)
            except FileNotFoundError:  # another process removed the empty parent between our two steps
                self._make(folder)
        return folder

    def parts(self, name: str) -> Path:
        """The folder for parts of that name; it may not exist."""
        return self.root / PARTS_FOLDER / name

    def _make(self, folder: Path) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        make_private_folder(self.parts(""))
        make_private_folder(folder)

    def stem(self, save_as: str | None, fallback: str) -> Path:
        """Where the pictures of a request go, without number and extension; InvalidRequest when it leads outside."""
        wanted = _PICTURE_SUFFIX.sub("", save_as.strip()) if save_as else fallback
        parts = [part for part in re.split(r"[/\\]+", wanted) if part not in {"", "."}]
        absolute = wanted.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", wanted) is not None
        if absolute or ".." in parts or not parts or any(part.startswith(".") for part in parts):
            raise _outside(save_as, self.root)
        if len(parts) > _MOST_FOLDERS:
            raise _too_deep(len(parts))
        *folders, name = (_safe_name(part) for part in parts)
        root = Path(os.path.realpath(self.root))
        folder = Path(os.path.realpath(root.joinpath(*folders)))
        if not folder.is_relative_to(root):
            raise _outside(save_as, self.root)
        # Links inside the output folder are resolved now, since none is followed when the picture is saved.
        return self.root / folder.relative_to(root) / name

    def seal(self, part: Path) -> Seal:
        """Flush a finished part to the disk and return its checksum. Others may read it meanwhile."""
        with _translate_errors(part):
            digest, size = _hash(part)
            _flush(part)
            return Seal(digest, size)

    def commit(self, part: Path, stem: Path, format: str, seal: Seal | None = None) -> Saved:
        """Give a finished part its name. Taken names get -2, -3 …; the bytes are on the disk when this returns."""
        seal = seal or self.seal(part)
        with _translate_errors(stem):
            try:
                path = self._commit(part, stem, format)
            except OSError as error:
                if not is_linked(error) or stem.parent == self.root:
                    raise
                # A link or a file is in the folder's place. The picture is paid: save it in the output folder itself.
                path = self._commit(part, self.root / stem.name, format)
            return Saved(path, seal.bytes, seal.sha256)

    def _commit(self, part: Path, stem: Path, format: str) -> Path:
        with self._held(stem.parent) as folder:
            path = _link_free(part, folder, stem.name, EXTENSIONS.get(format, f".{format}"))
            with contextlib.suppress(PermissionError):
                folder.flush()
            return path

    def _held(self, folder: Path) -> AbstractContextManager[Folder]:
        return held(self.root, folder, self._real_root())

    def _real_root(self) -> Path:
        """The real path of the output folder at its first use; StoreError when it now leads elsewhere."""
        real = Path(os.path.realpath(self.root))
        if self._real is None:
            self._real = real
        if real != self._real:
            raise StoreError(
                Message("store.leads-elsewhere", path=self.root, was=self._real, now=real),
                advice=Message("store.leads-elsewhere-advice"),
            )
        return real

    def write_sidecar(self, picture: Path, content: Mapping[str, Any]) -> Path:
        """The JSON beside a picture."""
        return self.write_json(picture.with_suffix(picture.suffix + ".json"), content)

    def write_json(self, path: Path, content: Mapping[str, Any]) -> Path:
        """A JSON file, whole or not at all; an older one of the same name is replaced. It is encoded while written."""
        return self._write(path, chain(_JSON.iterencode(content), "\n"))

    def write_text(self, path: Path, text: str) -> Path:
        """A text file that only its owner can read, whole or not at all."""
        return self._write(path, [text])

    def _write(self, path: Path, text: Iterable[str]) -> Path:
        with _translate_errors(path), self._held(path.parent) as folder:
            chunks = (chunk.encode() for chunk in text)
            folder.write(path.name, chunks, f".{path.name}.{os.getpid()}.part", PRIVATE_FILE)
            return path

    def discard(self, folder: Path) -> None:
        """Remove a folder for parts with everything in it."""
        try:
            folder.rmdir()
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self, now: float) -> None:
        """Remove parts of killed processes: older than a day, which no call takes."""
        for folder in (self.root / PARTS_FOLDER).glob("*/"):
            with contextlib.suppress(OSError):
                if now - folder.stat().st_mtime > LEFTOVER_SECONDS:
                    self.discard(folder)

    def tidy(self) -> None:
        """Remove the folder for parts when nothing is in it."""
        with contextlib.suppress(OSError):
            (self.root / PARTS_FOLDER).rmdir()


def slug(words: str) -> str:
    """A short file name out of a prompt's first words; Chinese stays Chinese."""
    plain = unicodedata.normalize("NFKC", words).lower()
    kept = re.sub(r"[^\w]+", "-", plain, flags=re.UNICODE).strip("-_")
    return kept[:40].rstrip("-_") or "picture"


def _safe_name(part: str) -> str:
    clean = _UNSAFE.sub("-", unicodedata.normalize("NFC", part)).strip(" .") or "picture"
    clean = clean.encode("utf-8")[:_LONGEST_NAME].decode("utf-8", "ignore")
    return f"_{clean}" if _RESERVED.fullmatch(clean) else clean


def _outside(save_as: str | None, root: Path) -> InvalidRequest:
    return InvalidRequest(
        Message("store.outside", got=save_as, root=root),
        field="save_as",
        got=save_as,
        allowed="name or folder/name",
        advice=Message("store.outside-advice"),
    )


def _too_deep(got: int) -> InvalidRequest:
    return InvalidRequest(
        Message("store.too-deep", got=got, allowed=_MOST_FOLDERS), field="save_as", got=got, allowed=_MOST_FOLDERS
    )


def _hash(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def _link_free(part: Path, folder: Folder, stem: str, extension: str) -> Path:
    """Link the part to the first free name, which never replaces a file; move where the disk knows no links.

    The part stays where it can. A name that it has already, from a process that was killed, is its name.
    """
    number = 1
    while True:
        name = f"{stem}{extension}" if number == 1 else f"{stem}-{number}{extension}"
        number += 1
        if folder.has_link(part, name):
            return folder.path / name
        if folder.has(f"{name}.json"):
            continue
        try:
            folder.link(part, name)
        except FileExistsError:
            continue
        except OSError:
            if not _claim(folder, name):
                continue
            try:
                folder.move(part, name)
            except OSError:
                folder.remove(name)  # no empty file may remain under a picture's name
                raise
            return folder.path / name
        return folder.path / name


def _claim(folder: Folder, name: str) -> bool:
    """Reserve a name on a disk without hard links."""
    try:
        folder.claim(name)
    except FileExistsError:
        return False
    return True


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    """Turn errors of the disk into StoreError."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise StoreError(
            Message("store.cannot-write", path=path, why=why), advice=Message("store.cannot-write-advice")
        ) from error
