"""A board's folder, read and handed to another tool's format.

In: a folder, a tool's name, where its project is. Out: `Exported`. Never in here: a format, an entry point.
"""

from __future__ import annotations

from pathlib import Path

from seedframe.settings import Settings
from seedframe.storyboard.actions import plan_of, results_now
from seedframe.storyboard.board import board_to_json
from seedframe.storyboard.board_folder import board_in
from seedframe.storyboard.exchange.export import Exported, Source, export_board, tool_named
from seedframe.storyboard.picks import read_picks

EXPORTS = "exports"


def export(
    out: Path, to: str, into: Path | None, *, database: str | None, settings: Settings, over: bool = False
) -> Exported:
    """Give another tool the board's pictures: into its project `into`, else as a new one in the folder's `exports`."""
    tool = tool_named(to)
    board, results = board_in(out), results_now(out, database, settings)
    prompts = {
        frame.task.shot: frame.prompt
        for frame in plan_of(board, settings, out).frames
        if frame.task.role == "first" and frame.task.take == 1 and frame.prompt
    }
    source = Source(board, board_to_json(board), results, read_picks(out), out, prompts)
    return export_board(source, tool, into or out / EXPORTS / tool.name, over=over)
