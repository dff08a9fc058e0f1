"""The official conformance suite, every scenario that a protocol version requires, and those that must be as expected.

`cases/conformance/expected.json` names each check that does not pass, with its reason: of the server as it ships, and
of the same server with the suite's fixtures laid over it. A check that fails and is not named there fails the build; so
does one that is named and passes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from http_host import served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TESTS = Path(__file__).parents[1]
CACHE = TESTS.parent / ".cache" / "conformance"
PACKAGES = ("node@22", "@modelcontextprotocol/conformance@0.2.0-alpha.12")
EXPECTED = json.loads((TESTS / "cases" / "conformance" / "expected.json").read_text(encoding="utf-8"))
VERSIONS = ("2025-11-25", "2026-07-28")
FAILED = {"FAILURE", "WARNING"}
SCENARIO = re.compile(r"server-(.*)-\d{4}-\d\d-\d\dT.*")


@pytest.fixture(scope="module")
def suite() -> Path:
    """The suite and the node it needs, from the npm registry; kept between runs."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    command = CACHE / "node_modules" / ".bin" / "conformance"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE.parent / "conformance.lock"):
        if not command.exists():
            subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", *PACKAGES], cwd=CACHE, check=True)
    return command


@contextmanager
def bare(home: Path) -> Iterator[str]:
    """`seedframe serve --http`, as an operator starts it."""
    with served(home) as remote:
        yield f"{remote.base}/mcp"


@contextmanager
def overlaid(home: Path, how: str) -> Iterator[str]:
    """The same server with the suite's fixtures."""
    home.mkdir(parents=True)
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(TESTS),
        "SEEDFRAME_BACKEND": "emulator",
        "SEEDFRAME_OUTPUT_DIR": str(home / "pictures"),
        "SEEDFRAME_JOURNAL": str(home / "journal.sqlite3"),
        "SEEDFRAME_LANG": "en",
    }
    command = [sys.executable, str(TESTS / "conformance_overlay.py"), how]
    process = subprocess.Popen(command, env=environ, cwd=home, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+/mcp", process.stderr.readline())
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.wait(30)
        if process.stderr is not None:
            process.stderr.close()


@contextmanager
def subject(name: str, home: Path) -> Iterator[str]:
    """The address of what is examined."""
    with bare(home) if name == "bare" else overlaid(home, name) as url:
        yield url


def failures(suite: Path, url: str, version: str, out: Path) -> tuple[set[str], int]:
    """`scenario:check` of everything that did not pass, and how many checks there were."""
    path = f"{CACHE / 'node_modules' / 'node' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = [suite, "server", "--url", url, "--requirements", version, "-o", out]
    subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=500)
    failed, count = set(), 0
    for folder in out.iterdir():
        scenario = SCENARIO.fullmatch(folder.name)
        assert scenario is not None, folder.name
        for check in json.loads((folder / "checks.json").read_text(encoding="utf-8")):
            count += 1
            if check["status"] in FAILED:
                failed.add(f"{scenario[1]}:{check['id']}")
    return failed, count


def excused(subject: str, version: str) -> set[str]:
    """What the file names for this subject and version."""
    rows = EXPECTED[subject][version]
    return {check for row in rows for check in row["checks"]}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["sessions", "shipped", "bare"])
def test_what_does_not_pass_is_exactly_what_the_file_explains(name: str, version: str, suite: Path, tmp_path: Path):
    with subject(name, tmp_path / "home") as url:
        failed, count = failures(suite, url, version, tmp_path / "out")

    assert count > 60, "the suite has run"
    assert sorted(failed) == sorted(excused(name, version))


def test_every_expected_failure_has_its_reason():
    rows = [row for versions in EXPECTED.values() for found in versions.values() for row in found]

    assert all(len(row["why"]) > 30 and row["checks"] for row in rows)


def test_with_sessions_nothing_fails_but_an_extension_that_is_not_offered():
    found = [check for version in VERSIONS for check in excused("sessions", version)]

    assert [check for check in found if not check.startswith("tasks-")] == []
