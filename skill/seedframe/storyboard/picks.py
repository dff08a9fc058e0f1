"""Which take of a frame was chosen: kept in the board's folder, chosen by a person or an agent.

In: a folder, words such as `E01_SC01_SH040_ff_v02`, `E01_SC01_SH040 2` or `E01_SC01_SH040_ff none`, or the approvals
that a contact sheet exports. Out: `picks.json`, slot → frame key.
Never in here: a judgement of pictures, the manifest (`board_folder`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from seedframe.errors import InvalidRequest, StoreError
from seedframe.messages import Message
from seedframe.storyboard.frames import frames_of
from seedframe.storyboard.names import frame_slot
from seedframe.storyboard.types import Board
from seedframe.studio.store import Store

PICKS_FILE = "picks.json"
PICKS_SCHEMA = "seedframe/picks/1"
TAKE = re.compile(r"v?(\d{1,3})")
NO_TAKE = "none"
"""In place of a take: the pick is removed."""

LARGEST_APPROVALS = 4 * 1024 * 1024


def read_picks(out: Path) -> dict[str, str]:
    """Slot → picked key; empty when nothing was picked yet. StoreError for an unreadable file."""
    path = out / PICKS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(slot): str(key) for slot, key in content["picks"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(Message("boards.picks-broken", path=path)) from error


def write_picks(out: Path, picks: Mapping[str, str]) -> Path:
    """Write the file atomically."""
    return Store(out).write_json(out / PICKS_FILE, {"schema": PICKS_SCHEMA, "picks": dict(sorted(picks.items()))})


def read_approvals(file: Path) -> list[str]:
    """The JSON that a contact sheet exports, as words for `picks_meant`. InvalidRequest for any other file."""
    try:
        with file.open(encoding="utf-8") as opened:
            content = json.loads(opened.read(LARGEST_APPROVALS))
        schema, picks = content["schema"], dict(content["picks"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        schema, picks = None, {}
    if schema != PICKS_SCHEMA:
        raise InvalidRequest(Message("sheet.no-approvals", got=file), field="file", got=str(file), allowed=PICKS_SCHEMA)
    return [word for slot, key in picks.items() for word in ([str(key)] if key else [slot, NO_TAKE])]


def changed_picks(picks: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """The picks after these changes; None removes a pick."""
    return {slot: key for slot, key in {**picks, **changes}.items() if key is not None}


def picks_meant(board: Board, words: Sequence[str]) -> dict[str, str | None]:
    """What a person typed, as slot → key, or slot → None where the pick is removed.

    A frame key picks itself; a slot (`…_ff`) or a shot id with a take after it picks that take of the slot, or of every
    frame of the shot, `none` none of them. InvalidRequest for anything the board does not have.
    """
    keys: dict[str, str] = {}
    takes: dict[str, list[str]] = {}
    for task in frames_of(board):
        slot = frame_slot(task.shot, task.role)
        keys[task.key] = slot
        takes.setdefault(slot, []).append(task.key)
    return dict(_meant(list(words), keys, takes))


def _meant(
    words: list[str], keys: Mapping[str, str], takes: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str | None]]:
    if not words:
        raise _odd("", keys)
    while words:
        word = words.pop(0)
        if word in keys:
            yield keys[word], word
            continue
        slots = [slot for slot in takes if slot == word or slot.rpartition("_")[0] == word]
        if not slots:
            raise _odd(word, keys)
        take = words.pop(0) if words else ""
        if take == NO_TAKE:
            yield from ((slot, None) for slot in slots)
            continue
        number = TAKE.fullmatch(take)
        if number is None:
            raise InvalidRequest(
                Message("boards.take-missing", shot=word), field="take", got=None, allowed=list(takes[slots[0]])
            )
        yield from ((slot, _take(takes[slot], int(number[1]))) for slot in slots)


def _take(takes: Sequence[str], number: int) -> str:
    if not 1 <= number <= len(takes):
        raise InvalidRequest(
            Message("boards.take-unknown", got=number, count=len(takes)), field="take", got=number, allowed=list(takes)
        )
    return takes[number - 1]


def _odd(word: str, keys: Mapping[str, str]) -> InvalidRequest:
    shown = list(keys)[:10]
    return InvalidRequest(
        Message("boards.pick-unknown", got=word),
        field="shot",
        got=word,
        allowed=shown,
        advice=Message("boards.pick-advice", example=shown[0]),
    )
