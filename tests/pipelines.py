"""Other people's pipelines as they publish them, under `.cache/pipelines`: fetched once, nothing of it kept here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".cache" / "pipelines"
FETCH_SECONDS = 180


def checkout(repository: str) -> Path:
    """The published source of `owner/name`; the test is skipped where it cannot be had."""
    place = HOME / repository.replace("/", "+")
    HOME.mkdir(parents=True, exist_ok=True)
    with FileLock(HOME / "fetching.lock"):
        if not place.exists():
            _fetch(f"https://github.com/{repository}", place)
    return place


def _fetch(address: str, place: Path) -> None:
    part = place.with_name(f"{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    command = ["git", "-c", "core.hooksPath=/dev/null", "clone", "--quiet", "--depth", "1", address, str(part)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=FETCH_SECONDS)
    except (OSError, subprocess.SubprocessError):
        pytest.skip(f"{address} cannot be fetched from here")
    part.rename(place)


def typescript_runner() -> Path:
    """tsx, which runs TypeScript as it is written; the test is skipped where npm cannot bring it."""
    home = HOME / "node"
    found = home / "node_modules" / ".bin" / "tsx"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(HOME / "node.lock"):
        if not found.exists():
            command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), "tsx@4"]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=FETCH_SECONDS)
            except (OSError, subprocess.SubprocessError):
                pytest.skip("npm cannot bring tsx from here")
    return found
