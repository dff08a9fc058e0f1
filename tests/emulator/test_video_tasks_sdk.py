"""The official SDK creates video tasks from what `storyboard requests` wrote, line by line, as it stands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from board_folders import finished_folder
from seedframe.cli import program
from seedframe.emulator import emulator, running
from seedframe.settings import Settings
from vendor_sdks import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CAST = [{"id": "C01", "name": "Rain", "asset": "asset://asset-1"}]
SHOTS = [
    {"id": "E01_SC01_SH010", "action": "a bridge", "motion": "slow push", "dialogue": "Rain: here", "duration": 4.5},
    {"id": "E01_SC01_SH020", "action": "b", "frames": ["first", "last"], "last": {"action": "c"}, "duration": 6},
    {"id": "E01_SC01_SH030", "action": "d", "frames": ["ref"], "characters": ["C01"], "motion": "she turns"},
]


@pytest.mark.parametrize("version", ["2.0", "2.5"])
def test_the_official_sdk_creates_a_task_from_every_line(python: Path, tmp_path: Path, version: str) -> None:
    board = {"realistic_people": False, "seedance": version, "characters": CAST, "shots": SHOTS}
    out = finished_folder(tmp_path / "film", board)
    settings = Settings.read({"SEEDFRAME_BACKEND": "ark"})
    assert CliRunner().invoke(program("en"), ["storyboard", "requests", str(out)], obj=settings).exit_code == 0

    with running(emulator(profile="ark", keys=["test-key"])) as base:
        script = ROOT / "tests" / "strangers" / "video_tasks.py"
        done = subprocess.run(
            [python, script, base, out / "requests.jsonl"],
            capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip

    assert done.returncode == 0, done.stderr[-3000:]
    ratio = "9:16" if version == "2.0" else "adaptive"
    assert json.loads(done.stdout) == [["failed", "EmulatedTask", seconds, "720p", ratio] for seconds in (5, 6, 5)]
