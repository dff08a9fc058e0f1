"""The vendor's SDKs in an environment of their own (`.cache/strangers`, made once): nothing of ours is inside."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".cache" / "strangers"
PACKAGES = ("volcengine-python-sdk[ark]", "arkruntime", "byteplus-python-sdk-v2", "openai")


def interpreter() -> Path:
    """The interpreter of the strangers' environment."""
    found = HOME / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = HOME / "ready"
    HOME.parent.mkdir(exist_ok=True)
    with FileLock(HOME.parent / "strangers.lock"):
        if not ready.exists() or ready.read_text(encoding="utf-8") != "\n".join(PACKAGES):
            venv.create(HOME, with_pip=True, clear=True)
            subprocess.run([found, "-m", "pip", "install", "--quiet", *PACKAGES], check=True, timeout=800)
            ready.write_text("\n".join(PACKAGES), encoding="utf-8")
    return found
