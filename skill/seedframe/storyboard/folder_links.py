"""A board's folder as untrusted data: which files are ours, and whether each really lies in it.

In: a folder. Out: its card (which board, begun on which machine), or an error that says what is wrong.
Never in here: the run's record (`run.record_file`), pictures (`run.proof`), a decision about money.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from seedframe.errors import InvalidRequest
from seedframe.messages import Message
from seedframe.storyboard.record.database import DATABASE_FILE, STATE_FOLDER
from seedframe.studio.store import PARTS_FOLDER

CARD_FILE = "board.json"
OLD_ENGINE_FILE = "engine.sqlite3"
LARGEST_CARD = 65_536
_DATABASE = tuple(f"/{DATABASE_FILE}{end}" for end in ("", "-wal", "-shm"))
OURS = (
    *(
        f"{STATE_FOLDER}{name}"
        for name in ("", f"/{CARD_FILE}", *(f"/{DATABASE_FILE}{end}" for end in ("", "-wal", "-shm")))
    ),
    *(f"{PARTS_FOLDER}{name}" for name in ("", "/run.lock", "/run.starting", "/thumbnails", "/given")),
    *("board.json", "manifest.json", "picks.json", "sheet.html", "sheet.png", "run.log"),
)
"""What Seedframe reads and writes in a board's folder besides the pictures and their records."""

_ID = re.compile(r"[^\x00-\x1f\x7f/\\]{1,200}")


@dataclass(frozen=True, slots=True)
class Card:
    """What the folder says of its board; `backend` None where it says nothing."""

    id: str
    project: str
    backend: str | None = None


def check_folder(out: Path) -> None:
    """InvalidRequest when one of our names in the folder is a symbolic link: it could lead to any file."""
    for name in OURS:
        if (out / name).is_symlink():
            raise InvalidRequest(
                Message("board_folder.link", path=out / name),
                field="out",
                got=str(out / name),
                allowed=None,
                advice=Message("board_folder.link-advice"),
            )


def belongs_to(folder: Path, board: str) -> bool:
    """Whether the board's folder is what this machine sees at that place, and not an empty place of that name."""
    card = card_in(folder)
    return card is not None and card.id == board


def card_in(out: Path) -> Card | None:
    """The folder's card; None when there is none. InvalidRequest for a file that is not a card."""
    check_folder(out)
    path = out / STATE_FOLDER / CARD_FILE
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(LARGEST_CARD + 1))
        card = Card(content["id"], content["project"], content.get("backend"))
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        card = None
    texts = (card.id, card.project, card.backend or "ark") if card else (None,)
    if card is None or not all(isinstance(text, str) and _ID.fullmatch(text) for text in texts):
        raise InvalidRequest(
            Message("board_folder.card-odd", path=path), field="out", got=str(path), allowed=None
        ) from None
    return card


def leftovers(out: Path) -> tuple[Message, ...]:
    """What in the folder is no longer used and may be deleted."""
    old = out / STATE_FOLDER / OLD_ENGINE_FILE
    return (Message("board_folder.old-engine", path=old),) if old.exists() else ()
