"""The content of the sheet: scenes with their shots, keyframes and takes, and their start times.

In: a Board, results, findings, thumbnails. Out: plain values for the template, unescaped. Never in here: HTML, files.
"""

from __future__ import annotations

import base64
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from seedframe.storyboard.continuity import Cast, continuity_findings
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.frames import FrameResult, FrameTask, Status, frames_of
from seedframe.storyboard.handoff.manifest import check_board
from seedframe.storyboard.names import frame_slot
from seedframe.storyboard.types import Board, Element, Shot, Text

SIGNS: Mapping[Status, str] = MappingProxyType(
    {"planned": "·", "done": "□", "failed": "✕", "unknown": "?", "skipped": "–"}
)
DEFAULT_SECONDS = 4.0
"""How long the animatic shows a shot that has no duration."""


@dataclass(frozen=True, slots=True)
class SheetData:
    """A board with everything known about it."""

    board: Board
    results: Mapping[str, FrameResult]
    folder: Path | None
    stale: frozenset[str]
    findings: Mapping[str | None, Sequence[BoardFinding]]
    tasks: Mapping[str, Sequence[FrameTask]]
    starts: Mapping[str, float]
    cast: Cast

    @classmethod
    def of(
        cls, board: Board, results: Mapping[str, FrameResult], *, folder: Path | None, stale: frozenset[str]
    ) -> SheetData:
        """Tasks, findings and start times are computed once for the whole board."""
        tasks = {shot: list(found) for shot, found in groupby(frames_of(board), key=lambda task: task.shot)}
        return cls(board, results, folder, stale, _by_shot(board), tasks, dict(_starts(board)), Cast.of(board))

    def keys(self, shots: Iterable[Shot]) -> list[str]:
        """The frames of these shots."""
        return [task.key for shot in shots for task in self.tasks[shot.id]]

    def result(self, key: str) -> FrameResult:
        """The result of a frame; `planned` where nothing is known."""
        return self.results.get(key) or FrameResult(key)

    def findings_of(self, shot: str | None) -> list[dict[str, Any]]:
        """The findings about a shot, or about the whole board."""
        return [finding.as_json() for finding in self.findings.get(shot, ())]

    def summary(self) -> dict[str, Any]:
        """Counts, cost and running time of the whole board."""
        results = [self.result(key) for key in self.keys(self.board.shots)]
        slots = {frame_slot(task.shot, task.role) for tasks in self.tasks.values() for task in tasks}
        counts = Counter(result.status for result in results)
        return {
            "shots": len(self.board.shots),
            "frames": len(results),
            "statuses": [(status, counts[status]) for status in SIGNS if counts[status]],
            "picked": f"{sum(result.picked for result in results)}/{len(slots)}",
            "cost": costs(results) or "–",
            "seconds": sum(map(seconds, self.board.shots)),
            "untimed": any(shot.duration is None for shot in self.board.shots),
        }

    def index(self, pages_of: Mapping[str, str]) -> list[dict[str, Any]]:
        """Every scene of the board with its length, and the page it begins on."""
        return [
            {
                "number": number,
                "anchor": number,
                "page": pages_of[shots[0].id],
                "name": scene.name or scene.text if scene else None,
                "shots": len(shots),
                "start": self.starts[shots[0].id],
                "seconds": sum(map(seconds, shots)),
            }
            for number, scene, shots in self._by_scene(self.board.shots)
        ]

    def scenes(self, shots: Sequence[Shot], thumbnails: Mapping[str, bytes]) -> Iterator[dict[str, Any]]:
        """These shots by scene, in story order."""
        for number, scene, found in self._by_scene(shots):
            yield {
                "number": number,
                "name": scene.name or scene.text if scene else None,
                "text": scene.text if scene and scene.name else None,
                "shots": [self._shot(shot, thumbnails) for shot in found],
            }

    def _by_scene(self, shots: Iterable[Shot]) -> Iterator[tuple[str, Element | None, list[Shot]]]:
        for (number, name), found in groupby(shots, key=lambda shot: (shot.id.split("_SH")[0], shot.scene)):
            yield number, self.cast.scenes.get(name or ""), list(found)

    def _shot(self, shot: Shot, thumbnails: Mapping[str, bytes]) -> dict[str, Any]:
        tasks = self.tasks[shot.id]
        roles = groupby(tasks, key=lambda task: task.role)
        return {
            "id": shot.id,
            "number": shot.id.rsplit("_", 1)[-1],
            "title": shot.title,
            "duration": shot.duration,
            "seconds": seconds(shot),
            "start": self.starts[shot.id],
            "motion": shot.motion,
            "dialogue": shot.dialogue,
            "notes": shot.notes,
            "findings": self.findings_of(shot.id),
            "takes": len(tasks),
            "slots": [self._slot(shot, role, list(takes), thumbnails) for role, takes in roles],
        }

    def _slot(
        self, shot: Shot, role: str, tasks: Sequence[FrameTask], thumbnails: Mapping[str, bytes]
    ) -> dict[str, Any]:
        action = shot.last.get("action", shot.action) if role == "last" else shot.action
        return {
            "key": frame_slot(shot.id, role),
            "role": role,
            "action": action,
            "takes": [self._take(task, action, thumbnails.get(task.key)) for task in tasks],
        }

    def _take(self, task: FrameTask, action: Text | None, thumbnail: bytes | None) -> dict[str, Any]:
        result = self.result(task.key)
        size = f"{result.width}×{result.height}" if result.width and result.height else ""
        return {
            "key": task.key,
            "number": f"v{task.take:02}",
            "status": result.status,
            "sign": SIGNS[result.status],
            "picked": result.picked,
            "stale": task.key in self.stale,
            "picture": base64.b64encode(thumbnail).decode() if thumbnail else None,
            "alternative": f"{task.key}: {plain(action, 'en')}",
            "file": self._link(result.path),
            "measured": " · ".join(part for part in (size, costs([result])) if part),
            "prompt": result.prompt,
            "negative": result.negative,
            "made_by": " · ".join(part for part in (result.model, result.backend) if part),
            "findings": result.findings,
        }

    def _link(self, path: str | None) -> str | None:
        """A link to the picture on disk. The whole name is quoted, so that no path can become a script."""
        if path is None:
            return None
        try:
            shown = os.path.relpath(path, self.folder) if self.folder else path
        except ValueError:  # another drive of a Windows machine: there is no relative path
            shown = path
        return quote(Path(shown).as_posix())


def seconds(shot: Shot) -> float:
    """How long a shot plays."""
    return DEFAULT_SECONDS if shot.duration is None else shot.duration


def clock(time: float) -> str:
    """Seconds as `1:05`."""
    whole = round(time)
    return f"{whole // 60}:{whole % 60:02}"


def plain(text: Text | None, language: str) -> str:
    """A text of the board in this language, or in the one it has."""
    return "" if not text else text.get(language) or next(iter(text.values()))


def costs(results: Iterable[FrameResult]) -> str:
    """The sum by currency, `3.52 CNY`; empty when nothing was charged."""
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for result in results:
        if result.cost:
            spent[result.cost["currency"]] += Decimal(str(result.cost["amount"]))
    return " + ".join(f"{amount.normalize():f} {currency}" for currency, amount in sorted(spent.items()))


def _by_shot(board: Board) -> dict[str | None, list[BoardFinding]]:
    found: dict[str | None, list[BoardFinding]] = defaultdict(list)
    for finding in (*continuity_findings(board), *check_board(board)):
        found[finding.shot].append(finding)
    return found


def _starts(board: Board) -> Iterator[tuple[str, float]]:
    start = 0.0
    for shot in board.shots:
        yield shot.id, start
        start += seconds(shot)
