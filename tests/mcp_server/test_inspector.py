"""The official MCP Inspector on the product server: its schema lint and real calls, in both protocol eras."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CACHE = Path(__file__).parents[2] / ".cache" / "inspector"
PACKAGES = ("node@22", "@modelcontextprotocol/inspector@2.12.0")
ALLEY = "雨后的江南小巷，一位撑着油纸伞的少女走过青石板路，灯笼的暖光映在积水里，电影感竖幅画面。"
TOOL_SAID_NO = 5


@pytest.fixture(scope="module")
def inspector() -> Path:
    """The Inspector and the node it needs, from the npm registry; kept between runs."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    command = CACHE / "node_modules" / ".bin" / "mcp-inspector"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE.parent / "inspector.lock"):
        if not command.exists():
            subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", *PACKAGES], cwd=CACHE, check=True)
    return command


@pytest.fixture(params=["legacy", "modern"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def inspect(
    inspector: Path, era: str, environ: dict[str, str], method: str, *options: str
) -> subprocess.CompletedProcess[str]:
    path = f"{CACHE / 'node_modules' / 'node' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    given = [word for name, value in environ.items() for word in ("-e", f"{name}={value}")]
    server = [sys.executable, "-m", "seedframe", "serve"]
    words = ["--cli", "-q", *given, *server, "--protocol-era", era, "--method", method, "--format", "json", *options]
    return subprocess.run(
        [inspector, *words],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def answered(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document = json.loads(done.stdout)
    return dict(document.get("result", document))


def test_the_version_is_the_one_that_knows_both_eras(inspector: Path):
    path = f"{CACHE / 'node_modules' / 'node' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([inspector, "--version"], env={**os.environ, "PATH": path}, capture_output=True, text=True)

    assert done.stdout.strip() == "2.12.0"


def test_the_schemas_pass_the_strict_lint(inspector: Path, era: str, environ: dict[str, str]):
    done = inspect(inspector, era, environ, "tools/list", "--strict")

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert [tool["name"] for tool in answered(done)["tools"]][:2] == ["generate_image", "edit_image"]


def test_a_tool_makes_a_picture(inspector: Path, era: str, environ: dict[str, str], tmp_path: Path):
    arguments = json.dumps({"prompt": ALLEY, "ratio": "9:16", "save_as": "alley"}, ensure_ascii=False)
    done = inspect(
        inspector, era, environ, "tools/call", "--tool-name", "generate_image", "--tool-args-json", arguments
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert [block["type"] for block in answered(done)["content"]] == ["text", "image", "resource_link"]
    assert (tmp_path / "pictures" / "alley.jpg").is_file()


def test_a_refusal_is_seen_as_one(inspector: Path, era: str, environ: dict[str, str]):
    arguments = json.dumps({"prompt": ALLEY, "ratio": "20:1"}, ensure_ascii=False)
    done = inspect(
        inspector, era, environ, "tools/call", "--tool-name", "generate_image", "--tool-args-json", arguments
    )

    assert done.returncode == TOOL_SAID_NO
    assert "The nearest legal ratio is 16:1" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("method", "options", "says"),
    [
        ("resources/list", (), "seedframe://references/models"),
        ("resources/read", ("--uri", "seedframe://references/models"), "Models, backends"),
        ("prompts/list", (), "style_v5_zh"),
        ("prompts/get", ("--prompt-name", "style_v5_zh", "--prompt-args", "text=小巷"), "小巷"),
    ],
)
def test_pages_and_prompts_can_be_had(
    method: str, options: tuple[str, ...], says: str, inspector: Path, era: str, environ: dict[str, str]
):
    done = inspect(inspector, era, environ, method, *options)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert says in done.stdout
