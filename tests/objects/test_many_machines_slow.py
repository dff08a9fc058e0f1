"""Three workers with nothing shared but PostgreSQL and an object store finish a board; each has a key of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from board_folders import picture
from s3_server import BUCKET, s3_server
from seedframe.emulator import emulator, running
from store_servers import store_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PLACE = f"s3://{BUCKET}/film"
KEYS = ("key-of-machine-0", "key-of-machine-1", "key-of-machine-2")
LATENCY = {"name": "latency", "seconds": 0.3}
SHOTS = 12


def board(folder: Path) -> Path:
    """Scenes of three shots, of which two follow the one before; a character with a reference picture."""
    folder.mkdir(parents=True)
    (folder / "rain.png").write_bytes(picture(7, (640, 640)))
    cast = [{"id": "C01", "name": "阿雨", "text": "短发女孩，黄雨衣", "references": ["rain.png"]}]
    shots = []
    for number in range(SHOTS):
        scene, place = divmod(number, 3)
        id = f"E01_SC{scene + 1:02}_SH{place + 1:02}0"
        follows = {"prev": shots[-1]["id"]} if place else {}
        shots.append(
            {"id": id, "action": f"阿雨走过第{number}座石桥", "characters": ["C01"], "motion": "缓推", **follows}
        )
    path = folder / "board.json"
    content = {"project": "river", "realistic_people": False, "characters": cast, "shots": shots}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def machine(home: Path, service: str, store: str, key: str) -> dict[str, str]:
    home.mkdir(parents=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "SEEDFRAME_BACKEND": "ark",
        "ARK_API_BASE": service,
        "ARK_API_KEY": key,
        "SEEDFRAME_LANG": "en",
        "SEEDFRAME_S3_ENDPOINT": store,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret-of-it",
    }


@contextmanager
def worker(variables: dict[str, str], url: str) -> Iterator[None]:
    """A worker in a process of its own, at work when the block begins, stopped in order at its end."""
    command = [sys.executable, "-m", "seedframe", "worker", "--database", url, "--json"]
    started = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        assert started.stdout is not None
        assert json.loads(started.stdout.readline())["event"] == "started"
        yield
    finally:
        started.terminate()
        started.communicate(timeout=60)


@pytest.mark.parametrize("kind", ["strict", "rclone"])
def test_three_machines_finish_a_board_and_pay_once_within_its_budget(
    new_database: Callable[[], str], tmp_path: Path, kind: str
) -> None:
    url = new_database()
    app = emulator(profile="ark", paint="instant", keys=KEYS, always=LATENCY)
    with ExitStack() as stack:
        service = stack.enter_context(running(app))
        if kind == "strict":
            address = stack.enter_context(s3_server()).url
        else:
            address = stack.enter_context(store_server(kind, tmp_path / "store"))
        homes = [tmp_path / f"machine-{number}" for number in range(3)]
        variables = [machine(home, service, address, key) for home, key in zip(homes, KEYS, strict=True)]
        for one in variables:
            stack.enter_context(worker(one, url))
        director = machine(tmp_path / "director", service, address, "")
        director["SEEDFRAME_INPUT_ROOTS"] = str(tmp_path / "script")  # the workers never see that folder
        command = [
            *(sys.executable, "-m", "seedframe", "storyboard", "run", str(board(tmp_path / "script"))),
            *("--out", PLACE, "--database", url, "--no-workers", "--budget", "2.64 CNY", "--json"),
        ]
        ran = subprocess.run(command, env=director, capture_output=True, encoding="utf-8", timeout=300, check=False)

    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    state = json.loads(ran.stdout.splitlines()[-1])
    log = app.state.request_log
    assert (state["counts"]["done"], state["spent"], log.posts) == (SHOTS, "2.64", SHOTS)
    assert len({frame["worker"] for frame in state["frames"]}) > 1
    assert sum(any(home.rglob("river_*.jpg")) for home in homes) > 1
    cache = tmp_path / "director" / ".local" / "share" / "seedframe" / "objects" / BUCKET / "film"
    manifest = json.loads((cache / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["totals"]["ready"] == SHOTS


def test_a_budget_of_all_machines_holds(new_database: Callable[[], str], tmp_path: Path) -> None:
    url = new_database()
    app = emulator(profile="ark", paint="instant", keys=KEYS, always=LATENCY)
    with ExitStack() as stack:
        service = stack.enter_context(running(app))
        s3 = stack.enter_context(s3_server())
        for number, key in enumerate(KEYS):
            stack.enter_context(worker(machine(tmp_path / str(number), service, s3.url, key), url))
        command = [
            *(sys.executable, "-m", "seedframe", "storyboard", "run", str(board(tmp_path / "script"))),
            *("--out", PLACE, "--database", url, "--no-workers", "--budget", "1.10 CNY", "--json"),
        ]
        director = machine(tmp_path / "director", service, s3.url, "")
        director["SEEDFRAME_INPUT_ROOTS"] = str(tmp_path / "script")
        ran = subprocess.run(command, env=director, capture_output=True, encoding="utf-8", timeout=300, check=False)

    state = json.loads(ran.stdout.splitlines()[-1])
    assert (state["counts"]["done"], Decimal(state["spent"])) == (5, Decimal("1.10")), ran.stderr[-2000:]
    assert app.state.request_log.posts == 5
