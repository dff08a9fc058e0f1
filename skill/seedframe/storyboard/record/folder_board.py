"""Which board a folder belongs to: a card in it says so, made once, when the board is first run there.

In: a folder, a board, a backend. Out: the board's name in every record, or why the folder is not its own.
Never in here: a database, a picture.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict
from pathlib import Path

from seedframe.catalog import Backend
from seedframe.errors import InvalidRequest
from seedframe.messages import Message
from seedframe.private_files import make_private_folder
from seedframe.storyboard.board_folder import keep_board
from seedframe.storyboard.folder_links import CARD_FILE, Card, card_in
from seedframe.storyboard.record.database import STATE_FOLDER
from seedframe.storyboard.types import Board
from seedframe.studio.store import Store


def check_backend(out: Path, backend: Backend) -> None:
    """InvalidRequest where the folder's board was begun on another backend: a rehearsal never goes on for money."""
    card = card_in(out)
    begun = card.backend if card and card.backend else backend.name
    if begun != backend.name:
        raise InvalidRequest(
            Message("board_run.other-backend", out=out, begun=begun, got=backend.name),
            field="backend",
            got=backend.name,
            allowed=begun,
            advice=Message("board_run.other-backend-advice", begun=begun),
        )


def enter_folder(board: Board, out: Path, backend: Backend) -> str:
    """The board's name in the record, made once for a folder; the board itself is kept beside the pictures."""
    check_backend(out, backend)
    card = card_in(out)
    if card is None:
        card = Card(f"{board.project}-{secrets.token_hex(4)}", board.project, backend.name)
        make_private_folder(out / STATE_FOLDER)
        Store(out).write_json(out / STATE_FOLDER / CARD_FILE, asdict(card))
    id, project = card.id, card.project
    if project != board.project:
        raise InvalidRequest(
            Message("board_run.other-board", out=out, project=project, got=board.project),
            field="out",
            got=board.project,
            allowed=project,
            advice=Message("board_run.other-board-advice"),
        )
    keep_board(board, out)
    return id


def board_id(out: Path) -> str:
    """The name in every record of the board that was run in this folder; InvalidRequest without one."""
    card = card_in(out)
    if card is None:
        raise no_board(out)
    return card.id


def no_board(out: Path) -> InvalidRequest:
    """The error for a folder in which no board was ever run."""
    return InvalidRequest(
        Message("board_run.no-board", out=out),
        field="out",
        got=str(out),
        allowed="DIR",
        advice=Message("board_run.no-board-advice"),
    )
