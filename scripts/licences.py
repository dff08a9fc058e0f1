"""Write docs/licences.md: what an installation of Seedframe brings along, and under which licence.

In: uv.lock for names and versions, the installed packages for their licences (what is not installed on this machine
keeps what the page says). Out: the page. `--check` writes nothing and needs nothing installed: it compares names and
versions. Never in here: a judgement about a licence.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
HEAD = """# Licences of dependencies

Seedframe itself is MIT. Written by `make lock` from `uv.lock`: everything its installation with all extras may bring
along, on any system. Nothing of this is inside Seedframe's own package.

| package | version | licence |
|---|---|---|
"""
ROW = re.compile(r"^\| (\S+) \| (\S+) \| (.+) \|$", re.MULTILINE)
LONGEST = 60


def locked() -> dict[str, dict[str, Any]]:
    """Every package of the lock by name."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    return {package["name"]: package for package in packages}


def brought_along(packages: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Name and version of what an installation with all extras needs, the development tools left out."""
    own = packages["seedframe"]
    waiting = [*own["dependencies"], *(need for extra in own["optional-dependencies"].values() for need in extra)]
    found: dict[str, str] = {}
    while waiting:
        need = waiting.pop()
        package = packages[need["name"]]
        if need["name"] not in found:
            found[need["name"]] = package["version"]
            waiting += package.get("dependencies", [])
        extras = package.get("optional-dependencies", {})
        waiting += [inner for extra in need.get("extra", ()) for inner in extras.get(extra, ()) if inner != need]
    return dict(sorted(found.items()))


def licence(name: str, known: dict[str, str]) -> str:
    """As the package itself says it: an SPDX expression, a short text, or its classifiers."""
    try:
        facts = metadata(name)
    except PackageNotFoundError:
        return known.get(name, "?")
    classifiers = [line.rpartition(" :: ")[2] for line in facts.get_all("Classifier") or () if "License ::" in line]
    text = str(facts["License"] or "").strip()
    short = text if text and len(text) <= LONGEST and "\n" not in text else ""
    return str(facts["License-Expression"] or "") or short or ", ".join(classifiers) or known.get(name, "?")


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` say whether its names and versions are those of the lock."""
    wanted = brought_along(locked())
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    on_page = {name: (version, licence_) for name, version, licence_ in ROW.findall(page.removeprefix(HEAD))}
    if "--check" in arguments:
        return int({name: version for name, (version, _) in on_page.items()} != wanted)
    known = {name: licence_ for name, (_, licence_) in on_page.items()}
    words = {name: licence(name, known) for name in wanted}
    PAGE.write_text(HEAD + "".join(f"| {n} | {v} | {words[n]} |\n" for n, v in wanted.items()), encoding="utf-8")
    print(f"{len(wanted)} packages, without a known licence: {[name for name in wanted if words[name] == '?']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
