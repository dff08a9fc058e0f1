"""`make release`: refuse what is not ready, build every package, check them all, and print the commands that publish.

In: a clean checkout whose version has a dated section in CHANGELOG.md. Out: `dist/`, checked, and commands to type.
Exit 1 with every reason at once where something is not ready. Never in here: an upload, a tag, a change of a file.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from scripts.dist import ROOT
from seedframe import __version__

HEADING = re.compile(r"^## (\S+)(?: – (\S+))?$", re.MULTILINE)
CHECKS = ("tests/package/test_dist.py", "tests/package/test_dist_slow.py")


def not_ready(root: Path, version: str, today: date) -> Iterator[str]:
    """Every reason not to release `version` from the checkout at `root`, before anything is built."""
    if changed := _git(root, "status", "--porcelain"):
        yield f"The working tree has {len(changed.splitlines())} change(s). Commit or stash them:\n{changed}"
    if _git(root, "tag", "--list", f"v{version}"):
        yield f"The tag v{version} exists. Raise __version__ in skill/seedframe/__init__.py."
    yield from _changelog((root / "CHANGELOG.md").read_text(encoding="utf-8"), version, today)


def disagreeing(dist: Path, version: str) -> Iterator[str]:
    """Every package below `dist` that is missing or says another version."""
    names = [f"seedframe-{version}-py3-none-any.whl", f"seedframe-{version}.tar.gz"]
    yield from (f"{name} was not built." for name in names if not (dist / name).is_file())
    manifests = [path for path in sorted(dist.rglob("*.json")) if "src" not in path.relative_to(dist).parts]
    for path in manifests:
        said = set(_versions(json.loads(path.read_text(encoding="utf-8"))))
        yield from (f"{path.relative_to(dist)} says {other}, not {version}." for other in sorted(said - {version}))
    for wheel in dist.glob(f"*-{version}-*.whl"):
        with zipfile.ZipFile(wheel) as packed:
            metadata = packed.read(f"seedframe-{version}.dist-info/METADATA").decode()
        if f"\nVersion: {version}\n" not in metadata:
            yield f"{wheel.name} does not say {version} in its metadata."


def main() -> None:
    """Check, build, check again; then say what to type."""
    _stop_at(list(not_ready(ROOT, __version__, date.today())))  # noqa: DTZ011 - the day of whoever releases
    dist = ROOT / "dist"
    subprocess.run([sys.executable, "-m", "scripts.dist", str(dist)], cwd=ROOT, check=True)
    _stop_at(list(disagreeing(dist, __version__)))
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-m", "slow or not slow", *CHECKS]
    if subprocess.run(tests, cwd=ROOT, check=False).returncode:
        _stop_at(["A check of the packages failed, see above."])
    print(f"\nSeedframe {__version__} is built and checked. To publish it, type:\n\n{commands(__version__)}")


def commands(version: str) -> str:
    """What publishes a release, in the order in which each needs the one before."""
    return "\n".join(
        (
            f"git tag -a v{version} -m 'Seedframe {version}' && git push origin v{version}",
            f"uv publish dist/seedframe-{version}-py3-none-any.whl dist/seedframe-{version}.tar.gz",
            f"gh release create v{version} --notes-from-tag dist/seedframe-{version}*",
            "(cd dist && mcp-publisher login github && mcp-publisher publish)",
            f"docker build -t ghcr.io/seedframe/seedframe:{version} dist/docker && "
            f"docker push ghcr.io/seedframe/seedframe:{version}",
        )
    )


def _changelog(text: str, version: str, today: date) -> Iterator[str]:
    sections = {match[1]: (match[2], match.end()) for match in HEADING.finditer(text)}
    if version not in sections:
        yield f"CHANGELOG.md has no section `## {version} – {today}`: name what is under Unreleased."
        return
    if sections[version][0] is None or not _is_day(sections[version][0], today):
        yield f"The section {version} of CHANGELOG.md says {sections[version][0]}, which is no day until {today}."
    if "Unreleased" in sections:
        rest = text[sections["Unreleased"][1] :].partition("\n## ")[0]
        if rest.strip():
            yield "CHANGELOG.md still has lines under Unreleased: move them to the version they come with."


def _is_day(written: str, today: date) -> bool:
    try:
        return date.fromisoformat(written) <= today
    except ValueError:
        return False


def _versions(document: Any) -> Iterator[str]:
    """Every version a manifest says of this package, wherever it stands."""
    if isinstance(document, dict):
        if isinstance(document.get("version"), str):
            yield document["version"]
        for inner in document.values():
            yield from _versions(inner)
    elif isinstance(document, list):
        for inner in document:
            yield from _versions(inner)


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def _stop_at(reasons: list[str]) -> None:
    if reasons:
        raise SystemExit("Not released.\n- " + "\n- ".join(reasons))


if __name__ == "__main__":
    main()
