"""The pages about other tools: every command on them works, in an empty home with that tool's project in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from boards_elsewhere import PICTURES, project

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs" / "tools").glob("*.md"), ROOT / "integrations" / "comfyui" / "README.md"])
BLOCK = re.compile(r"^```sh *(norun)?\n(.*?)^```", re.DOTALL | re.MULTILINE)
NAMES = {"vimax": "my-film", "arcreel": "my-project", "drama-skills": "my-drama", "openmontage": "my-video"}
"""What each page calls the project."""


def commands(page: Path) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [line for norun, block in found if not norun for line in block.splitlines() if line.strip()]


@pytest.fixture
def home(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    work = tmp_path / "work"
    work.mkdir()
    return work, {"HOME": str(tmp_path), "PATH": tools, "LANG": "C.UTF-8"}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_command_of_the_page_works_as_it_stands(page: Path, home: tuple[Path, dict[str, str]]):
    work, environ = home
    if page.stem in NAMES:
        shutil.move(project(page.stem, work), work / NAMES[page.stem])
    for line in commands(page):
        done = subprocess.run(
            ["sh", "-c", line], cwd=work, env=environ, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stderr[-1500:]}"


def test_every_tool_that_a_board_goes_to_has_a_page_and_a_case():
    from seedframe.storyboard.exchange import TOOLS

    pages = {page.stem for page in PAGES}
    assert set(TOOLS) <= pages
    assert set(NAMES) == set(TOOLS)
    assert set(PICTURES) <= set(TOOLS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_page_has_commands_to_copy(page: Path):
    assert len(commands(page)) >= 2
