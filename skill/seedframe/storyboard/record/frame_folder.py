"""Where the picture of a frame belongs when it is fetched outside of a run: where its board looks for it.

In: the board of a payment, the folder that was noted with it, the record that workers share, if there is one. Out: the
folder on this machine. Never in here: a download, a payment.
"""

from __future__ import annotations

from pathlib import Path

from seedframe.errors import InvalidRequest
from seedframe.messages import Message
from seedframe.object_places import local_folder, place_of
from seedframe.payments.sql import is_postgres, one
from seedframe.settings import Settings
from seedframe.storyboard.folder_links import belongs_to
from seedframe.storyboard.record.database import read_now


def folder_of_frame(board: str, noted: Path, database: str | None, settings: Settings) -> Path:
    """The folder of that board as this machine sees it; `noted` by whoever paid, perhaps on another machine.

    InvalidRequest where the board's folder is not here: a picture in another one would count as lost. DatabaseFailed.
    """
    folder = noted
    if database is not None and is_postgres(database):
        row = read_now(database, lambda tx: one(tx, "SELECT folder FROM boards WHERE id = :id", id=board))
        folder = local_folder(Path(row["folder"]), settings.object_cache) if row else noted
    if place_of(folder, settings.object_cache) is None and not belongs_to(folder, board):
        raise InvalidRequest(
            Message("frame_fetch.folder-not-here", folder=folder, board=board),
            field="out",
            got=str(folder),
            allowed="--out DIR",
            advice=Message("frame_fetch.folder-not-here-advice", folder=folder),
        )
    return folder
