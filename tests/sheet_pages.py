"""The contact sheet of a board as one page, whatever its length.

In: a board, its results, thumbnails by key. Out: HTML. Never in here: an expectation.
"""

from collections.abc import Mapping
from typing import Any

from seedframe.storyboard.frames import FrameResult
from seedframe.storyboard.sheet.page import render_sheets
from seedframe.storyboard.types import Board


def one_page(
    board: Board, results: Mapping[str, FrameResult], *, thumbnails: Mapping[str, bytes] | None = None, **options: Any
) -> str:
    """The HTML of the only page."""
    [(_, html)] = render_sheets(board, results, thumbnails=lambda _keys: thumbnails or {}, most=None, **options)
    return html
