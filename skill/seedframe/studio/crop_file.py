"""Crops any local picture with the code that frames results.

In: a local picture and a ratio or a frame. Out: a new file beside it (or where asked) and what was done.
Never in here: the service, money.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seedframe import images
from seedframe.errors import InvalidRequest
from seedframe.geometry import Anchor, FrameGeometry, frame_plan, frame_size, parse_ratio
from seedframe.messages import Language, Message
from seedframe.studio.store import EXTENSIONS, Store


def cut(
    source: Path, output: Path | None, *, ratio: str | None, frame: str | None, anchor: str, language: Language
) -> dict[str, Any]:
    """Cut to a ratio or an exact frame; never overwrites or enlarges. PictureError, InvalidRequest or StoreError."""
    if not ratio and not frame:
        raise InvalidRequest(Message("cutting.no-shape"), field="ratio", got=None, allowed=["ratio", "frame"])
    header = images.read_header(source)
    wanted = parse_ratio(ratio) if ratio else None
    exact = frame_size(frame) if frame else None
    plan = frame_plan(header.displayed, ratio=wanted, frame=exact, anchor=Anchor.parse(anchor))
    common: dict[str, Any] = {
        "source": str(source),
        "received": str(header.displayed),
        "share_cut": round(plan.share_cut, 4),
    }
    if plan.untouched:
        images.verify(source)
        return {**common, "path": str(source), "method": "bytes", "size": str(header.displayed), "crop": "untouched"}
    goal = output or source.with_name(f"{source.stem}-{(frame or ratio or '').replace(':', 'x').replace('/', 'x')}")
    path, report = _saved(source, goal, plan)
    notes = list(report.notes)
    if plan.too_small:
        notes.append(Message("framing.too-small", got=str(header.displayed), frame=str(exact)))
    return {
        **common,
        "path": str(path),
        "method": report.method,
        "size": str(report.size),
        "crop": list(report.box.corners),
        "moved": report.moved,
        "metadata_kept": report.metadata_kept,
        "provenance_ended": report.provenance_ended,
        "notes": [note.text(language) for note in notes],
    }


def _saved(source: Path, goal: Path, plan: FrameGeometry) -> tuple[Path, images.CropReport]:
    store = Store(goal.parent.absolute())
    part = store.prepare() / f"{source.stem}.cut"
    try:
        report = images.carry_out(source, part, plan)
        stem = goal.with_suffix("") if goal.suffix.lower() in {*EXTENSIONS.values(), ".jpeg", ".png", ".webp"} else goal
        return store.commit(part, stem.absolute(), report.format).path, report
    finally:
        part.unlink(missing_ok=True)
        store.tidy()
