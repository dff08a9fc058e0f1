"""What is installed with us is locked by hash, comes from one index, and its licences are listed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK: dict[str, Any] = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
PACKAGES = {package["name"]: package for package in LOCK["package"]}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted() -> list[Requirement]:
    project = PROJECT["project"]
    groups = [*project["optional-dependencies"].values(), *PROJECT["dependency-groups"].values()]
    return [Requirement(line) for group in (project["dependencies"], *groups) for line in group]


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_every_requirement_is_locked_within_its_bounds(requirement: Requirement):
    locked = PACKAGES[normal(requirement.name)]["version"]

    assert requirement.specifier.contains(locked), "run `make lock`"


def test_every_locked_file_has_a_hash_and_comes_from_pypi():
    files = [
        file
        for package in LOCK["package"]
        for file in (*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else []))
    ]
    others = {name: package["source"] for name, package in PACKAGES.items() if name != "seedframe"}

    assert {source.get("registry") for source in others.values()} == {"https://pypi.org/simple"}
    assert {urlsplit(file["url"]).netloc for file in files} == {"files.pythonhosted.org"}
    assert [file["url"] for file in files if not re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"])] == []
    assert PACKAGES["seedframe"]["source"] == {"editable": "."}


@pytest.mark.slow
def test_the_page_of_licences_has_every_package_and_no_gap():
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    checked = subprocess.run([sys.executable, str(ROOT / "scripts" / "licences.py"), "--check"], timeout=60)

    assert checked.returncode == 0, "run `make lock`"
    assert "| ? |" not in page


@pytest.mark.slow
def test_an_audit_ends_in_a_table_or_in_a_sentence():
    """The index may not answer from here: then that is said, and nothing is claimed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "audit.py")],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "", "https_proxy": "http://127.0.0.1:9"},
    )

    assert (done.returncode, done.stdout.startswith("audit skipped: pypi.org does not answer")) == (0, True)
