"""The frames a board asks for, in story order, and their results.

In: a Board, and the takes already picked. Out: FrameTask per keyframe and take, with brief, references and the keys of
the frames it has to wait for; FrameResult is how a run reports each. Never in here: sizes in pixels, prices, prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Literal

from seedframe.storyboard.briefs import brief_of
from seedframe.storyboard.continuity import Cast, ShotReference, references
from seedframe.storyboard.mentions import with_arrivals
from seedframe.storyboard.names import frame_key
from seedframe.storyboard.types import Board, Role, Shot
from seedframe.studio.types import Trust

Status = Literal["planned", "done", "failed", "unknown", "skipped"]
NO_PICKS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FrameTask:
    """One picture to make. `brief` is JSON-ready for the styler; `depends_on` are keys of frames made before it."""

    key: str
    shot: str
    role: Role
    take: int
    brief: Mapping[str, Any]
    references: tuple[ShotReference, ...] = ()
    depends_on: tuple[str, ...] = ()
    model: str | None = None
    ratio: str = "9:16"
    size: str | None = None
    resolution: str | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class FrameResult:
    """The result of a frame: `path` is the exact frame, `raw_path` the service's own bytes when they differ from it.

    `findings` are JSON: `{code, severity, message: {en, zh} or text}`; `cost` is `{amount, currency}`.
    """

    key: str
    status: Status = "planned"
    path: str | None = None
    raw_path: str | None = None
    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    mime: str | None = None
    sha256: str | None = None
    prompt: str | None = None
    negative: str | None = None
    model: str | None = None
    backend: str | None = None
    cost: Mapping[str, Any] | None = None
    findings: tuple[Mapping[str, Any], ...] = field(default=())
    trust: Trust | None = None
    picked: bool = False


def frames_of(board: Board, picks: Mapping[str, str] = NO_PICKS) -> tuple[FrameTask, ...]:
    """Every keyframe and take of the board, in story order: a frame never comes before one it depends on.

    `picks` maps a slot (`E01_SC01_SH010_ff`) to the picked key, which then serves as previous frame instead of v01.
    """
    cast = Cast.of(board)
    # The picks may be from another board, or from an older state of this one.
    known = (
        {frame_key(shot.id, role, take) for shot in board.shots for role in shot.frames for take in _numbers(shot)}
        if picks
        else set()
    )
    picks = {slot: key for slot, key in picks.items() if key in known and key.rpartition("_v")[0] == slot}
    return tuple(
        task for shot in board.shots for role in shot.frames for task in _takes(board, cast, shot, role, picks)
    )


def _takes(board: Board, cast: Cast, shot: Shot, role: Role, picks: Mapping[str, str]) -> Iterator[FrameTask]:
    if role == "last":
        elements = {"characters": board.characters, "products": board.products, "props": board.props}
        shot = with_arrivals(shot, elements)
    inputs = tuple(_located(board, item) for item in references(cast, shot, role, picks))
    brief = brief_of(board, cast, shot, role, inputs)
    seed = board.seed if shot.seed is None else shot.seed
    for take in _numbers(shot):
        yield FrameTask(
            key=frame_key(shot.id, role, take),
            shot=shot.id,
            role=role,
            take=take,
            brief=brief,
            references=inputs,
            depends_on=tuple(item.frame for item in inputs if item.frame),
            model=shot.model or board.model,
            ratio=board.ratio,
            size=board.size,
            resolution=board.resolution,
            seed=None if seed is None else seed + take - 1,
        )


def _numbers(shot: Shot) -> range:
    return range(1, shot.takes + 1)


def _located(board: Board, reference: ShotReference) -> ShotReference:
    """A relative path starts at the board's folder; URLs and absolute paths stay as they are."""
    path = reference.path
    if path is None or board.folder is None or "://" in path or path.startswith("data:"):
        return reference
    return replace(reference, path=str(PurePath(board.folder) / path))
