"""Output folders that stand for a place in an object store, written `s3://bucket/film`.

In: a place as it is written, or a folder. Out: the local folder in which its files are made and kept for a while, and
the place back from such a folder: the folder's path says which place it is, on every machine below its own cache.
Never in here: a network, a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_PLACE = re.compile(r"s3:/{1,2}(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(?:/[^/]*)*)", re.DOTALL)
_PART = re.compile(r"[^\x00-\x1f\x7f\\:*?\"<>|]{1,120}")


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """A bucket and what the names of all objects begin with (no slash around it; may be empty)."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, ("s3:/", self.bucket, self.prefix)))

    def key(self, name: str) -> str:
        """The key of a file of that name, which may have folders in it."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def folder(self, cache: Path) -> Path:
        """The local folder of this place."""
        return cache.joinpath(self.bucket, *self.prefix.split("/")) if self.prefix else cache / self.bucket


def is_place(text: str | Path) -> bool:
    """Whether that is meant as a place in an object store. A `Path` of one has lost a slash, which does not matter."""
    return f"{spelled(text)}/".startswith("s3:/")


def read_place(text: str | Path) -> ObjectPlace:
    """The place of `s3://bucket/prefix`. ValueError for a bucket or a prefix that no store takes."""
    match = _PLACE.fullmatch(spelled(text).rstrip("/"))
    parts = [part for part in match["prefix"].split("/") if part] if match else []
    if match is None or not all(_PART.fullmatch(part) and part not in {".", ".."} for part in parts):
        raise ValueError(f"{text} is no s3://bucket/prefix")
    return ObjectPlace(match["bucket"], "/".join(parts))


def spelled(text: str | Path) -> str:
    """As a person writes it: a `Path` of a place has lost one slash."""
    if not isinstance(text, Path):
        return text
    return re.sub("^s3:/(?!/)", "s3://", text.as_posix())


def local_folder(path: Path, cache: Path) -> Path:
    """The folder to work in: a place's own below the cache, or the path itself. ValueError as `read_place`."""
    return read_place(path).folder(cache) if is_place(path) else path


def place_of(folder: Path, cache: Path) -> ObjectPlace | None:
    """The place that a folder below the cache stands for; None for any other folder."""
    try:
        parts = folder.relative_to(cache).parts
    except ValueError:
        return None
    return ObjectPlace(parts[0], "/".join(parts[1:])) if parts else None


def portable_folder(folder: Path, cache: Path) -> Path:
    """The folder as other machines understand it: the place it stands for, or itself."""
    place = place_of(folder, cache)
    return folder if place is None else Path(str(place))
