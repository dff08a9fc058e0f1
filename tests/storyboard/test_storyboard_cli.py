"""`seedframe storyboard` as it is typed: from a file to frames, a manifest and a sheet, stopped and resumed at will."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from starlette.applications import Starlette

from seedframe.cli import program
from seedframe.emulator import emulator, running
from seedframe.settings import Settings
from seedframe.storyboard.board import board_schema, example
from seedframe.storyboard.board_plan import pace
from seedframe.storyboard.handoff.manifest import check_manifest, manifest_schema

SMALL = """
project: river
takes: 2
shots:
  - id: E01_SC01_SH010
    action: 一座石桥横在雾里的河面上，晨光从桥洞透过来
    motion: 镜头缓缓推近
  - id: E01_SC01_SH020
    prev: E01_SC01_SH010
    action: 一条小船停在桥下，船头的灯亮着，水面平静
    motion: 小船轻轻摇晃
"""
PATIENCE = 90


@dataclass(frozen=True)
class Shell:
    """Commands typed in one home, in this process or in one of their own."""

    environ: dict[str, str]
    home: Path
    service: Starlette

    def __call__(self, *words: str | Path, typed: str | None = None, **variables: str) -> Result:
        settings = Settings.read({**self.environ, **variables})
        command = ["storyboard", *map(str, words)]
        return CliRunner().invoke(program(settings.language), command, obj=settings, input=typed)

    def json(self, *words: str | Path) -> Any:
        return json.loads(self(*words, "--json").stdout)

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "seedframe", "storyboard", *map(str, words)],
            env={**os.environ, **self.environ},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str | Path) -> tuple[int, list[str], list[str]]:
        """Exit code, lines of stdout, lines of stderr."""
        process = self.start(*words)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out.splitlines(), err.splitlines()

    @property
    def billed(self) -> int:
        return int(self.service.state.request_log.images)


@pytest.fixture(scope="module")
def socket_service() -> Iterator[tuple[Starlette, str]]:
    service = emulator(paint="instant")
    with running(service) as base:
        yield service, base


@pytest.fixture
def shell(environ: dict[str, str], socket_service: tuple[Starlette, str], tmp_path: Path) -> Shell:
    service, base = socket_service
    service.state.service.reset()
    return Shell({**environ, "SEEDFRAME_EMULATOR_BASE": base}, tmp_path, service)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "river.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def frames(out: Path) -> list[str]:
    return sorted(path.name for path in out.rglob("*.jpg") if not {".seedframe", "thumbnails"} & set(path.parts))


def manifest_of(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "manifest.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_init_writes_an_example_that_can_be_planned_as_it_is(shell: Shell, tmp_path: Path, form: str):
    path = tmp_path / f"board.{form}"
    done = shell("init", path)
    assert (done.exit_code, done.stdout) == (0, f"{path}\n")
    assert path.read_text(encoding="utf-8") == example(form)
    assert shell.json("plan", path)["totals"]["frames"] == 17


def test_init_never_writes_over_a_board(shell: Shell, board: Path):
    done = shell("init", board)
    assert (done.exit_code, board.read_text(encoding="utf-8")) == (2, SMALL)
    assert "already there" in done.stderr


def test_init_says_which_formats_there_are(shell: Shell, tmp_path: Path):
    done = shell("init", tmp_path / "board.docx")
    assert done.exit_code == 2
    assert "YAML or JSON" in done.stderr


def test_both_schemas_are_published(shell: Shell):
    assert shell.json("schema") == board_schema()
    assert shell.json("schema", "--manifest") == manifest_schema()


def test_a_plan_lists_every_frame_and_what_it_comes_to_and_pays_nothing(shell: Shell, board: Path):
    done = shell("plan", board)
    assert done.exit_code == 0
    *table, total = done.stdout.splitlines()
    assert [line.split()[:3] for line in table] == [
        [wave, f"E01_SC01_SH0{shot}0_ff_v0{take}", "1440x2560"]
        for wave, shot in (("1", 1), ("2", 2))
        for take in (1, 2)
    ]
    assert total == "2 shots, 4 frames in 2 waves; at most 0.88 CNY; about 1 s to 3 s."
    assert shell.billed == 0


def test_a_plan_tells_whole_prompts_when_asked(shell: Shell, board: Path):
    assert "一座石桥横在雾里的河面上，晨光从桥洞透过来" in shell("plan", board, "--prompts").stdout


def test_a_plan_is_told_in_chinese(shell: Shell, board: Path):
    described = shell("plan", board, SEEDFRAME_LANG="zh").stdout.splitlines()[-1]
    assert described == "2 个镜头，4 个画面，分 2 批；最多 0.88 CNY；大约 1 秒到 3 秒。"


def test_a_board_may_come_through_a_pipe(shell: Shell):
    done = shell("plan", "-", "--json", typed=SMALL)
    assert json.loads(done.stdout)["totals"]["shots"] == 2


@pytest.mark.slow
def test_a_plan_that_cannot_be_run_ends_with_code_two_and_marks_the_frames(shell: Shell, board: Path):
    board.write_text(SMALL.replace("takes: 2", 'model: "4.5"\nstrict: true'), encoding="utf-8")
    done = shell("plan", board)
    assert done.exit_code == 2
    assert done.stdout.startswith("  ✕ E01_SC01_SH010_ff_v01")
    assert done.stdout.splitlines()[-1] == "2 frames cannot be made as described (✕)."


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ("project: x\nshots:\n  - id: E01_SC01_SH010\n    acton: 雨\n", "line 4, column 5"),
        ("project: x\nshots: []\n", "line 2"),
        ("", "the file is empty"),
    ],
)
def test_a_mistake_is_told_with_its_place(shell: Shell, board: Path, text: str, described: str):
    board.write_text(text, encoding="utf-8")
    done = shell("plan", board)
    assert done.exit_code == 2
    assert described in done.stderr


def test_a_file_that_is_not_there_is_told(shell: Shell, tmp_path: Path):
    done = shell("plan", tmp_path / "nothing.yaml")
    assert done.exit_code == 2
    assert "nothing.yaml" in done.stderr


@pytest.mark.parametrize("command", ["status", "resume", "cancel", "sheet", "pick", "retry"])
def test_a_folder_without_a_board_is_told_and_stays_as_it_is(shell: Shell, tmp_path: Path, command: str):
    folder = tmp_path / "empty"
    folder.mkdir()
    more = {"pick": ["E01_SC01_SH010", "1"], "retry": ["--failed"]}.get(command, [])
    done = shell(command, folder, *more)
    assert done.exit_code == 2
    assert str(folder) in done.stderr
    assert list(folder.iterdir()) == []


def test_what_to_retry_must_be_said(shell: Shell, tmp_path: Path):
    done = shell("retry", tmp_path)
    assert done.exit_code == 2
    assert "--failed" in done.stderr


def test_a_board_that_cannot_be_made_is_refused_before_anything_is_paid(shell: Shell, board: Path, tmp_path: Path):
    board.write_text(SMALL.replace("takes: 2", 'model: "4.5"\nstrict: true'), encoding="utf-8")
    done = shell("run", board, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "Nothing was paid" in done.stderr
    assert (shell.billed, (tmp_path / "out").exists()) == (0, False)


def test_an_odd_budget_is_refused_before_anything_is_paid(shell: Shell, board: Path, tmp_path: Path):
    done = shell("run", board, "--out", tmp_path / "out", "--budget", "a lot")
    assert done.exit_code == 2
    assert shell.billed == 0


def test_a_worker_without_a_key_does_not_begin_to_fail_frames(environ: dict[str, str], tmp_path: Path):
    settings = Settings.read({**environ, "SEEDFRAME_BACKEND": "ark"})
    words = ["worker", "--database", f"sqlite:///{tmp_path / 'book.sqlite3'}"]
    done = CliRunner().invoke(program(settings.language), words, obj=settings)
    assert done.exit_code == 2
    assert "ARK_API_KEY" in done.stderr
    assert not (tmp_path / "book.sqlite3").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", [("resume",), ("retry", "--unknown")], ids=["resume", "retry"])
def test_a_rehearsal_never_goes_on_for_money(shell: Shell, board: Path, tmp_path: Path, command: tuple[str, ...]):
    out = tmp_path / "out"
    shell("run", board, "--out", out)
    before = shell.json("status", out)
    name, *more = command
    done = shell(name, out, *more, SEEDFRAME_BACKEND="ark", ARK_API_KEY="ark-0123456789abcdef")
    assert done.exit_code == 2
    assert "--backend emulator" in done.stderr
    assert shell.json("status", out) == before


@pytest.mark.slow
def test_an_expected_time_counts_on_as_many_calls_as_a_worker_makes():
    from seedframe.storyboard.run.worker import AT_ONCE

    assert pace()["at_once"] == AT_ONCE


@pytest.mark.slow
def test_the_example_runs_with_one_command_to_a_manifest_and_a_sheet(shell: Shell, tmp_path: Path):
    path, out = tmp_path / "board.yaml", tmp_path / "moon"
    shell("init", path)
    code, described, events = shell.run("run", path, "--out", out)
    assert (code, shell.billed) == (0, 17), events
    assert len(frames(out)) == 17
    assert frames(out)[0] == "moonmender_E01_SC01_SH010_ff_v01_1440x2560.jpg"
    assert described[0] == "moonmender: 17 of 17 frames done; 3.74 CNY"
    assert described[1:] == [str(out / "manifest.json"), str(out / "sheet.html")]
    assert any(line.startswith("[17/17]") for line in events)
    manifest = manifest_of(out)
    assert [finding for finding in check_manifest(manifest) if finding.severity == "error"] == []
    assert manifest["totals"]["ready"] == 12
    assert manifest["shots"][3]["job"]["mode"] == "first_last_frame"
    for shot in manifest["shots"]:
        for frame in shot["frames"]:
            with Image.open(out / frame["file"]) as picture:
                assert picture.size == (frame["width"], frame["height"])


@pytest.mark.slow
def test_events_for_machines_are_lines_of_json_and_the_last_is_the_state(shell: Shell, board: Path, tmp_path: Path):
    code, described, _ = shell.run("run", board, "--out", tmp_path / "out", "--json")
    events = [json.loads(line) for line in described]
    assert code == 0
    assert sum(event["event"] == "done" for event in events) == 4
    assert events[-1]["event"] == "state"
    assert events[-1]["counts"]["done"] == 4
    assert shell.json("status", tmp_path / "out")["finished"] is True


@pytest.mark.slow
def test_a_finished_board_is_never_paid_again(shell: Shell, board: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert [shell.run("run", board, "--out", out)[0] for _ in range(2)] == [0, 0]
    assert (shell.billed, len(frames(out))) == (4, 4)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda blow: blow.name)
def test_a_run_that_is_stopped_goes_on_and_pays_no_frame_twice(shell: Shell, tmp_path: Path, blow: signal.Signals):
    path, out = tmp_path / "board.yaml", tmp_path / "moon"
    shell("init", path)
    process = shell.start("run", path, "--out", out)
    deadline = time.monotonic() + PATIENCE
    while shell.billed < 4 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(blow)
    _, described = process.communicate(timeout=PATIENCE)
    if blow is not signal.SIGKILL:
        assert process.returncode == 130, described
        assert f"storyboard resume {out}" in described
    code, _, events = shell.run("resume", out)
    state = shell.json("status", out)
    done, unknown = state["counts"]["done"], state["counts"]["unknown"]
    # What the blow hit between payment and disk is unknown: never paid again by itself, and what needs it waits.
    assert done <= shell.billed <= done + unknown, events
    assert done <= len(frames(out)) <= done + unknown
    assert done + unknown + state["counts"]["waiting"] == 17
    assert code == (5 if unknown else 0)
    if unknown:
        assert shell.run("retry", out, "--unknown")[0] == 0
    assert shell.json("status", out)["finished"] is True
    assert 17 <= shell.billed <= 17 + unknown


@pytest.mark.slow
def test_failed_frames_run_again_by_choice_only(shell: Shell, board: Path, tmp_path: Path):
    out = tmp_path / "out"
    shell.service.state.service.script.load(["output-image-sensitive", "output-image-sensitive"])
    code, described, _ = shell.run("run", board, "--out", out)
    assert code in {1, 3}
    assert any("--failed" in line for line in described)
    before = shell.billed
    assert shell.run("run", board, "--out", out)[0] == code
    assert shell.billed == before
    assert shell.run("retry", out, "--failed")[0] == 0
    assert (shell.billed, len(frames(out))) == (4, 4)


@pytest.mark.slow
def test_lost_pictures_and_edited_shots_are_paid_for_anew_by_choice_only(shell: Shell, board: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert shell.run("run", board, "--out", out, "--at-once", "2")[0] == 0
    lost = out / frames(out)[0]
    lost.unlink()
    code, described, _ = shell.run("resume", out)
    assert (code, shell.billed) == (3, 4)
    assert any("retry" in line and "--lost" in line for line in described)
    assert shell.run("retry", out, "--lost")[0] == 0
    assert (shell.billed, lost.exists()) == (5, True)
    board.write_text(SMALL.replace("灯亮着", "灯灭了"), encoding="utf-8")
    code, described, _ = shell.run("run", board, "--out", out)
    assert (code, shell.billed, len(shell.json("status", out)["stale"])) == (0, 5, 2)
    assert any("redo" in line and "--stale" in line for line in described)
    assert shell.run("redo", out, "E01_SC01_SH020")[0] == 0
    assert (shell.billed, shell.json("status", out)["stale"]) == (7, [])


@pytest.mark.slow
def test_a_pick_is_marked_in_the_manifest_and_on_the_sheet(shell: Shell, board: Path, tmp_path: Path):
    out = tmp_path / "out"
    shell.run("run", board, "--out", out)
    done = shell("pick", out, "E01_SC01_SH010", "2")
    assert (done.exit_code, done.stdout) == (0, "E01_SC01_SH010_ff: E01_SC01_SH010_ff_v02\n")
    assert shell("pick", out, "E01_SC01_SH020_ff_v02", "E01_SC01_SH010_ff_v01").exit_code == 0
    manifest = manifest_of(out)
    picked = [frame["key"] for shot in manifest["shots"] for frame in shot["frames"] if frame["picked"]]
    assert picked == ["E01_SC01_SH010_ff_v01", "E01_SC01_SH020_ff_v02"]
    assert manifest["shots"][1]["job"]["images"][0]["key"] == "E01_SC01_SH020_ff_v02"
    page = (out / "sheet.html").read_text(encoding="utf-8")
    assert page.count('class="take" aria-pressed="true"') == 2
    assert f"seedframe storyboard pick {out}" in page
    # A later run keeps the picks.
    assert shell.run("run", board, "--out", out)[0] == 0
    assert (out / "sheet.html").read_text(encoding="utf-8").count('class="take" aria-pressed="true"') == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choice", "described"),
    [
        (["E01_SC01_SH010", "3"], "There is no take 3; there are 2."),
        (["E01_SC01_SH090", "1"], "is neither a shot, a frame nor a frame key"),
        (["E01_SC01_SH010"], "needs the number of a take"),
    ],
)
def test_an_impossible_pick_is_told(shell: Shell, board: Path, tmp_path: Path, choice: list[str], described: str):
    out = tmp_path / "out"
    shell.run("run", board, "--out", out)
    done = shell("pick", out, *choice)
    assert done.exit_code == 2
    assert described in done.stderr
    assert not (out / "picks.json").exists()


@pytest.mark.slow
def test_the_sheet_is_drawn_anew_as_a_page_and_a_picture(shell: Shell, board: Path, tmp_path: Path):
    out = tmp_path / "out"
    shell.run("run", board, "--out", out)
    (out / "sheet.html").unlink()
    done = shell("sheet", out, SEEDFRAME_LANG="zh")
    assert done.stdout.split() == [str(out / "sheet.html"), str(out / "sheet.png")]
    assert '<html lang="zh"' in (out / "sheet.html").read_text(encoding="utf-8")
    with Image.open(out / "sheet.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.slow
def test_a_cancelled_board_stays_so_until_it_is_resumed(shell: Shell, tmp_path: Path):
    path, out = tmp_path / "board.yaml", tmp_path / "moon"
    shell("init", path)
    shell.service.state.service.script.load({"always": "latency 0.6"})
    process = shell.start("run", path, "--out", out, "--at-once", "2")
    deadline = time.monotonic() + PATIENCE
    while shell.billed < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    assert shell("cancel", out).exit_code == 0
    process.communicate(timeout=PATIENCE)
    assert shell.json("status", out)["counts"]["cancelled"] > 0
    shell.service.state.service.script.load([])
    code, _, events = shell.run("resume", out)
    assert (code, shell.billed, len(frames(out))) == (0, 17, 17), events


@pytest.mark.slow
def test_a_budget_stops_the_board_before_it_is_exceeded(shell: Shell, board: Path, tmp_path: Path):
    out = tmp_path / "out"
    code, _, _ = shell.run("run", board, "--out", out, "--budget", "0.50 CNY")
    assert code != 0
    assert shell.billed == 2
    assert shell.run("resume", out, "--budget", "5 CNY")[0] == 0
    assert shell.billed == 4


@pytest.mark.slow
def test_one_folder_is_run_by_one_process_at_a_time(shell: Shell, tmp_path: Path):
    path, out = tmp_path / "board.yaml", tmp_path / "moon"
    shell("init", path)
    shell.service.state.service.script.load({"always": "latency 2"})
    first = shell.start("run", path, "--out", out)
    deadline = time.monotonic() + PATIENCE
    while shell.billed < 1 and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.01)
    code, _, described = shell.run("run", path, "--out", out)
    _, events = first.communicate(timeout=PATIENCE)
    assert code == 2
    assert "already under way" in described[-1]
    assert (first.returncode, shell.billed) == (0, 17), events


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_terminal_gets_a_bar(shell: Shell, board: Path, tmp_path: Path):
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "seedframe", "storyboard", "run", board, "--out", tmp_path / "out"],
        env={**os.environ, **shell.environ, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=slave,
    )
    os.close(slave)
    shown = b""
    try:
        while piece := os.read(master, 65_536):
            shown += piece
    except OSError:  # the terminal is gone with its last user
        pass
    finally:
        os.close(master)
    assert process.wait(PATIENCE) == 0
    described = shown.decode()
    assert "[####################################]  100%" in described
    assert "E01_SC01_SH020_ff_v02 is done." in described


@pytest.mark.slow
def test_a_shot_made_again_makes_its_last_frame_from_its_new_first_frame(shell: Shell, tmp_path: Path):
    board, out = tmp_path / "board.yaml", tmp_path / "out"
    assert shell.run("init", board)[0] == 0
    assert shell.run("run", board, "--out", out)[0] == 0
    billed = shell.billed

    code, described, _ = shell.run("redo", out, "E01_SC01_SH040")

    states = {frame["task"]: frame["state"] for frame in shell.json("status", out)["frames"]}
    assert code == 0, described
    assert set(states.values()) == {"done"}
    assert shell.billed - billed == sum(task.startswith("E01_SC01_SH040_") for task in states) == 4


def test_a_place_that_is_none_is_refused_as_it_was_given(shell: Shell, board: Path):
    done = shell("run", board, "--out", "s3://X/y")

    assert done.exit_code == 2
    assert "'s3://X/y' is no place" in done.stderr
    assert "s3://bucket/prefix" in done.stderr
