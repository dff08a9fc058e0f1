"""The pictures of a board's folder go to another tool: into its project, or into a new one.

In: a board, what became of its frames, a tool, a folder. Out: what was written, what was kept, what is missing, and
findings for everything the format has no place for. Never in here: a payment, the picture of a frame that is not done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from seedframe.errors import InvalidRequest, StoreError
from seedframe.messages import Message
from seedframe.storyboard.exchange import TOOLS, Project, ToolFormat
from seedframe.storyboard.exchange.losses import left_out
from seedframe.storyboard.exchange.project import Filling, Keyframe, NewProject, plain_json, table, write_json
from seedframe.storyboard.findings import BoardFinding
from seedframe.storyboard.frames import FrameResult
from seedframe.storyboard.handoff.manifest import chosen
from seedframe.storyboard.names import frame_slot
from seedframe.storyboard.types import Board

SHOTS_FILE = ".seedframe-shots.json"
"""In a project that an export has written: what each of its shots is called in the board."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did. `missing` are slots (`E01_SC01_SH010_ff`) that have no finished picture yet."""

    tool: str
    project: Path
    written: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()
    findings: tuple[BoardFinding, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """The same for machines; paths as text."""
        lists = {name: [str(one) for one in getattr(self, name)] for name in ("written", "kept", "missing")}
        found = [finding.as_json() for finding in self.findings]
        return {"tool": self.tool, "project": str(self.project), **lists, "findings": found}


@dataclass(frozen=True, slots=True)
class Source:
    """A board's folder as it stands: the board, its canonical dict, results, picks, and prompts by shot."""

    board: Board
    data: Mapping[str, Any]
    results: Mapping[str, FrameResult]
    picks: Mapping[str, str]
    out: Path
    prompts: Mapping[str, str]


def export_board(source: Source, tool: ToolFormat, into: Path, *, over: bool = False) -> Exported:
    """Fill the tool's project in `into`, or write a new one where there is none; `over` replaces pictures there.

    InvalidRequest when the project there has none of the board's shots; StoreError when a file cannot be written.
    """
    keyframes, missing = _keyframes(source)
    found = tool.find(into) if into.exists() else None
    project = _ours(tool.read(found)) if found else None
    findings: tuple[BoardFinding, ...] = ()
    if project is None:
        if into.is_file() or (into.is_dir() and any(into.iterdir())):
            raise InvalidRequest(
                Message("exchange.not-theirs", folder=into, tool=tool.name), field="into", got=str(into), allowed=None
            )
        project = _new(source, tool, into)
        findings = left_out(tool.name, source.data)
    elif strange := [shot.id for shot in source.board.shots if shot.id not in {one.id for one in project.shots}]:
        raise InvalidRequest(
            Message("exchange.other-board", folder=into, tool=tool.name, shots=", ".join(strange[:5])),
            field="into",
            got=strange[:10],
            allowed=[shot.id for shot in project.shots][:10],
        )
    filled = tool.fill(project, Filling(keyframes, over))
    return Exported(tool.name, project.source, filled.written, filled.kept, missing, findings)


def tool_named(name: str) -> ToolFormat:
    """The tool of a name, as typed."""
    if name not in TOOLS:
        raise InvalidRequest(Message("exchange.tool-unknown", got=name), field="to", got=name, allowed=sorted(TOOLS))
    return TOOLS[name]


def _new(source: Source, tool: ToolFormat, into: Path) -> Project:
    """A new project whose shots are the board's, one by one in story order."""
    try:
        project = tool.read(tool.write(NewProject(source.board, source.data, into, source.prompts)))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise StoreError(Message("store.cannot-write", path=into, why=why)) from error
    pairs = zip(project.shots, source.board.shots, strict=True)
    write_json(project.folder / SHOTS_FILE, {theirs.theirs: shot.id for theirs, shot in pairs})
    return _ours(project)


def _ours(project: Project) -> Project:
    """A project that was written from a board keeps the board's ids; in any other a shot's own number gives its id."""
    named = table(plain_json(project.folder / SHOTS_FILE))
    return replace(project, shots=tuple(replace(one, id=named.get(one.theirs, one.id)) for one in project.shots))


def _keyframes(source: Source) -> tuple[dict[str, Sequence[Keyframe]], tuple[str, ...]]:
    """The chosen picture of every frame by shot, and the slots that have none."""
    picked = {key: replace(one, picked=source.picks.get(_slot(key)) == key) for key, one in source.results.items()}
    found: dict[str, Sequence[Keyframe]] = {}
    missing: list[str] = []
    for shot in source.board.shots:
        takes = [(role, chosen(frame_slot(shot.id, role), picked.values())) for role in shot.frames]
        done = [Keyframe(role, source.out / take.path, asdict(take)) for role, take in takes if take and take.path]
        missing += [frame_slot(shot.id, role) for role, take in takes if not (take and take.path)]
        if done:
            found[shot.id] = done
    return found, tuple(missing)


def _slot(key: str) -> str:
    return key.rpartition("_v")[0]
