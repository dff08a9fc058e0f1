"""Ask the package index whether any locked dependency is known to be vulnerable.

In: uv.lock. Out: pip-audit's table and exit code; a sentence and 0 where the index does not answer such questions
(a mirror without the JSON API, no network). Never in here: a list of vulnerabilities of our own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
INDEX = "https://pypi.org/pypi/{name}/{version}/json"
PATIENCE = 10


def locked() -> list[tuple[str, str]]:
    """Name and version of every locked package but our own."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    return [(package["name"], package["version"]) for package in packages if "registry" in package["source"]]


def why_not(name: str, version: str) -> str | None:
    """Why the index cannot be asked about vulnerabilities; None when it can."""
    try:
        with urllib.request.urlopen(INDEX.format(name=name, version=version), timeout=PATIENCE) as answer:
            answered = json.load(answer)
    except (OSError, ValueError) as error:
        return str(error)
    return None if "vulnerabilities" in answered else "its answer has no list of vulnerabilities"


def main() -> int:
    """Audit, or say why not."""
    packages = locked()
    reason = why_not(*packages[0])
    if reason is not None:
        print(f"audit skipped: pypi.org does not answer ({reason})")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "locked.txt"
        pins.write_text("".join(f"{name}=={version}\n" for name, version in packages), encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--strict", "-r", str(pins)]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
