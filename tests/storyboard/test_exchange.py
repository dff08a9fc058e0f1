"""Projects of ViMax, ArcReel, drama-skills and OpenMontage: planned as boards, given their pictures, written anew.

`SEEDFRAME_UPDATE_CASES=1 pytest tests/storyboard/test_exchange.py` writes the expectations anew, to be read as a diff.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from mcp import Client
from PIL import Image

from boards_elsewhere import CASES, files, finished, project
from seedframe.cli import program
from seedframe.mcp_server.app import build_server
from seedframe.settings import Settings
from seedframe.storyboard.board import board_to_json, read_board
from seedframe.studio.pipeline import Studio

TOOLS = ("arcreel", "drama-skills", "openmontage", "vimax")
PLACES = {
    "vimax": [
        "shots/0/first_frame.png",
        "shots/1/first_frame.png",
        "shots/1/last_frame.png",
        "shots/2/first_frame.png",
    ],
    "arcreel": ["storyboards/scene_E1S01.png", "storyboards/scene_E1S02.png", "storyboards/scene_E1S03.png"],
    "drama-skills": [
        "剧集/EP001/制作成果/images/SHOT-EP001-001-start.png",
        "剧集/EP001/制作成果/images/SHOT-EP001-002A-start.png",
    ],
    "openmontage": ["assets/images/scene-1-first.png", "assets/images/scene-3-first.png"],
}
RECEIVES = {"arcreel": "scripts/episode_1.json", "openmontage": "artifacts/asset_manifest.json"}
"""The file of a format that names pictures; the others know them by their place."""


ODD = """
project: odd
shots:
  - {id: E01_SC01_SH010, action: 一座石桥}
  - {id: E01_SC01_SH015, action: 一条小船}
  - {id: E01_SC03_SH020, action: 一盏灯}
"""
"""Numbers that are not those a new project gives."""


class Shell:
    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ

    def __call__(self, *words: str | Path, **variables: str) -> Result:
        settings = Settings.read({**self.environ, **variables})
        return CliRunner().invoke(program(settings.language), ["storyboard", *map(str, words)], obj=settings)


def shape(path: Path) -> tuple[str | None, tuple[int, int]]:
    with Image.open(path) as picture:
        return picture.format, picture.size


@pytest.fixture
def shell(environ: dict[str, str]) -> Shell:
    return Shell(environ)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_project_of_another_tool_is_read_as_a_board(tool: str):
    board = read_board(CASES / tool)
    notes = [f"{note.code}: {note.message}" for note in board.notices]
    described = json.dumps({"board": board_to_json(board), "left_out": notes}, ensure_ascii=False, indent=1) + "\n"
    expected = CASES / f"{tool}.expected.json"
    if os.environ.get("SEEDFRAME_UPDATE_CASES"):
        expected.write_text(described, encoding="utf-8")

    assert described == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("tool", "file"),
    [
        ("vimax", "characters.json"),
        ("vimax", "shots/1/shot_description.json"),
        ("arcreel", "scripts/episode_1.json"),
        ("drama-skills", "剧集/EP001/分镜.md"),
        ("openmontage", "artifacts/scene_plan.json"),
    ],
)
def test_a_file_of_the_project_stands_for_the_whole(tool: str, file: str):
    assert board_to_json(read_board(CASES / tool / file)) == board_to_json(read_board(CASES / tool))


def test_a_film_of_several_scenes_keeps_them_apart(tmp_path: Path):
    home = project("vimax", tmp_path)
    for number, scene in ((0, 0), (1, 1), (2, 1)):
        (home / f"scene_{scene}" / "shots").mkdir(parents=True, exist_ok=True)
        (home / "shots" / str(number)).rename(home / f"scene_{scene}" / "shots" / str(number))
    whole = read_board(home)

    assert [shot.id for shot in whole.shots] == ["E01_SC01_SH010", "E01_SC02_SH020", "E01_SC02_SH030"]
    assert [shot.prev for shot in whole.shots] == [None, None, None], "a camera does not reach into another scene"
    named = read_board(home / "scene_1" / "shots" / "1" / "shot_description.json")
    assert board_to_json(named) == board_to_json(whole)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_plan_of_the_project_is_ready_to_run(shell: Shell, tool: str, environ: dict[str, str]):
    home = project(tool, Path(environ["SEEDFRAME_OUTPUT_DIR"]))
    before = files(home)
    done = shell("plan", home, "--json")

    totals = json.loads(done.stdout)["totals"]
    assert (done.exit_code, totals["frames"]) == (0, len(PLACES[tool]))
    assert files(home) == before


@pytest.mark.parametrize("tool", TOOLS)
def test_pictures_go_where_the_tool_looks_for_them_and_nothing_else_changes(shell: Shell, tmp_path: Path, tool: str):
    home = project(tool, tmp_path)
    finished(home, tmp_path / "out")
    before = files(home)
    done = shell("export", tmp_path / "out", "--to", tool, "--into", home)
    after = files(home)

    assert done.exit_code == 0, done.stderr
    receives = RECEIVES.get(tool)
    assert sorted(after.keys() - before.keys()) == sorted(
        {*PLACES[tool], *({receives} if receives and receives not in before else ())}
    )
    assert [name for name in before if after[name] != before[name]] == ([receives] if receives in before else [])
    assert {shape(home / name) for name in PLACES[tool]} == {("PNG", (72, 128))}


def test_arcreel_finds_its_pictures_named_in_the_script_as_if_it_had_made_them(shell: Shell, tmp_path: Path):
    home = project("arcreel", tmp_path)
    script = home / "scripts" / "episode_1.json"
    before = json.loads(script.read_text(encoding="utf-8"))
    before["scenes"][1]["generated_assets"] |= {"video_clip": "videos/scene_E1S02.mp4", "status": "completed"}
    script.write_text(json.dumps(before, ensure_ascii=False), encoding="utf-8")
    finished(home, tmp_path / "out")
    shell("export", tmp_path / "out", "--to", "arcreel", "--into", script)

    for scene, status in zip(before["scenes"], ("storyboard_ready", "completed", "storyboard_ready"), strict=True):
        image = f"storyboards/scene_{scene['scene_id']}.png"
        scene["generated_assets"] |= {"storyboard_image": image, "status": status}
    assert json.loads(script.read_text(encoding="utf-8")) == before


def test_openmontage_gets_an_entry_for_each_picture_beside_those_of_others(shell: Shell, tmp_path: Path):
    home = project("openmontage", tmp_path)
    manifest = home / "artifacts" / "asset_manifest.json"
    music = {"id": "m", "type": "music", "path": "assets/m.mp3", "source_tool": "suno", "scene_id": "scene-1"}
    manifest.write_text(json.dumps({"version": "1.0", "assets": [music], "total_cost_usd": 0.1}), encoding="utf-8")
    finished(home, tmp_path / "out")
    shell("export", tmp_path / "out", "--to", "openmontage", "--into", home)

    written = json.loads(manifest.read_text(encoding="utf-8"))
    assert written["total_cost_usd"] == 0.1
    assert written["assets"][0] == music
    assert written["assets"][1] == {
        "id": "seedframe-scene-1-first",
        "type": "image",
        "path": "assets/images/scene-1-first.png",
        "source_tool": "seedframe",
        "scene_id": "scene-1",
        "prompt": "the prompt of E01_SC01_SH010_ff_v01",
        "model": "5.0-lite",
        "provider": "emulator",
        "resolution": "72x128",
        "format": "png",
        "subtype": "first_frame",
    }
    shell("export", tmp_path / "out", "--to", "openmontage", "--into", home, "--overwrite")
    assert json.loads(manifest.read_text(encoding="utf-8")) == written


LOST = {
    "vimax": ({"ratio"}, set[str]()),
    "arcreel": (set[str](), set[str]()),
    "drama-skills": ({"props"}, {"props", "id", "notes", "action", "title"}),
    "openmontage": (set[str](), {"details", "material", "dialogue", "lens", "title"}),
}
"""What a new project cannot hold or holds in other words: fields of the board, fields of its shots."""


def comparable(tool: str, board: dict[str, Any]) -> dict[str, Any]:
    """The board without what a new project of the tool cannot hold, and without its name, which is the folder's."""
    whole, each = LOST[tool]
    shots = [{name: value for name, value in shot.items() if name not in each} for shot in board["shots"]]
    return {name: value for name, value in board.items() if name not in {"project", *whole}} | {"shots": shots}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_board_becomes_a_new_project_that_reads_back_as_the_same_board(shell: Shell, tmp_path: Path, tool: str):
    finished(project(tool, tmp_path), tmp_path / "out")
    done = shell("export", tmp_path / "out", "--to", tool)

    assert done.exit_code == 0, done.stderr
    new = read_board(Path(done.stdout.strip()))
    old = read_board(tmp_path / "out" / "board.json")
    assert comparable(tool, board_to_json(new)) == comparable(tool, board_to_json(old))


def test_a_new_project_gets_each_picture_for_its_own_shot_also_the_second_time(shell: Shell, tmp_path: Path):
    (tmp_path / "odd.yaml").write_text(ODD, encoding="utf-8")
    finished(tmp_path / "odd.yaml", tmp_path / "out")
    shell("export", tmp_path / "out", "--to", "arcreel")
    first = files(tmp_path / "out" / "exports" / "arcreel")
    again = shell("export", tmp_path / "out", "--to", "arcreel", "--overwrite", "--json")

    assert again.exit_code == 0, again.stderr
    assert files(tmp_path / "out" / "exports" / "arcreel") == first
    assert len({content for name, content in first.items() if name.endswith(".png")}) == 3


def test_what_a_format_has_no_place_for_is_said(shell: Shell, tmp_path: Path):
    finished(project("arcreel", tmp_path), tmp_path / "out")
    found = json.loads(shell("export", tmp_path / "out", "--to", "vimax", "--json").stdout)["findings"]

    assert [finding["message"]["en"] for finding in found if "seedance" not in finding["message"]["en"]][:4] == [
        "vimax has no place for 'title' (–); it stays in the board.",
        "vimax has no place for 'ratio' (–); it stays in the board.",
        "vimax has no place for 'style.art_style' (–); it stays in the board.",
        "vimax has no place for 'scenes' (–); it stays in the board.",
    ]


def test_a_picture_that_is_there_stays_unless_it_may_be_replaced(shell: Shell, tmp_path: Path):
    home = project("vimax", tmp_path)
    own = home / "shots" / "0" / "first_frame.png"
    Image.new("RGB", (16, 9)).save(own)
    before = own.read_bytes()
    finished(home, tmp_path / "out")
    words = ("export", tmp_path / "out", "--to", "vimax", "--into", home, "--json")

    kept = json.loads(shell(*words).stdout)
    assert (kept["kept"], own.read_bytes()) == ([str(own)], before)
    over = json.loads(shell(*words, "--overwrite").stdout)
    assert (over["kept"], shape(own)) == ([], ("PNG", (72, 128)))


def test_frames_without_a_picture_are_counted_and_the_exit_code_says_so(shell: Shell, tmp_path: Path):
    home = project("vimax", tmp_path)
    finished(home, tmp_path / "out", without=("E01_SC01_SH020_lf",))
    done = shell("export", tmp_path / "out", "--to", "vimax", "--into", home, "--json")

    assert (done.exit_code, json.loads(done.stdout)["missing"]) == (3, ["E01_SC01_SH020_lf"])


def test_a_picture_that_was_changed_since_is_not_handed_on(shell: Shell, tmp_path: Path):
    home = project("vimax", tmp_path)
    finished(home, tmp_path / "out")
    (tmp_path / "out" / "x_E01_SC01_SH010_ff_v01_72x128.jpg").write_bytes(b"something else")
    done = shell("export", tmp_path / "out", "--to", "vimax", "--into", home)

    assert done.exit_code == 1
    assert "not the picture that was recorded" in done.stderr
    assert not (home / "shots" / "0" / "first_frame.png").exists()


@pytest.mark.parametrize("linked", ["shots", "shots/0"])
def test_nothing_is_written_through_a_link(shell: Shell, tmp_path: Path, linked: str):
    home, elsewhere = project("vimax", tmp_path), tmp_path / "elsewhere"
    finished(home, tmp_path / "out")
    (home / linked).rename(elsewhere)
    (home / linked).symlink_to(elsewhere)
    before = files(elsewhere)
    done = shell("export", tmp_path / "out", "--to", "vimax", "--into", home)

    assert (done.exit_code, "symbolic link" in done.stderr, files(elsewhere)) == (1, True, before)


@pytest.mark.parametrize(
    ("to", "into", "said"),
    [
        ("vimax", "full", "holds something, but no project of vimax"),
        ("arcreel", "other", "it is not the one this board came from"),
        ("movie", "full", "No export is called 'movie'"),
    ],
)
def test_an_export_to_the_wrong_place_is_refused(shell: Shell, tmp_path: Path, to: str, into: str, said: str):
    finished(project("vimax", tmp_path), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    other = project("arcreel", tmp_path)
    other.rename(tmp_path / "other")
    script = tmp_path / "other" / "scripts" / "episode_1.json"
    script.write_text(script.read_text(encoding="utf-8").replace('"E1S', '"E7S'), encoding="utf-8")
    before = files(tmp_path / into)
    done = shell("export", tmp_path / "out", "--to", to, "--into", tmp_path / into)

    assert (done.exit_code, said in done.stderr, files(tmp_path / into)) == (2, True, before)


@pytest.mark.parametrize(
    ("tool", "file", "old", "new", "said"),
    [
        ("vimax", "shots/1/shot_description.json", '"ff_desc": "Medium', '"x": "Medium', "needs idx and ff_desc"),
        ("arcreel", "scripts/episode_1.json", '"E1S02"', '"two"', "shot 2 ('two') needs an id such as E1S01"),
        ("drama-skills", "剧集/EP001/分镜.md", "> 竖屏 9:16 近景", "竖屏 9:16 近景", "SHOT-EP001-002A has no prompt"),
        ("openmontage", "artifacts/scene_plan.json", '"type": "', '"type": "x', "no scene of this plan is a picture"),
    ],
)
def test_a_broken_project_is_refused_with_its_file(
    shell: Shell, tmp_path: Path, tool: str, file: str, old: str, new: str, said: str
):
    home = project(tool, tmp_path)
    path = home / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    done = shell("plan", home)

    assert (done.exit_code, said in done.stderr) == (2, True), done.stderr


def test_a_folder_of_several_episodes_asks_which(shell: Shell, tmp_path: Path):
    home = project("arcreel", tmp_path)
    script = home / "scripts" / "episode_1.json"
    script.with_name("episode_2.json").write_bytes(script.read_bytes())
    done = shell("plan", home)

    assert (done.exit_code, "give the file of the board" in done.stderr) == (2, True)


def test_a_script_for_reference_videos_has_no_storyboard(shell: Shell, tmp_path: Path):
    path = tmp_path / "episode_1.json"
    path.write_text('{"title": "x", "video_units": [{"unit_id": "E1U01"}]}')

    assert "reference videos, which have no storyboard pictures" in shell("plan", path).stderr


@pytest.mark.anyio
@pytest.mark.parametrize("file", ["characters.json", "shots/0/shot_description.json"])
async def test_a_host_plans_a_project_by_the_path_of_a_file_in_it(
    open_studio: Callable[..., AbstractAsyncContextManager[Studio]], tmp_path: Path, file: str
):
    home = project("vimax", tmp_path)
    async with Client(build_server(open_studio, "en")) as client:
        result = await client.call_tool("run_storyboard", {"action": "plan", "board": str(home / file)})

    assert not result.is_error
    assert result.content[0].text.startswith("3 shots, 4 frames in 2 waves")


def test_who_arrives_in_the_last_frame_is_not_in_the_first(shell: Shell, environ: dict[str, str]):
    home = project("vimax", Path(environ["SEEDFRAME_OUTPUT_DIR"]))
    prompts = {frame["key"]: frame["prompt"] for frame in json.loads(shell("plan", home, "--json").stdout)["frames"]}

    assert "oilskin" not in prompts["E01_SC01_SH020_ff_v01"]
    assert "Mara (a lean woman" in prompts["E01_SC01_SH020_lf_v01"]
