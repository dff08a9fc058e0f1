"""`seedframe history forget`: prompts and details go out of the payment record, money and its guards stay."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from seedframe.cli import program
from seedframe.emulator import emulator, running
from seedframe.errors import NotConfigured
from seedframe.settings import Settings

CANARY = "canary-5d1c-cat"
Type = Any


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[Any, str]]:
    app = emulator(paint="instant")
    with running(app) as base:
        yield app, base


@pytest.fixture
def typed(environ: dict[str, str], service: tuple[Any, str]) -> Type:
    app, base = service
    app.state.service.reset()

    def run(*words: str, **variables: str) -> Result:
        settings = Settings.read({**environ, "SEEDFRAME_EMULATOR_BASE": base, **variables})
        return CliRunner().invoke(program(settings.language), list(words), obj=settings)

    return run


def made(typed: Type, number: int = 1) -> str:
    """A picture whose prompt must not be found again; gives its entry."""
    done = typed("generate", f"一只橘猫坐在窗台上，{CANARY}，第{number}张", "--json")
    assert done.exit_code == 0, done.output
    return str(json.loads(done.stdout)["id"])


def record(tmp_path: Path) -> bytes:
    return b"".join(path.read_bytes() for path in tmp_path.glob("journal.sqlite3*") if path.is_file())


def entry(typed: Type, id: str) -> dict[str, Any]:
    return dict(json.loads(typed("history", "show", id, "--json").stdout))


@pytest.mark.slow
def test_what_was_forgotten_is_in_no_file_of_the_record_and_its_cost_still_counts(typed: Type, tmp_path: Path):
    ids = [made(typed, number) for number in (1, 2)]
    before, costs = [entry(typed, id) for id in ids], typed("costs", "--json").stdout
    assert CANARY.encode() in record(tmp_path)
    done = typed("history", "forget", "--all")
    assert (done.exit_code, done.stdout) == (0, "2 entries cleared. What they cost stays counted.\n")
    assert CANARY.encode() not in record(tmp_path)
    assert typed("costs", "--json").stdout == costs
    cleared = {"request": {}, "result": None, "request_id": None, "error": None}
    assert [entry(typed, id) for id in ids] == [{**described, **cleared} for described in before]
    assert typed("history", "forget", "--all").stdout.startswith("0 entries cleared.")


@pytest.mark.slow
def test_one_entry_is_forgotten_by_its_id(typed: Type):
    first, second = made(typed, 1), made(typed, 2)
    assert json.loads(typed("journal", "forget", first, "--json").stdout) == {"cleared": 1, "kept": []}
    assert entry(typed, first)["request"] == {}
    assert CANARY in entry(typed, second)["request"]["prompt"]


@pytest.mark.slow
def test_an_age_spares_what_is_younger(typed: Type):
    id = made(typed)
    for age in ("1h", "30d", " 8W "):
        assert json.loads(typed("history", "forget", "--older-than", age, "--json").stdout)["cleared"] == 0
    time.sleep(0.01)
    assert json.loads(typed("history", "forget", "--older-than", "0h", "--json").stdout)["cleared"] == 1
    assert entry(typed, id)["request"] == {}


@pytest.mark.slow
def test_a_setting_forgets_what_is_older_at_every_start(typed: Type, tmp_path: Path):
    id = made(typed)
    typed("generate", "一盏灯", SEEDFRAME_KEEP_HISTORY="30")
    assert CANARY in entry(typed, id)["request"]["prompt"]
    time.sleep(0.01)
    assert typed("generate", "两盏灯", SEEDFRAME_KEEP_HISTORY="0.0000001").exit_code == 0
    assert entry(typed, id)["request"] == {}
    assert CANARY.encode() not in record(tmp_path)
    odd = {"SEEDFRAME_KEEP_HISTORY": "soon"}
    with pytest.raises(NotConfigured, match="SEEDFRAME_KEEP_HISTORY"):
        typed("history", "list", **odd)


@pytest.mark.slow
def test_a_forgotten_unknown_call_is_still_refused_and_can_still_be_settled(environ: dict[str, str], tmp_path: Path):
    app = emulator(paint="instant", script=["drop-before-answer"])
    with running(app) as base:

        def typed(*words: str) -> Result:
            settings = Settings.read({**environ, "SEEDFRAME_EMULATOR_BASE": base})
            return CliRunner().invoke(program(settings.language), list(words), obj=settings)

        call = ("generate", f"一只橘猫坐在窗台上，{CANARY}")
        assert typed(*call).exit_code == 5
        (unknown,) = json.loads(typed("history", "list", "--json").stdout)
        done = typed("history", "forget", "--all")
        assert done.stdout.startswith("1 entries cleared.")
        assert CANARY.encode() not in record(tmp_path)
        after = entry(typed, unknown["id"])
        kept = ("id", "fingerprint", "state", "price", "reserved", "day", "currency")
        assert {name: after[name] for name in kept} == {name: unknown[name] for name in kept}
        assert (after["request"], after["error"]) == ({}, {"kind": unknown["error"]["kind"]})
        again = typed(*call)
        assert (again.exit_code, app.state.request_log.images) == (5, 1)
        assert unknown["id"] in again.stderr
        assert typed("history", "settle", unknown["id"], "--billed").exit_code == 0


@pytest.mark.parametrize(
    ("words", "described"),
    [
        ([], "Say what to forget"),
        (["--all", "--older-than", "30d"], "Say what to forget"),
        (["d1zve22bp3z8"], "d1zve22bp3z8"),
        (["--older-than", "soon"], "soon is no age"),
        (["--older-than", "-3d"], "-3d is no age"),
    ],
)
def test_what_cannot_be_meant_is_told_and_nothing_is_forgotten(typed: Type, words: list[str], described: str):
    id = made(typed)
    done = typed("history", "forget", *words)
    assert done.exit_code == 2
    assert described in done.stderr
    assert CANARY in entry(typed, id)["request"]["prompt"]


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_the_record_and_its_log_are_for_their_owner_only_also_where_they_were_open_before(typed: Type, tmp_path: Path):
    (tmp_path / "journal.sqlite3").touch(mode=0o644)
    (tmp_path / "journal.sqlite3.owners").mkdir(mode=0o755)
    made(typed)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("journal.sqlite3*")}
    assert found == {"journal.sqlite3": 0o600, "journal.sqlite3.owners": 0o700}


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_picture_follows_the_umask_and_its_record_does_not(typed: Type, tmp_path: Path):
    before = os.umask(0o022)
    try:
        made(typed)
    finally:
        os.umask(before)
    modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pictures").iterdir()}
    assert modes == {".jpg": 0o644, ".json": 0o600}
