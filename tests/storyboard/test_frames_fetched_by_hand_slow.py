"""`fetch` and frames of boards: the picture comes where its board looks for it, and the board pays nothing again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from billed_boards import large_board
from board_home import Home, eventually
from board_process import process
from pictures_kept_back import gated_service

pytestmark = pytest.mark.slow

SHOTS = 2


@pytest.fixture
def home(environ: dict[str, str], database: str | None, tmp_path: Path) -> Home:
    return Home(environ, database or f"sqlite:///{tmp_path / 'runs.sqlite3'}")


@pytest.mark.parametrize("brought_by", ["run", "worker"])
def test_a_frame_that_was_fetched_by_hand_is_found_by_its_board_and_pays_nothing(
    tmp_path: Path, home: Home, brought_by: str
):
    board, out = large_board(tmp_path, SHOTS), tmp_path / "out"
    with gated_service(home.environ) as gate:
        home.run(board, out)
        listed = json.loads(home("history", "list", "--database", home.url, "--json").stdout)
        assert [entry["state"] for entry in listed] == ["undelivered"] * SHOTS
        gate.shut = False
        one = home("fetch", listed[0]["id"], "--database", home.url, "--json")
        (picture,) = json.loads(one.stdout)["pictures"]
        rest = json.loads(home("fetch", "--all", "--database", home.url, "--json").stdout)
        assert [entry["id"] for entry in rest] == [listed[1]["id"]]
        assert Path(picture["path"]).parent == out
        gate.shut = True  # from here on nothing can come from the service
        if brought_by == "run":
            home.run(board, out)
        else:
            with process("work", home.environ, "--database", home.url):
                assert eventually(lambda: home.states(out) == ["done"] * SHOTS)
        assert home.states(out) == ["done"] * SHOTS
        assert len(list(out.glob("*.jpg"))) == SHOTS
        assert (gate.bills.posts, gate.bills.images) == (SHOTS, SHOTS)


def test_a_frame_whose_board_is_not_on_this_machine_is_not_fetched_into_a_folder_its_board_never_looks_in(
    tmp_path: Path, home: Home
):
    board, out = large_board(tmp_path, 1), tmp_path / "out"
    with gated_service(home.environ) as gate:
        home.run(board, out)
        out.rename(tmp_path / "elsewhere")
        gate.shut = False
        refused = home("fetch", "--all", "--database", home.url)
        assert refused.exit_code == 2
        assert f"whose folder {out} is not on this machine" in refused.stderr
        assert not out.exists()
        here = home("fetch", "--all", "--database", home.url, "--out", tmp_path / "here")
        assert here.exit_code == 0, here.output
        assert len(list((tmp_path / "here").glob("*.jpg"))) == 1
        assert gate.bills.posts == 1
