"""A frame of a board in an object store, fetched by hand on one machine, is found by a worker on another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from billed_boards import large_board
from pictures_kept_back import gated_service
from s3_server import BUCKET, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PLACE = f"s3://{BUCKET}/film"


def typed(home: Path, environ: dict[str, str], *words: str | Path) -> Any:
    """What a command says in JSON, on the machine with that home: nothing else is shared."""
    machine = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "SEEDFRAME_BACKEND": "emulator",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret-of-it",
        **environ,
    }
    home.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "seedframe", *map(str, words), "--json"]
    done = subprocess.run(command, env=machine, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert done.stdout, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_frame_fetched_on_one_machine_is_stored_and_found_by_a_run_on_another(
    tmp_path: Path, new_database: Callable[[], str]
):
    url, board, environ = new_database(), large_board(tmp_path, 1), dict[str, str]()
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    with gated_service(environ) as gate, s3_server() as store:
        environ["SEEDFRAME_S3_ENDPOINT"] = store.url
        first = typed(one, environ, "storyboard", "run", board, "--out", PLACE, "--database", url)
        assert first["counts"]["unknown"] == 1
        gate.shut = False
        (fetched,) = typed(two, environ, "fetch", "--all", "--database", url)
        (picture,) = fetched["pictures"]
        assert picture["path"].startswith(str(two))
        assert any("film/lamps_" in name and name.endswith(".jpg") for name in store.puts)
        gate.shut = True  # from here on it can come from the store only
        again = typed(three, environ, "storyboard", "run", board, "--out", PLACE, "--database", url)
        assert (again["counts"]["done"], again["spent"]) == (1, "0.22")
        assert gate.bills.posts == 1
