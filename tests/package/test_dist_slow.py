"""Every package is built, passes its validator, is installed into an empty HOME, and its tools are seen by a client."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from scripts.dist import ROOT

from seedframe import __version__

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("dist")]

CACHE = ROOT / ".cache" / "dist-tools"
NPM = (
    "node@22",
    "@anthropic-ai/claude-code@2.1.197",
    "@anthropic-ai/mcpb@2.1.2",
    "@google/gemini-cli@0.61.0",
    "@openai/codex@0.169.0",
    "skills@1",
)
PYPI = ("skills-ref==0.1.1", "skillsaw==0.22.0")
TOOLS = {"generate_image", "edit_image", "style_prompt", "run_storyboard"}


@dataclass(frozen=True)
class Tools:
    """Where the validators are; each is there or its tests say that they were skipped."""

    npm: Path | None
    python: Path | None
    dist: Path

    def run(self, home: Path, *command: str, cwd: Path | None = None, typed: str = "") -> str:
        """What a tool says with an empty HOME; it must succeed."""
        places = [self.npm / ".bin", self.npm / "node" / "bin"] if self.npm else []
        places += [self.python] if self.python else []
        found = shutil.which(command[0], path=os.pathsep.join(map(str, places)))
        if found is None:
            pytest.skip(f"{command[0]} could not be installed")
        environ = {
            "PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]]),
            "HOME": str(home),
            "CODEX_HOME": str(home),
            "SEEDFRAME_BACKEND": "emulator",
            **index(self.dist),
        }
        done = subprocess.run(
            [found, *command[1:]], env=environ, cwd=cwd, input=typed, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


def index(dist: Path) -> dict[str, str]:
    """How packages are found: as this machine does, and the wheel that was just built as if it were on the index."""
    cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True).stdout.strip() if _uv() else ""
    found = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_"))}
    links = ",".join(filter(None, (str(dist), os.environ.get("UV_FIND_LINKS"))))
    return {**found, "UV_FIND_LINKS": links, **({"UV_CACHE_DIR": cache} if cache else {})}


def _uv() -> str | None:
    return shutil.which("uv")


@pytest.fixture(scope="module")
def tools(dist: Path) -> Tools:
    """From npm and PyPI, kept between runs."""
    CACHE.mkdir(parents=True, exist_ok=True)
    npm = CACHE / "node_modules"
    if not (npm / ".bin" / "mcpb").exists() and shutil.which("npm"):
        subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", *NPM], cwd=CACHE, check=False)
    scripts = CACHE / "venv" / ("Scripts" if os.name == "nt" else "bin")
    if not (scripts / "skillsaw").exists():
        venv.create(CACHE / "venv", with_pip=True)
        subprocess.run([scripts / "python", "-m", "pip", "install", "--quiet", *PYPI], check=False)
    return Tools(npm if npm.exists() else None, scripts if (scripts / "skillsaw").exists() else None, dist)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("packages") / "dist"
    subprocess.run([sys.executable, "-m", "scripts.dist", target], cwd=ROOT, check=True)
    return target


def seen(dist: Path, home: Path, command: str, *arguments: str) -> set[str]:
    """The tools a real client sees of a server started in an empty HOME."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "SEEDFRAME_BACKEND": "emulator",
        **index(dist),
    }
    parameters = StdioServerParameters(command=command, args=list(arguments), env=environ, cwd=home)

    async def listed() -> set[str]:
        async with Client(parameters) as client:
            return {tool.name for tool in (await client.list_tools()).tools}

    return asyncio.run(listed())


@pytest.mark.skipif(_uv() is None, reason="uv is not installed")
@pytest.mark.parametrize("package", ["*.whl", "*.tar.gz"])
def test_wheel_and_sdist_run_by_uvx(package: str, dist: Path, tmp_path: Path):
    (file,) = dist.glob(package)

    assert seen(dist, tmp_path, "uvx", "--from", f"{file}[storyboard]", "seedframe", "serve") == TOOLS


@pytest.mark.skipif(_uv() is None, reason="uv is not installed")
def test_the_bundle_runs_as_its_manifest_says(dist: Path, tmp_path: Path):
    here = shutil.copytree(dist / "mcpb", tmp_path / "unpacked")

    assert seen(dist, tmp_path, "uv", "run", "--directory", str(here), "src/server.py") == TOOLS


def test_the_bundle_is_valid_and_packs(dist: Path, tools: Tools, tmp_path: Path):
    tools.run(tmp_path, "mcpb", "validate", str(dist / "mcpb" / "manifest.json"))
    said = tools.run(tmp_path, "mcpb", "pack", str(dist / "mcpb"), str(tmp_path / "seedframe.mcpb"))

    assert "seedframe.mcpb" in said
    assert (tmp_path / "seedframe.mcpb").stat().st_size < 5_000_000


def test_claude_code_takes_the_plugin_and_reaches_its_server(dist: Path, tools: Tools, tmp_path: Path):
    plugin = str(dist / "plugin")
    tools.run(tmp_path, "claude", "plugin", "validate", plugin, "--strict")
    tools.run(tmp_path, "claude", "plugin", "marketplace", "add", plugin)
    tools.run(tmp_path, "claude", "plugin", "install", "seedframe@seedframe")

    assert "Connected" in tools.run(tmp_path, "claude", "mcp", "list")


def test_codex_takes_the_plugin(dist: Path, tools: Tools, tmp_path: Path):
    tools.run(tmp_path, "codex", "plugin", "marketplace", "add", str(dist / "plugin"))
    tools.run(tmp_path, "codex", "plugin", "add", "seedframe@seedframe")
    said = tools.run(tmp_path, "codex", "mcp", "get", "seedframe", "--json")

    assert f"seedframe[storyboard]=={__version__}" in said
    assert '"ARK_API_KEY"' in said


@pytest.mark.skipif(_uv() is None, reason="uv is not installed")
def test_gemini_takes_the_extension_and_reaches_its_server(dist: Path, tools: Tools, tmp_path: Path):
    plugin, work = str(dist / "plugin"), tmp_path / "work"
    work.mkdir()
    # It hands on no variables about certificates, so uv learns from its file what this machine's variables say.
    (tmp_path / ".config" / "uv").mkdir(parents=True)
    known = f"find-links = ['{dist}']\ncache-dir = '{index(dist)['UV_CACHE_DIR']}'\nsystem-certs = true\n"
    (tmp_path / ".config" / "uv" / "uv.toml").write_text(known, encoding="utf-8")
    tools.run(tmp_path, "gemini", "extensions", "validate", plugin)
    install = ("gemini", "extensions", "install", plugin, "--consent", "--skip-settings")
    tools.run(tmp_path, *install, cwd=work, typed="y\ny\n")

    assert "Connected" in tools.run(tmp_path, "gemini", "mcp", "list", cwd=work).replace("Disconnected", "")


def test_the_skill_is_valid(dist: Path, tools: Tools, tmp_path: Path):
    said = tools.run(tmp_path, "agentskills", "validate", str(dist / "skill" / "seedframe"))

    assert "Valid skill" in said


@pytest.mark.parametrize("tree", ["plugin", "skill"])
def test_the_linter_of_skills_and_plugins_finds_no_error(tree: str, dist: Path, tools: Tools, tmp_path: Path):
    said = tools.run(tmp_path, "skillsaw", "lint", ".", cwd=dist / tree)

    assert "Errors:   0" in said


def test_npx_skills_add_takes_the_tree(dist: Path, tools: Tools, tmp_path: Path):
    tools.run(tmp_path, "skills", "add", str(dist / "plugin"), "-y", "-g", "-a", "claude-code", cwd=tmp_path)

    kept = tmp_path / ".claude" / "skills" / "seedframe"
    assert {path.name for path in kept.iterdir()} >= {"SKILL.md", "references"}
