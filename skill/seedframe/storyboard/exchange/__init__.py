"""Storyboards of other tools: read as boards, given their pictures back, or written anew.

In: a file or folder of another tool; a board's folder. Out: a `Project`; pictures where that tool looks for them.
Their files stay as they are, but for the fields a format keeps for pictures. Never in here: our own formats
(`formats/`), a payment, a prompt.
"""

from __future__ import annotations

from pathlib import Path

from seedframe.storyboard.exchange.arcreel import ARCREEL
from seedframe.storyboard.exchange.drama_skills import DRAMA_SKILLS
from seedframe.storyboard.exchange.openmontage import OPENMONTAGE
from seedframe.storyboard.exchange.project import Project, ToolFormat
from seedframe.storyboard.exchange.vimax import VIMAX

__all__ = ["TOOLS", "Project", "ToolFormat", "project_at"]

TOOLS = {tool.name: tool for tool in (VIMAX, ARCREEL, DRAMA_SKILLS, OPENMONTAGE)}


def project_at(path: Path) -> Project | None:
    """The project of another tool that a file or folder belongs to, recognised by its content; None for anything else.

    InvalidRequest when it is one of theirs and cannot be read as a board.
    """
    for tool in TOOLS.values():
        found = tool.find(path)
        if found is not None:
            return tool.read(found)
    return None
