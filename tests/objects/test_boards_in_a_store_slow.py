"""Boards whose folder is a place in an object store: run, killed, opened elsewhere; on three kinds of server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from s3_server import BUCKET, s3_server
from seedframe.cli import program
from seedframe.emulator import emulator, running
from seedframe.objects.mirror import Mirror
from seedframe.settings import Settings
from store_servers import store_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PLACE = f"s3://{BUCKET}/film"
BOARD = """
project: river
realistic_people: false
shots:
  - {id: E01_SC01_SH010, action: 一座石桥横在雾里的河面上, motion: 镜头缓缓推近}
  - {id: E01_SC01_SH020, prev: E01_SC01_SH010, action: 一条小船停在桥下, motion: 小船轻轻摇晃}
"""
FRAMES = ("river_E01_SC01_SH010_ff_v01_1440x2560.jpg", "river_E01_SC01_SH020_ff_v01_1440x2560.jpg")


@pytest.fixture
def service(environ: dict[str, str]) -> Iterator[Any]:
    app = emulator(paint="instant")
    with running(app) as base:
        environ["SEEDFRAME_EMULATOR_BASE"] = base
        yield app.state.service


def machine(home: Path, environ: dict[str, str], url: str) -> dict[str, str]:
    """The variables of a machine with a disk of its own."""
    return {
        **environ,
        "SEEDFRAME_S3_ENDPOINT": url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret-of-it",
        "SEEDFRAME_S3_CACHE": str(home / "cache"),
        "SEEDFRAME_JOURNAL": str(home / "journal.sqlite3"),
        "SEEDFRAME_OUTPUT_DIR": str(home / "pictures"),
    }


def typed(variables: dict[str, str], *words: str) -> Result:
    settings = Settings.read(variables)
    return CliRunner().invoke(program("en"), list(words), obj=settings, catch_exceptions=False)


def stored(variables: dict[str, str]) -> dict[str, int]:
    settings = Settings.read({**variables, "SEEDFRAME_OUTPUT_DIR": PLACE})
    mirror = Mirror.of(settings.output_dir, settings)
    assert mirror is not None
    return mirror.names()


@pytest.fixture(params=["strict", "rclone", "moto"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "strict":
        with s3_server() as server:
            yield server.url
    else:
        with store_server(request.param, tmp_path / "store") as address:
            yield address


def test_a_board_is_run_into_a_store_and_opened_from_another_machine(
    url: str, service: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "board.yaml"
    file.write_text(BOARD, encoding="utf-8")
    here, there = (machine(tmp_path / name, environ, url) for name in ("here", "there"))

    ran = typed(here, "storyboard", "run", str(file), "--out", PLACE)

    assert ran.exit_code == 0, ran.output
    names = stored(here)
    assert {*FRAMES, *(f"{name}.json" for name in FRAMES), "board.json", "manifest.json", "sheet.html"} <= {*names}
    looked = typed(there, "storyboard", "status", PLACE, "--json")
    assert json.loads(looked.stdout)["counts"]["done"] == 2, looked.output
    again = typed(there, "storyboard", "resume", PLACE, "--json")
    assert (again.exit_code, json.loads(again.stdout.splitlines()[-1])["counts"]["done"]) == (0, 2), again.output
    assert service.request_log.posts == 2
    sent = typed(there, "storyboard", "requests", PLACE, "--pictures", "url", "--json")
    (first, _) = Path(json.loads(sent.stdout)["requests"]).read_text(encoding="utf-8").splitlines()
    assert "X-Amz-Signature=" in json.loads(first)["content"][1]["image_url"]["url"]


@pytest.mark.parametrize("until", ["picture", "sidecar"])
def test_a_killed_upload_goes_on_with_the_same_call_and_costs_nothing(
    service: Any, environ: dict[str, str], tmp_path: Path, until: str
) -> None:
    with s3_server() as s3:
        variables = {**machine(tmp_path, environ, s3.url), "SEEDFRAME_OUTPUT_DIR": PLACE}
        s3.faults = ["hold"] if until == "picture" else ["", "hold"]
        command = [sys.executable, "-m", "seedframe", "generate", "雨后的江南小巷", "--ratio", "9:16"]
        process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert s3.held.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        s3.release.set()

        again = typed(variables, "generate", "雨后的江南小巷", "--ratio", "9:16")

        assert again.exit_code == 0, again.output
        assert service.request_log.posts == 1
        pictures = sorted(key for key in s3.objects if key.startswith("film/"))
        assert [name.endswith(".json") for name in pictures] == [False, True]
        assert pictures[1] == f"{pictures[0]}.json"


def test_a_frame_waits_for_a_store_that_is_away_and_is_never_paid_again(
    service: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "board.yaml"
    file.write_text(BOARD, encoding="utf-8")
    with s3_server() as s3:
        variables = machine(tmp_path, environ, s3.url)
        s3.faults = ["refuse", "refuse"]
        ran = typed(variables, "storyboard", "run", str(file), "--out", PLACE)

        assert ran.exit_code == 0, ran.output
        assert (service.request_log.posts, s3.faults) == (2, [])
        assert all(f"film/{name}" in s3.objects for name in FRAMES)


def test_a_store_that_refuses_is_told_before_anything_is_paid(
    service: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "board.yaml"
    file.write_text(BOARD, encoding="utf-8")
    with s3_server() as s3:
        s3.refuses = True
        ran = typed(machine(tmp_path, environ, s3.url), "storyboard", "run", str(file), "--out", PLACE)

    assert (ran.exit_code, "object store" in ran.output) == (1, True), ran.output
    assert service.request_log.posts == 0
