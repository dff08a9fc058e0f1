"""A board's folder as a run leaves it, without a run: pictures, sidecars' facts in the manifest, sheet."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from seedframe.storyboard.board import read_board
from seedframe.storyboard.board_folder import keep_board, publish
from seedframe.storyboard.frames import FrameResult, frames_of
from seedframe.storyboard.names import file_name
from seedframe.studio.types import Trust

SIZE = (360, 640)
MADE = datetime(2026, 11, 20, tzinfo=UTC)


def finished_folder(
    out: Path,
    board: dict[str, Any],
    *,
    without: tuple[str, ...] = (),
    size: tuple[int, int] = SIZE,
    trust: Trust | None = None,
) -> Path:
    """Write the folder of a board whose frames are done, except those `without`."""
    out.mkdir(parents=True)
    read = read_board("board.json", text=json.dumps({"project": "river", **board}))
    results = {}
    for number, task in enumerate(frames_of(read)):
        if task.key in without:
            continue
        content = picture(number, size)
        path = out / file_name(read.project, task.key, size, ".png")
        path.write_bytes(content)
        results[task.key] = FrameResult(
            task.key,
            "done",
            path=str(path),
            width=size[0],
            height=size[1],
            bytes=len(content),
            mime="image/png",
            sha256=hashlib.sha256(content).hexdigest(),
            model="5.0-lite",
            backend="ark",
            trust=trust or Trust(eligible=False, reason="references"),
        )
    keep_board(read, out)
    publish(read, results, out, now=MADE.timestamp)
    return out


def picture(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """A PNG that differs by its number."""
    content = io.BytesIO()
    Image.new("RGB", size, (number * 40 % 256, 90, 120)).save(content, "PNG")
    return content.getvalue()
