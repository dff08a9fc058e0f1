"""Frames that are paid, or were sent, and came to no end: a worker that begins to work queues them, of every board.

In: the database's boards, the engine. Out: queued frames; to bring them to their end costs nothing.
Never in here: a payment, a frame that was never sent, a board that is stopped or whose folder is not on this machine.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from seedframe.errors import SeedreamError
from seedframe.object_places import is_place, local_folder
from seedframe.payments.sql import DatabaseFailed
from seedframe.settings import Settings
from seedframe.storyboard.folder_links import belongs_to
from seedframe.storyboard.record.database import is_postgres, sqlite_path
from seedframe.storyboard.record.engine_home import BoardHome
from seedframe.storyboard.record.frame_payments import LEFT, BoardRecord, FramePayments
from seedframe.storyboard.record.origin import folder_errors
from seedframe.storyboard.record.states import runs_left, state_of
from seedframe.storyboard.run.engine import EngineClient

log = logging.getLogger(__name__)


async def queue_paid(payments: FramePayments, client: EngineClient, settings: Settings) -> None:
    """Queue them. DatabaseFailed; a board whose record is odd is left to its own next run, which says what is wrong."""
    url = payments.database.url
    home = None if is_postgres(url) else BoardHome.of(settings.journal, sqlite_path(url))
    for board in await payments.unfinished():
        if home is not None and not home.knows(board):
            continue  # it came with a folder from elsewhere: only a run examines it
        try:
            await _queue(payments, client, settings, board)
        except DatabaseFailed:
            raise
        except SeedreamError as error:
            log.warning("%s: %s", board, error)


async def _queue(payments: FramePayments, client: EngineClient, settings: Settings, board: str) -> None:
    with folder_errors(Path(board)):
        record = await payments.record(board)
        if record is None or record.stopped or not _has_paid(record):
            return
        out = local_folder(record.folder, settings.object_cache)
        if await asyncio.to_thread(_is_here, record, out):
            runs = await asyncio.to_thread(client.newest, board)
            state = await asyncio.to_thread(state_of, record, runs, out)
            for queue, chosen in runs_left(record, runs, state, LEFT).items():
                if queue:  # a board of the first edition has none before its next run
                    await asyncio.to_thread(client.enqueue, queue, chosen)


def _has_paid(record: BoardRecord) -> bool:
    return any(frame.payment in LEFT and frame.path is None for frame in record.frames.values())


def _is_here(record: BoardRecord, out: Path) -> bool:
    """Otherwise the frame would stop its board: a worker that does not see the folder makes nothing."""
    return is_place(record.folder) or belongs_to(out, record.board)
