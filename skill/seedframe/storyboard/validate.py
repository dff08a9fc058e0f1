"""What the board schema cannot express: ids that must exist, be unique and form no cycle.

In: a document that passed the schema. Out: nothing, or InvalidRequest naming line and column.
Never in here: advice (see `continuity`), limits of the video step (see `handoff`).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seedframe.messages import Message
from seedframe.storyboard.formats.document import Document, Spot, refusal

ELEMENTS = ("characters", "products", "scenes", "props")


def validate_references(document: Document) -> None:
    """InvalidRequest for the first inconsistency."""
    data = document.data
    for kind in (*ELEMENTS, "shots"):
        _unrepeated(document, kind, data.get(kind, ()))
    known = {kind: [item["id"] for item in data.get(kind, ())] for kind in ELEMENTS}
    order = {shot["id"]: index for index, shot in enumerate(data["shots"])}
    for index, shot in enumerate(data["shots"]):
        _names_exist(document, ("shots", index), shot, known)
        _something_to_show(document, index, shot)
        _finite(document, index, shot)
        _prev_comes_before(document, index, shot, order)


def _unrepeated(document: Document, kind: str, items: Sequence[Mapping[str, Any]]) -> None:
    first: dict[str, int] = {}
    for index, item in enumerate(items):
        # Two ids that differ in case only would share one file name on many disks.
        folded = item["id"].casefold()
        if folded in first:
            place = document.place((kind, first[folded], "id")).message()
            problem = Message("storyboard.id-twice", id=item["id"], first=place)
            raise refusal(document.name, document.place((kind, index, "id")), problem, got=item["id"])
        first[folded] = index


def _names_exist(document: Document, spot: Spot, shot: Mapping[str, Any], known: Mapping[str, Sequence[str]]) -> None:
    for kind in ("characters", "products", "props"):
        named = shot.get(kind, ())
        _exist(document, (*spot, kind), [named] if isinstance(named, str) else named, kind, known[kind])
    _exist(document, (*spot, "scene"), [shot["scene"]] if "scene" in shot else [], "scenes", known["scenes"])
    cast = shot.get("characters", ())
    present = [cast] if isinstance(cast, str) else cast
    for name in shot.get("positions", ()):
        if name not in present:
            place = document.place((*spot, "positions", name))
            problem = Message("storyboard.position-of-nobody", id=name)
            raise refusal(document.name, place, problem, got=name, allowed=list(present))


def _exist(document: Document, spot: Spot, named: Iterable[str], kind: str, known: Sequence[str]) -> None:
    for name in named:
        if name in known:
            continue
        close = difflib.get_close_matches(name, known, n=1)
        key = "storyboard.id-unknown-close" if close else "storyboard.id-unknown"
        problem = Message(key, id=name, kind=Message(f"storyboard.kind-{kind}"), close=close[0] if close else "")
        raise refusal(
            document.name,
            document.place(spot),
            problem,
            got=name,
            allowed=list(known),
            advice=Message("storyboard.define-it", kind=kind),
        )


def _something_to_show(document: Document, index: int, shot: Mapping[str, Any]) -> None:
    if not any(shot.get(part) for part in ("subject", "action", "characters", "products", "props", "scene", "setting")):
        problem = Message("storyboard.nothing-to-show", shot=shot["id"])
        raise refusal(
            document.name, document.place(("shots", index)), problem, advice=Message("storyboard.give-action")
        )


def _finite(document: Document, index: int, shot: Mapping[str, Any]) -> None:
    if not math.isfinite(shot.get("duration", 0)):
        problem = Message("storyboard.not-finite", got=shot["duration"])
        raise refusal(document.name, document.place(("shots", index, "duration")), problem, got=str(shot["duration"]))


def _prev_comes_before(document: Document, index: int, shot: Mapping[str, Any], order: Mapping[str, int]) -> None:
    """`prev` must name an earlier shot: so there are no cycles, and story order is a valid order of work."""
    prev = shot.get("prev")
    if prev is None or order.get(prev, len(order)) < index:
        return
    key = "storyboard.prev-later" if prev in order else "storyboard.prev-unknown"
    place = document.place(("shots", index, "prev"))
    earlier = list(order)[:index]
    raise refusal(document.name, place, Message(key, prev=prev, shot=shot["id"]), got=prev, allowed=earlier[-10:])
