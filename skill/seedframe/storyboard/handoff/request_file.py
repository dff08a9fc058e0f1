"""The file with one Seedance request a line, and the index that says which line is which shot.

In: `VideoRequest`s one by one, a path. Out: `requests.jsonl`, whose every line is a whole body, and `requests.json`;
each file appears whole or not at all. Never in here: what a body holds, more than one body in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from seedframe.errors import StoreError
from seedframe.messages import Message
from seedframe.private_files import open_private
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.handoff.requests import VideoRequest
from seedframe.studio.store import Store

REQUESTS_FILE, INDEX_FILE = "requests.jsonl", "requests.json"
INDEX_SCHEMA = "seedframe/requests/1"


@dataclass(frozen=True, slots=True)
class WrittenRequests:
    """What was written. `lines` are shot ids in the order of the lines; `path` None where no shot could be sent."""

    path: Path | None
    lines: tuple[str, ...]
    left_out: tuple[str, ...]
    findings: tuple[BoardFinding, ...]

    def as_json(self) -> dict[str, Any]:
        """`{schema, requests, lines: [{line, shot}], left_out, findings}`."""
        return {
            "schema": INDEX_SCHEMA,
            "requests": None if self.path is None else str(self.path),
            "lines": [{"line": number, "shot": shot} for number, shot in enumerate(self.lines, 1)],
            "left_out": list(self.left_out),
            "findings": [finding.as_json() for finding in self.findings],
        }


def write_requests(requests: Iterable[VideoRequest], out: Path, *, now: datetime) -> WrittenRequests:
    """Write both files into a board's folder. StoreError where the disk refuses; older files of the names are replaced.

    Where no shot can be sent, older files are removed: nobody shall send what no longer holds.
    """
    path = out / REQUESTS_FILE
    part = path.with_name(f".{path.name}.part")
    try:
        written = _write(requests, path, part)
        if written.path is None:
            part.unlink()
            path.unlink(missing_ok=True)
        else:
            part.replace(path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise StoreError(Message("store.cannot-write", path=path, why=why)) from error
    Store(out).write_json(out / INDEX_FILE, {**written.as_json(), "written_at": now.isoformat(timespec="seconds")})
    return written


def _write(requests: Iterable[VideoRequest], path: Path, part: Path) -> WrittenRequests:
    lines: list[str] = []
    left_out: list[str] = []
    findings: list[BoardFinding] = []
    with open(part, "w", encoding="utf-8", newline="\n", opener=open_private) as file:
        for request in requests:
            findings += request.findings
            if request.body is None:
                left_out.append(request.shot)
                continue
            file.write(json.dumps(request.body, ensure_ascii=False) + "\n")
            lines.append(request.shot)
    return WrittenRequests(path if lines else None, tuple(lines), tuple(left_out), tuple(findings))
