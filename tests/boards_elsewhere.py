"""Projects of other tools in their exact format, and a board's folder with finished pictures, for tests."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from PIL import Image

from seedframe.storyboard.board import read_board
from seedframe.storyboard.board_folder import keep_board, publish
from seedframe.storyboard.frames import FrameResult, frames_of
from seedframe.storyboard.types import Board

CASES = Path(__file__).parent / "cases" / "storyboard" / "exchange"
PICTURES = {"arcreel": ("characters/阿雨.png",), "drama-skills": ("输入/阿雨定妆.png",)}
"""Reference pictures that the projects name; they are drawn, not kept."""


def project(tool: str, folder: Path) -> Path:
    """A copy of the tool's project, with its reference pictures."""
    place = folder / tool
    shutil.copytree(CASES / tool, place)
    for name in PICTURES.get(tool, ()):
        (place / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (900, 1600), "teal").save(place / name)
    return place


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def finished(source: Path, out: Path, *, without: tuple[str, ...] = ()) -> Board:
    """The folder of a board whose frames are all done, except those `without` a picture."""
    board = read_board(source)
    out.mkdir(parents=True)
    keep_board(board, out)
    results = {
        task.key: _drawn(task.key, out) for task in frames_of(board) if not task.key.startswith(without or ("–",))
    }
    publish(board, results, out)
    return board


def _drawn(key: str, out: Path) -> FrameResult:
    path = out / f"x_{key}_72x128.jpg"
    Image.new("RGB", (72, 128), (int(hashlib.sha256(key.encode()).hexdigest()[:2], 16), 80, 120)).save(path, "JPEG")
    content = path.read_bytes()
    return FrameResult(
        key,
        "done",
        path.name,
        width=72,
        height=128,
        bytes=len(content),
        mime="image/jpeg",
        sha256=hashlib.sha256(content).hexdigest(),
        prompt=f"the prompt of {key}",
        model="5.0-lite",
        backend="emulator",
        cost={"amount": 0.22, "currency": "CNY"},
    )
