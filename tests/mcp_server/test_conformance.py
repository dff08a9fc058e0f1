"""The official conformance suite on `seedframe serve --http`: every scenario that needs no fixture tools of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from http_host import served

pytestmark = pytest.mark.slow

CACHE = Path(__file__).parents[2] / ".cache" / "conformance"
PACKAGES = ("node@22", "@modelcontextprotocol/conformance@0.2.0-alpha.12")
SCENARIOS = {
    "2025-11-25": (
        "server-initialize",
        "server-session-lifecycle",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
        "ping",
        "completion-complete",
        "tools-list",
        "resources-list",
        "prompts-list",
    ),
    "2026-07-28": (
        "completion-complete",
        "tools-list",
        "resources-list",
        "prompts-list",
        "caching",
        "dns-rebinding-protection",
        "http-header-validation",
        "sep-2164-resource-not-found",
        "input-required-result-unsupported-methods",
    ),
}


@pytest.fixture(scope="module")
def suite() -> Path:
    """The suite and the node it needs, from the npm registry; kept between runs."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    command = CACHE / "node_modules" / ".bin" / "conformance"
    if not command.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", *PACKAGES], cwd=CACHE, check=True)
    return command


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`seedframe serve --http`, as an operator starts it."""
    with served(tmp_path_factory.mktemp("conformance")) as remote:
        yield f"{remote.base}/mcp"


@pytest.mark.parametrize(
    ("era", "scenario"), [(era, scenario) for era, scenarios in SCENARIOS.items() for scenario in scenarios]
)
def test_the_server_conforms(era: str, scenario: str, suite: Path, url: str, tmp_path: Path):
    path = f"{CACHE / 'node_modules' / 'node' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = [suite, "server", "--url", url, "--scenario", scenario, "--spec-version", era, "-o", tmp_path]
    done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=100)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
