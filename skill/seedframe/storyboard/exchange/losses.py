"""What a change of format leaves behind, as findings: nothing is dropped in silence.

In: their items and the fields that a board has no place for; our board and the fields that a format has. Out: findings,
one for each field. Data: `exchange.json`. Never in here: reading or writing a format.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from seedframe.messages import Message
from seedframe.storyboard.exchange.project import known, vocabulary
from seedframe.storyboard.findings import BoardFinding

ELEMENTS = ("characters", "products", "scenes", "props")
ALWAYS = ("schema", "shots", "id", "seedance")
"""What every format has in its own way, or what belongs to the video step."""


def left_in_file(tool: str, items: Iterable[Mapping[str, Any]]) -> tuple[BoardFinding, ...]:
    """Fields of their shots that a board has no place for; they stay where they are, in the other tool's file."""
    usual: Mapping[str, Sequence[Any]] = vocabulary(tool)["not_in_a_board"]
    counts: Counter[str] = Counter()
    for item in items:
        counts.update(name for name, plain in usual.items() if known(x=item.get(name)) and item[name] not in plain)
    return tuple(_finding("THEIRS_UNUSED", "left-in-file", tool, field=field, count=counts[field]) for field in counts)


def left_out(tool: str, data: Mapping[str, Any]) -> tuple[BoardFinding, ...]:
    """Fields of our board that the other format has no place for; they stay in the board."""
    carried: Mapping[str, Sequence[str]] = vocabulary(tool)["carries"]
    missing: dict[str, list[str]] = defaultdict(list)
    for field in _fields(data, carried["board"]):
        missing[field] = []
    for shot in data["shots"]:
        for field in _fields(shot, carried["shot"]):
            missing[f"shots.{field}"].append(shot["id"])
    for kind in ELEMENTS:
        for element in data.get(kind, ()) if kind in carried["board"] else ():
            for field in _fields(element, carried["element"]):
                missing[f"{kind}.{field}"].append(element["id"])
    return tuple(
        _finding("NOT_EXPORTED", "left-out", tool, field=field, places=", ".join(places) or "–")
        for field, places in missing.items()
    )


def _fields(item: Mapping[str, Any], carried: Sequence[str]) -> Iterator[str]:
    """The names of what is said and not carried; `style.palette` and `last.action` are told one by one."""
    for name, value in item.items():
        if name in carried or name in ALWAYS:
            continue
        inner = [f"{name}.{part}" for part in value] if name in ("style", "last") else []
        yield from (part for part in inner if part not in carried)
        if not inner:
            yield name


def _finding(code: str, key: str, tool: str, **values: Any) -> BoardFinding:
    return BoardFinding(code, "info", Message(f"exchange.{key}", tool=tool, **values))
