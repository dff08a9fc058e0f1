"""Keeps the steps of a paid call while its record cannot be written: one small file per call, beside the record.

In: steps that could not be recorded. Out: the same steps later, for the record. Where the folder of the record cannot
be written either, the file is in a private folder of the system's temporary one.
Never in here: the record itself, a decision, a key. Addresses for downloading are in it: only its owner may read it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from seedframe.payments.entries import Entry
from seedframe.payments.money import micro
from seedframe.redaction import redact

_PRIVATE_FOLDER = 0o700
_PRIVATE = 0o600
_MONEY = ("amount", "held")


@dataclass(slots=True)
class SpooledFacts:
    """The steps of one entry that are not in the record; `row` recreates the entry where the record is a new one."""

    id: str
    owner: str
    row: Mapping[str, Any]
    steps: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    path: Path | None = None

    def text(self) -> str:
        """JSON."""
        content = {"seedframe_spool": 1, "id": self.id, "owner": self.owner, "row": self.row, "steps": self.steps}
        return json.dumps(content, default=_plain)


class Spool:
    """The files of one record. Used by the record's own thread only."""

    def __init__(self, record: Path, owner: str, secrets: Iterable[str]) -> None:
        self._folders = (record.with_name(f"{record.name}.spool"), _temporary(record))
        self._owner = owner
        self._secrets = tuple(secrets)
        self._own: dict[str, SpooledFacts] = {}

    def add(self, entry: Entry, delivery: Mapping[str, Any] | None, step: str, given: Mapping[str, Any]) -> Path:
        """Store a step. OSError when no folder can be written; it is then kept in memory until the process ends."""
        document = self._own.get(entry.id)
        if document is None:
            document = self._own[entry.id] = SpooledFacts(entry.id, self._owner, self._row(entry, delivery))
        document.steps.append((step, self._safe(given)))
        return self._write(document)

    def holds(self, id: str) -> bool:
        """Whether this entry has spooled steps."""
        return id in self._own

    def exists(self) -> bool:
        """Whether there may be anything to enter; quick enough to ask before every call."""
        return bool(self._own) or any(folder.exists() for folder in self._folders)

    def waiting(self) -> list[SpooledFacts]:
        """Every spooled document: of this process and of others."""
        own = [*self._own.values()]
        known = {document.path for document in own}
        return own + [document for document in self._files() if document.path not in known]

    def forget(self, document: SpooledFacts) -> None:
        """Delete a document that the record has now."""
        self._own.pop(document.id, None)
        if document.path is None:
            return
        with contextlib.suppress(OSError):
            document.path.unlink(missing_ok=True)
            document.path.parent.rmdir()

    def put_aside(self, document: SpooledFacts) -> None:
        """Set aside a document that the record refuses for good: it is kept for a person and not tried again."""
        self._own.pop(document.id, None)
        if document.path is not None:
            with contextlib.suppress(OSError):
                document.path.rename(document.path.with_suffix(".refused"))

    def _row(self, entry: Entry, delivery: Mapping[str, Any] | None) -> dict[str, Any]:
        names = ("id", "fingerprint", "owner", "backend", "model", "images", "currency", "created", "board", "frame")
        return {
            **{name: getattr(entry, name) for name in names},
            "price": None if entry.price is None else micro(entry.price),
            "reserved": micro(entry.reserved),
            "day": entry.day.isoformat(),
            "request": json.dumps(redact(entry.request, self._secrets)),
            "delivery": None if delivery is None else json.dumps(redact(delivery, self._secrets)),
        }

    def _safe(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As the record would store it: everything redacted but the address, which is what the file is for."""
        return {
            name: value if name == "address" or isinstance(value, Decimal) else redact(_listed(value), self._secrets)
            for name, value in given.items()
        }

    def _write(self, document: SpooledFacts) -> Path:
        refused: OSError | None = None
        for folder in self._folders:
            try:
                path = _written(folder, document)
            except OSError as error:
                refused = refused or error
                continue
            if document.path not in {None, path}:
                with contextlib.suppress(OSError):
                    assert document.path is not None
                    document.path.unlink()
            document.path = path
            return path
        assert refused is not None
        raise refused

    def _files(self) -> Iterator[SpooledFacts]:
        for folder in self._folders:
            if not _is_ours(folder):
                continue
            for path in sorted(folder.glob("*.json")):
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError, ArithmeticError):
                    yield _read(path)


def _written(folder: Path, document: SpooledFacts) -> Path:
    """The file, whole or not at all."""
    folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
    if not _is_ours(folder):
        raise PermissionError(f"{folder} belongs to somebody else")
    path = folder / f"{document.id}.json"
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(document.text())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return path


def _read(path: Path) -> SpooledFacts:
    content = json.loads(path.read_text(encoding="utf-8"))
    steps = [(str(name), _with_money(given)) for name, given in content["steps"]]
    return SpooledFacts(str(content["id"]), str(content["owner"]), dict(content["row"]), steps, path)


def _with_money(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Decimal(value) if name in _MONEY and value is not None else value for name, value in given.items()}


def _temporary(record: Path) -> Path:
    name = hashlib.sha256(str(record.absolute()).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"seedframe-spool-{name}"


def _is_ours(folder: Path) -> bool:
    """Whether no other user can have put files there: anybody may write to a temporary folder."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return mine and folder.is_dir() and not folder.is_symlink()


def _listed(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else value


def _plain(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else list(value)
