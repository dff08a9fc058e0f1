"""`make dist`: every package of Seedframe, built from `pyproject.toml`, the data, the Skill and the references.

In: the repository. Out: `dist/` with wheel and sdist, `plugin/` (Claude Code, Codex, Cursor, Gemini, Agent Plugins,
and what `npx skills add` takes), `skill/seedframe/`, `server.json`, `mcpb/` and `docker/`. With `mcpb` on PATH the
bundle is packed too. Never in here: a manifest's content, an upload.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts import dist_manifests
from scripts.dist_icon import draw_icon
from scripts.dist_manifests import Facts, Variable
from seedframe import __version__
from seedframe.catalog import catalog, tool_rows

ROOT = Path(__file__).resolve().parents[1]
TEXTS = Path(__file__).with_name("packages")
SKILL_FOLDERS = ("references", "prompts")
_MARK = re.compile(r"<!-- mcp-name: (\S+) -->")
_SENTENCE = re.compile(r"^.+?[.。](?=\s|$)")


def facts(root: Path = ROOT) -> Facts:
    """What all packages say alike, read from where it is at home."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = json.loads((TEXTS / "texts.json").read_text(encoding="utf-8"))
    mark = _MARK.search((root / "README.md").read_text(encoding="utf-8"))
    if mark is None:
        raise SystemExit("README.md has no `<!-- mcp-name: … -->`: the MCP Registry needs it to know whose this is.")
    return Facts(
        name=project["name"],
        version=__version__,
        title=texts["title"],
        description=texts["description"],
        keywords=tuple(project["keywords"]),
        license=project["license"],
        requires_python=project["requires-python"],
        dependencies=(*project["dependencies"], *project["optional-dependencies"]["storyboard"]),
        homepage=project["urls"]["Documentation"].partition("#")[0],
        registry_name=mark[1],
        hosts=tuple(backend.base_url for backend in catalog().backends if backend.base_url),
        variables=tuple(Variable(**row) for row in texts["variables"]),
        tools=tuple((name, _first_sentence(name)) for name in tool_rows()["tools"]),
    )


def build(target: Path, known: Facts) -> None:
    """Everything that needs no tool beside Python, below `target`."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    wheel = _python_packages(target)
    _plugin(target / "plugin", known)
    skill_tree(target / "skill" / known.name)
    _write(target / "server.json", dist_manifests.registry_entry(known))
    _bundle(target / "mcpb", known, wheel)
    _docker(target / "docker", wheel)


def main() -> None:
    """Build into the folder given, `dist` by default, and say what is there."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    known = facts()
    build(target, known)
    if packer := shutil.which("mcpb"):
        bundle = target / f"{known.name}-{known.version}.mcpb"
        subprocess.run([packer, "pack", str(target / "mcpb"), str(bundle)], check=True)
    for path in sorted(target.iterdir()):
        print(path.relative_to(target.parent))


def _python_packages(target: Path) -> Path:
    """Wheel and sdist; returns the wheel."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(target.absolute())]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = target.glob("*.whl")
    return wheel


def _plugin(folder: Path, known: Facts) -> None:
    for path, document in dist_manifests.plugin_manifests(known).items():
        _write(folder / path, document)
    skill_tree(folder / "skills" / known.name)
    for name in ("README.md", "GEMINI.md"):
        _text(folder / name, (TEXTS / f"plugin-{name}").read_text(encoding="utf-8").replace("{version}", known.version))
    shutil.copy(ROOT / "LICENSE", folder / "LICENSE")
    draw_icon(folder / ".claude-plugin" / "icon.png")


def skill_tree(folder: Path) -> Path:
    """The Agent Skill in a folder of its own name, as the specification asks; returns the folder."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "SKILL.md", folder / "SKILL.md")
    for name in SKILL_FOLDERS:
        pages = [page for page in (ROOT / name).rglob("*.md") if page.is_file()]
        for page in pages:
            copy = folder / page.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(page, copy)
    return folder


def _bundle(folder: Path, known: Facts, wheel: Path) -> None:
    _write(folder / "manifest.json", dist_manifests.bundle_manifest(known))
    _text(folder / "pyproject.toml", dist_manifests.bundle_project(known))
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "src", [name for name in packed.namelist() if ".dist-info/" not in name])
    shutil.copy(TEXTS / "server.py", folder / "src" / "server.py")
    shutil.copy(ROOT / "LICENSE", folder / "LICENSE")
    _text(folder / ".mcpbignore", ".venv\n__pycache__\n")
    draw_icon(folder / "icon.png")


def _docker(folder: Path, wheel: Path) -> None:
    folder.mkdir()
    shutil.copy(TEXTS / "Dockerfile", folder / "Dockerfile")
    shutil.copy(wheel, folder / wheel.name)


def _first_sentence(tool: str) -> str:
    description = str(tool_rows()["tools"][tool]["description"])
    found = _SENTENCE.match(description)
    return found[0] if found else description


def _write(path: Path, document: Mapping[str, Any]) -> None:
    _text(path, json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
