"""Other people's pipelines as they publish them, under `.cache/pipelines`: fetched once, nothing of it kept here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".cache" / "pipelines"
FETCH_SECONDS = 180
INSTALL_SECONDS = 400
PACKAGES = ("pydantic>=2", "httpx", "sqlalchemy>=2", "anyio", "cryptography", "volcengine-python-sdk[ark]")


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


def newer_python() -> Path:
    """An interpreter of Python 3.12, which ArcReel needs, with the packages its models and its Ark client import."""
    home = HOME / "python312"
    found = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = home / "ready"
    HOME.mkdir(parents=True, exist_ok=True)
    with FileLock(HOME / "python.lock"):
        if not ready.exists():
            commands = (
                ["uv", "venv", "--quiet", "--clear", "--python", _python312(), str(home)],
                ["uv", "pip", "install", "--quiet", "--python", str(found), *PACKAGES],
            )
            try:
                for command in commands:
                    subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
            except (OSError, subprocess.SubprocessError):
                pytest.skip("Python 3.12 with ArcReel's packages cannot be had here")
            ready.touch()
    return found


def _python312() -> str:
    """What uv is asked for: pyenv's own one, which is not on the path unless it is chosen; else any, or a download."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    kept = sorted(root.glob("versions/3.12.*/bin/python3.12"))
    return str(kept[-1]) if kept else "3.12"


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
