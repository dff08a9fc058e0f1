"""What lies in an output folder, read from its sidecars.

In: a folder of unknown origin. Out: a `Record` per picture that has a sidecar, newest first. Files are opened only
inside the folder, hidden ones and links out of it never. Never in here: pixels, the payment record, HTML.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path, PureWindowsPath
from typing import Any, BinaryIO

from seedframe.confined_files import NoFile, Outside, open_confined
from seedframe.redaction import redact

TYPES: Mapping[str, str] = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
"""What a browser shows, by the end of the file's name. No SVG: it can run scripts."""

SIDECAR = ".json"
LARGEST_SIDECAR = 1024 * 1024
MOST_RECORDS = 20_000
MOST_ENTRIES = 200_000
"""The most files read in one folder tree: an output folder that is a home folder must not take minutes."""


@dataclass(frozen=True, slots=True)
class Record:
    """A picture and its sidecar. `id` is derived from the file's path in the folder and does not reveal it."""

    id: str
    path: Path
    modified: float
    sidecar: Mapping[str, Any]

    @property
    def media_type(self) -> str:
        """By its name; browsers are asked not to guess."""
        return TYPES[self.path.suffix.lower()]


class Gallery:
    """The records of one folder. Sidecars that did not change since the last look are not read again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[Path, tuple[tuple[int, int], Record | None]] = {}
        self._records: dict[str, Record] = {}

    def records(self) -> list[Record]:
        """Everything made so far, newest first, at most `MOST_RECORDS`. An unreadable folder is an empty one."""
        seen: dict[Path, tuple[tuple[int, int], Record | None]] = {}
        for sidecar, state in _sidecars(self.folder):
            known = self._known.get(sidecar)
            seen[sidecar] = known if known and known[0] == state else (state, _record(sidecar, self.folder, state))
            if len(seen) >= MOST_RECORDS:
                break
        self._known = seen
        found = [record for _, record in seen.values() if record]
        found.sort(key=lambda record: (str(record.sidecar.get("created", "")), record.modified), reverse=True)
        self._records = {record.id: record for record in found}
        return found

    def record(self, id: str) -> Record | None:
        """The record of that id; None for a picture that is not there (any more)."""
        if id not in self._records:
            self.records()
        return self._records.get(id)

    def has(self, record: Record) -> bool:
        """Whether the picture is a regular file inside the folder."""
        try:
            self.open(record.path).close()
        except (NoFile, Outside, OSError):
            return False
        return True

    def open(self, path: Path) -> BinaryIO:
        """A file of the folder for reading; `NoFile` or `Outside` for any other."""
        return open_confined(path, [self.folder])

    def reference(self, shown: str) -> dict[str, str | None]:
        """A picture that a sidecar names: `{path, id}`; `id` is None where it is not one of this folder.

        A path from before the folder was moved is still understood, by its name.
        """
        for path in (Path(shown), self.folder / PureWindowsPath(shown).name):
            record = self._records.get(_id(path, self.folder))
            if record is not None:
                return {"path": str(record.path), "id": record.id}
        return {"path": shown, "id": None}


def describe_record(record: Record, gallery: Gallery) -> dict[str, Any]:
    """What a page shows of a picture, JSON-ready and bounded in kind: unknown or odd fields are left out."""
    sidecar = record.sidecar
    picture = _dict(sidecar.get("picture"))
    references = [gallery.reference(shown) for shown in _texts(sidecar.get("references"))]
    return {
        "id": record.id,
        "name": record.path.name,
        "path": str(record.path),
        "folder": record.path.parent.relative_to(gallery.folder).as_posix(),
        "width": _number(picture.get("width")),
        "height": _number(picture.get("height")),
        "bytes": _number(picture.get("bytes")),
        "ratio": _text(picture.get("ratio")),
        "handle": _text(picture.get("id")),
        "call": _text(sidecar.get("id")),
        "tool": _text(sidecar.get("tool")),
        "model": _text(sidecar.get("model")),
        "backend": _text(sidecar.get("backend")),
        "emulated": sidecar.get("emulated") is True,
        "created": _text(sidecar.get("created")),
        "prompt": _text(sidecar.get("prompt")),
        "negative": _text(sidecar.get("negative_prompt")),
        "seed": _number(sidecar.get("seed")),
        "price": price_of(sidecar),
        "currency": _text(_dict(sidecar.get("cost")).get("currency")),
        "notices": _notices(sidecar),
        "references": references,
        "variation": variation(sidecar, [reference["path"] for reference in references]),
    }


def price_of(sidecar: Mapping[str, Any]) -> str | None:
    """What one picture of the call cost, as a plain decimal; None where no price is known."""
    cost = _dict(sidecar.get("cost"))
    try:
        amount = Decimal(str(cost["amount"])) / max(1, int(cost.get("pictures") or 1))
    except (KeyError, ValueError, TypeError, InvalidOperation):
        return None
    return format(amount.quantize(Decimal("0.0001")).normalize(), "f") if amount.is_finite() else None


def variation(sidecar: Mapping[str, Any], images: Sequence[str | None]) -> dict[str, Any] | None:
    """The call that makes another picture of the same words: `{tool, arguments}`. It is shown, never made."""
    tool, prompt = sidecar.get("tool"), _text(sidecar.get("prompt"))
    if tool not in {"generate_image", "edit_image"} or not prompt:
        return None
    asked = _text(_dict(sidecar.get("frame")).get("ratio"))
    given = {
        "prompt": prompt,
        "images": list(images),
        "model": _text(sidecar.get("model")),
        "ratio": asked,
        "negative_prompt": _text(sidecar.get("negative_prompt")),
        "as_is": True,
    }
    return {"tool": tool, "arguments": {name: value for name, value in given.items() if value}}


def _sidecars(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Sidecars of pictures that are there, with their time and size; hidden folders and links are not entered."""
    left = MOST_ENTRIES
    for at, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        there = set(files)
        left -= len(files) + len(folders)
        if left < 0:
            return
        for name in files:
            if not name.startswith(".") and name + SIDECAR in there and Path(name).suffix.lower() in TYPES:
                sidecar = Path(at, name + SIDECAR)
                try:
                    state = sidecar.lstat()
                except OSError:
                    continue
                yield sidecar, (state.st_mtime_ns, state.st_size)


def _record(sidecar: Path, folder: Path, state: tuple[int, int]) -> Record | None:
    if state[1] > LARGEST_SIDECAR:
        return None
    try:
        with open_confined(sidecar, [folder]) as file:
            content = json.loads(file.read(LARGEST_SIDECAR))
    except (OSError, NoFile, Outside, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("seedframe") != 1:
        return None
    path = sidecar.with_name(sidecar.name.removesuffix(SIDECAR))
    return Record(_id(path, folder), path, state[0] / 1e9, redact(content, long_words=True))


def _id(path: Path, folder: Path) -> str:
    inside = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else f"/{path}"
    return hashlib.sha256(inside.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def _notices(sidecar: Mapping[str, Any]) -> list[str]:
    findings = sidecar.get("findings")
    found = [_text(_dict(one).get("message")) for one in findings] if isinstance(findings, list) else []
    return [*_texts(sidecar.get("warnings")), *(text for text in found if text)]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
