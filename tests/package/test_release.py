"""A release is refused until it is whole: a clean tree, a dated changelog, one version everywhere."""

from __future__ import annotations

import json
import subprocess
import zipfile
from datetime import date
from pathlib import Path

import pytest
from scripts.release import ROOT, commands, disagreeing, not_ready

TODAY = date(2026, 11, 21)
READY = "# Changelog\n\n## Unreleased\n\n## 0.2.0 – 2026-11-21\n\n### Added\n- Much.\n\n## 0.1.0 – 2026-11-20\n"


def git(root: Path, *words: str) -> None:
    own = (
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "tag.gpgsign=false",
    )
    subprocess.run(["git", *own, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "CHANGELOG.md").write_text(READY, encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "all")
    return tmp_path


def committed(root: Path, changelog: str) -> Path:
    (root / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    git(root, "commit", "-qam", "changelog")
    return root


def test_a_clean_checkout_with_a_dated_section_is_ready(checkout: Path):
    assert list(not_ready(checkout, "0.2.0", TODAY)) == []


def test_a_dirty_tree_is_refused_by_its_files(checkout: Path):
    (checkout / "left.txt").write_text("x", encoding="utf-8")

    (reason,) = not_ready(checkout, "0.2.0", TODAY)
    assert "1 change(s)" in reason
    assert "left.txt" in reason


def test_a_version_that_is_tagged_is_refused(checkout: Path):
    git(checkout, "tag", "v0.2.0")

    (reason,) = not_ready(checkout, "0.2.0", TODAY)
    assert reason.startswith("The tag v0.2.0 exists.")


@pytest.mark.parametrize(
    ("changelog", "said"),
    [
        (READY.replace("0.2.0", "0.3.0"), "no section `## 0.2.0 – 2026-11-21`"),
        (READY.replace(" – 2026-11-21", ""), "says None"),
        (READY.replace("2026-11-21", "2026-12-24"), "says 2026-12-24"),
        (READY.replace("2026-11-21", "soon"), "says soon"),
        (READY.replace("## Unreleased\n", "## Unreleased\n\n- A thing.\n"), "still has lines under Unreleased"),
    ],
)
def test_a_changelog_that_does_not_name_the_version_and_its_day_is_refused(checkout: Path, changelog: str, said: str):
    (reason,) = not_ready(committed(checkout, changelog), "0.2.0", TODAY)
    assert said in reason


def test_packages_of_two_versions_are_told(tmp_path: Path):
    (tmp_path / "seedframe-0.2.0.tar.gz").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "seedframe-0.2.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("seedframe-0.2.0.dist-info/METADATA", "Name: seedframe\nVersion: 0.2.0\n")
    (tmp_path / "server.json").write_text(json.dumps({"version": "0.2.0", "packages": [{"version": "0.1.9"}]}))

    assert list(disagreeing(tmp_path, "0.2.0")) == ["server.json says 0.1.9, not 0.2.0."]
    assert next(iter(disagreeing(tmp_path, "0.3.0"))) == "seedframe-0.3.0-py3-none-any.whl was not built."


def test_publishing_is_only_ever_said():
    said = commands("0.2.0")
    source = (ROOT / "scripts" / "release.py").read_text(encoding="utf-8")

    assert [line.split()[0].strip("(") for line in said.splitlines()] == ["git", "uv", "gh", "cd", "docker"]
    assert "shell=True" not in source
