"""The packages say one name, one version, one command; what each asks its user for is a setting that exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripts.dist import ROOT, facts
from scripts.dist_manifests import (
    LONGEST_REGISTRY_DESCRIPTION,
    bundle_manifest,
    bundle_project,
    plugin_manifests,
    registry_entry,
)

from seedframe import __version__
from seedframe.catalog import catalog
from seedframe.settings import SETTINGS, Settings

KNOWN = facts()
MANIFESTS = {
    **plugin_manifests(KNOWN),
    "registry": registry_entry(KNOWN),
    "bundle": bundle_manifest(KNOWN),
}


def values(document: Any, name: str) -> Iterator[Any]:
    """Every value of that name, wherever it stands."""
    if isinstance(document, dict):
        if name in document:
            yield document[name]
        for inner in document.values():
            yield from values(inner, name)
    elif isinstance(document, list):
        for inner in document:
            yield from values(inner, name)


@pytest.mark.parametrize("path", MANIFESTS)
def test_every_manifest_has_the_version_of_the_package(path: str):
    assert set(values(MANIFESTS[path], "version")) <= {__version__}


@pytest.mark.parametrize("path", [path for path in MANIFESTS if "version" in MANIFESTS[path]])
def test_every_manifest_has_the_name_and_description_of_the_package(path: str):
    manifest = MANIFESTS[path]

    assert manifest["name"].rpartition("/")[2] == "seedframe"
    assert manifest["description"] == KNOWN.description


@pytest.mark.parametrize("path", MANIFESTS)
def test_every_server_is_started_by_the_same_command(path: str):
    commands = [
        (server["command"], *server["args"])
        for servers in values(MANIFESTS[path], "mcpServers")
        if isinstance(servers, dict)
        for server in servers.values()
    ]

    assert set(commands) <= {("uvx", "--from", f"seedframe[storyboard]=={__version__}", "seedframe", "serve")}


def test_what_users_are_asked_for_exists():
    known = {row.name for row in SETTINGS} | {name for backend in catalog().backends for name in backend.key_settings}

    assert {variable.name for variable in KNOWN.variables} <= known


def test_a_field_that_a_user_left_empty_is_no_setting(environ: dict[str, str]):
    left = {variable.name: f"${{user_config.{variable.option}}}" for variable in KNOWN.variables}

    assert Settings.read({**environ, **left, "SEEDFRAME_BACKEND": "emulator"}).secrets == ()
    assert Settings.read({**environ, "SEEDFRAME_BACKEND": "${SEEDFRAME_BACKEND}"}).backend == "ark"


def test_the_registry_entry_keeps_to_its_rules():
    entry = registry_entry(KNOWN)

    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert len(entry["description"]) <= LONGEST_REGISTRY_DESCRIPTION
    assert f"<!-- mcp-name: {entry['name']} -->" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert [package["identifier"] for package in entry["packages"]] == ["seedframe"]


def test_the_bundle_needs_what_the_package_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bundled = tomllib.loads(bundle_project(KNOWN))["project"]

    assert bundled["dependencies"] == [*project["dependencies"], *project["optional-dependencies"]["storyboard"]]
    assert bundled["requires-python"] == project["requires-python"]


def test_nothing_needs_a_compiler_where_it_has_no_wheel():
    """`pysqlite3` has wheels for these and no others (its files on PyPI, 0.6.1, 2026-11)."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (row,) = [row for row in extra["storyboard"] if row.startswith("pysqlite3")]
    from packaging.requirements import Requirement

    marker = Requirement(row).marker
    assert marker is not None

    def wanted(system: str, machine: str, python: str = "3.12", implementation: str = "cpython") -> bool:
        place = {
            "sys_platform": system,
            "platform_machine": machine,
            "python_version": python,
            "implementation_name": implementation,
        }
        return marker.evaluate(place)

    assert wanted("linux", "x86_64")
    assert wanted("darwin", "arm64")
    assert wanted("win32", "AMD64")
    assert not wanted("linux", "aarch64")
    assert not wanted("darwin", "x86_64")
    assert not wanted("win32", "ARM64")
    assert not wanted("linux", "x86_64", implementation="pypy")


def test_the_skill_stands_in_a_folder_of_its_name(tmp_path: Path):
    from scripts.dist import skill_tree

    folder = skill_tree(tmp_path / KNOWN.name)

    head = (folder / "SKILL.md").read_text(encoding="utf-8").split("---")[1]
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", (folder / "SKILL.md").read_text(encoding="utf-8"))
    assert f"name: {folder.name}\n" in head
    assert [page for page in linked if not (folder / page).exists()] == []


def old_python() -> str | None:
    """A Python before 3.11 that runs; a shim that only says where others are does not."""
    versions = Path.home() / ".pyenv" / "versions"
    places = [*versions.glob("3.[6-9].*/bin/python"), *versions.glob("3.10.*/bin/python")]
    named = [found for name in ("python3.9", "python3.10") if (found := shutil.which(name))]
    for python in (*named, *map(str, places)):
        if subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
            return python
    return None


@pytest.mark.slow
def test_an_old_python_gets_one_sentence():
    python = old_python()
    if python is None:
        pytest.skip("no old Python here")
    done = subprocess.run([python, ROOT / "scripts" / "old_python.py"], capture_output=True, text=True)

    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_new_python_gets_none():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "old_python.py"], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
