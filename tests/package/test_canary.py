"""A key that is watched: after everything a person does in a day it stands in no file and in no output."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import mcp.types as t
import pytest
from mcp import Client, StdioServerParameters
from PIL import Image

from children import system
from seedframe.emulator import emulator, running

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CANARY = "ark-CANARY-7Qx2mZ9Lw4Tb8Rk1-Vn5Yp"
PLAIN = "雨后的江南小巷，灯笼的暖光映在积水里。"
BOARD = {
    "project": "river",
    "shots": [
        {"id": "E01_SC01_SH010", "action": "一条河穿过竹林"},
        {"id": "E01_SC01_SH020", "action": "小船靠岸"},
    ],
}
SPELLINGS = (
    CANARY,
    base64.b64encode(CANARY.encode()).decode().rstrip("="),
    CANARY[:20],
)


@pytest.fixture
def base() -> Iterator[str]:
    with running(emulator(profile="ark", paint="instant")) as address:
        yield address


@pytest.fixture
def variables(tmp_path: Path, base: str) -> dict[str, str]:
    kept = system()
    home = tmp_path / "home"
    home.mkdir()
    return {
        **kept,
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PYTHONUTF8": "1",
        "SEEDFRAME_BACKEND": "ark",
        "ARK_API_KEY": CANARY,
        "ARK_API_BASE": base,
        "SEEDFRAME_OUTPUT_DIR": str(tmp_path / "pictures"),
        "SEEDFRAME_JOURNAL": str(tmp_path / "journal.sqlite3"),
        "SEEDFRAME_INPUT_ROOTS": str(tmp_path),
        "SEEDFRAME_LANG": "en",
    }


def typed(variables: Mapping[str, str], folder: Path, *words: str) -> str:
    """Everything a command says; its exit code is its own affair."""
    done = subprocess.run(
        [sys.executable, "-m", "seedframe", *words],
        env=dict(variables),
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=90,
    )
    return done.stdout + done.stderr


def leaks(texts: Mapping[str, bytes]) -> list[tuple[str, str]]:
    return [(where, spelling) for where, text in texts.items() for spelling in SPELLINGS if spelling.encode() in text]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_command_writes_or_says_the_key(variables: dict[str, str], tmp_path: Path):
    work = tmp_path / "work"
    work.mkdir()
    Image.new("RGB", (320, 240), "teal").save(work / "in.png")
    (work / "board.json").write_text(json.dumps(BOARD), encoding="utf-8")
    commands = (
        ("generate", PLAIN, "--ratio", "9:16", "--json"),
        ("generate", "tabby cat, windowsill, soft morning light", "--model", "4.5", "--count", "2"),
        ("edit", "把猫换成狗", "--image", "in.png", "--json"),
        ("doctor",),
        ("doctor", "--json"),
        ("models", "--remote", "--json"),
        ("journal", "list", "--json"),
        ("costs", "--json"),
        ("storyboard", "plan", "board.json"),
        ("storyboard", "run", "board.json", "--out", str(work / "out")),
        ("storyboard", "status", str(work / "out")),
    )
    said = {" ".join(words)[:60]: typed(variables, work, *words).encode() for words in commands}

    assert (work / "out").exists()
    assert len(list((tmp_path / "pictures").rglob("*.jpg"))) >= 3
    assert {where for where, _ in leaks(files(tmp_path))} == set()
    assert {where for where, _ in leaks(said)} == set()


async def test_no_tool_writes_or_says_the_key(variables: dict[str, str], base: str, tmp_path: Path):
    Image.new("RGB", (320, 240), "teal").save(tmp_path / "in.png")
    script = ["key-unknown", "access-denied", "error-200", "html-502", "model-not-open"]
    async with httpx.AsyncClient() as http:
        await http.post(f"{base}/_emulator/script", json={"script": script})
    calls: list[tuple[str, dict[str, Any]]] = [
        *[("generate_image", {"prompt": f"{PLAIN}{number}"}) for number in range(len(script) + 2)],
        ("edit_image", {"prompt": "把猫换成狗", "images": [str(tmp_path / "in.png")]}),
        ("run_storyboard", {"action": "plan", "board": json.dumps(BOARD)}),
    ]
    server = StdioServerParameters(command=sys.executable, args=["-m", "seedframe", "serve"], env=dict(variables))
    said: dict[str, bytes] = {}
    progress: list[str] = []

    async def noted(_done: float, _total: float | None, message: str | None) -> None:
        progress.append(message or "")

    async with Client(server) as client:
        for number, (tool, arguments) in enumerate(calls):
            result = await client.call_tool(tool, arguments, progress_callback=noted)
            assert isinstance(result, t.CallToolResult)
            said[f"{number} {tool}"] = result.model_dump_json().encode()
    said["progress"] = json.dumps(progress).encode()

    assert any(b'is_error":false' in text or b'"isError":false' in text for text in said.values())
    assert {where for where, _ in leaks(files(tmp_path))} == set()
    assert {where for where, _ in leaks(said)} == set()
