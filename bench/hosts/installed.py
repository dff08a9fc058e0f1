"""The hosts themselves, from npm, in the versions that the table is about.

In: nothing. Out: the folder with their commands, installed once for all runs under a lock. Never in here: how a host
is started.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

PACKAGES = (
    "node@22",
    "@anthropic-ai/claude-code@2.1.330",
    "@openai/codex@0.169.0",
    "@google/gemini-cli@0.61.0",
    "opencode-ai@1.18.33",
)
"""node@22: Gemini CLI needs a newer node than some machines have."""

FOLDER = Path(__file__).parents[2] / ".cache" / "hosts"
_REACHES_NPM_SECONDS = 60


class NotReachable(Exception):
    """npm is not there, or its registry cannot be reached."""


def commands() -> Path:
    """The folder of the hosts' commands. NotReachable says in a sentence why there is none."""
    npm = shutil.which("npm")
    if npm is None:
        raise NotReachable("npm is not installed, so no host can be.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with FileLock(FOLDER.with_suffix(".lock")):
        if _kept() != list(PACKAGES):
            _reach(npm)
            line = [npm, "install", "--silent", "--no-fund", "--no-audit", "--no-save", *PACKAGES]
            subprocess.run(line, cwd=FOLDER, check=True, timeout=1200)
            _list().write_text(json.dumps(PACKAGES), encoding="utf-8")
    return FOLDER / "node_modules" / ".bin"


def search_path() -> str:
    """PATH for a host: its own node before any other."""
    places = (FOLDER / "node_modules" / "node" / "bin", commands())
    return os.pathsep.join([*map(str, places), os.environ["PATH"]])


def versions() -> dict[str, str]:
    """What is installed, by package."""
    pairs = (package.rpartition("@") for package in PACKAGES)
    return {name: version for name, _, version in pairs}


def _reach(npm: str) -> None:
    """A registry that does not answer is a reason to skip; anything that fails after it did is an error."""
    try:
        line = [npm, "view", "--silent", PACKAGES[0], "version"]
        subprocess.run(line, check=True, capture_output=True, timeout=_REACHES_NPM_SECONDS)
    except (subprocess.SubprocessError, OSError) as error:
        raise NotReachable("The npm registry cannot be reached, so no host can be installed.") from error


def _list() -> Path:
    return FOLDER / "installed.json"


def _kept() -> object:
    try:
        return json.loads(_list().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
