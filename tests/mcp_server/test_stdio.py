"""`python -m seedframe serve` as a host starts it: a black box spoken to in lines of JSON, in both protocol eras."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from seedframe.emulator import emulator, running
from stdio_host import ALLEY, PATIENCE, bare, machine


def test_a_host_lists_calls_and_leaves_and_reads_nothing_but_mcp(
    era: str, started: Any, environ: dict[str, str], tmp_path: Path
):
    with running(emulator(paint="instant")) as base:
        host = started(era, {**environ, "SEEDFRAME_EMULATOR_BASE": base})
        hello = host.greet()["result"]
        tools = host.ask("tools/list")["result"]["tools"]
        host.write("this is not JSON")
        arguments = {"prompt": ALLEY, "ratio": "9:16", "save_as": "alley"}
        call = {"name": "generate_image", "arguments": arguments, "_meta": {"progressToken": "p"}}
        answer = host.ask("tools/call", call)
        code, rest, described = host.leave()

    picture = machine(answer)["pictures"][0]
    assert hello["capabilities"].keys() >= {"tools", "prompts", "resources", "completions"}
    assert [tool["name"] for tool in tools][:3] == ["generate_image", "edit_image", "style_prompt"]
    assert "structuredContent" not in answer["result"]
    assert [block["type"] for block in answer["result"]["content"]] == ["text", "image", "resource_link"]
    assert picture["path"] == str(tmp_path / "pictures" / "alley.jpg")
    assert Path(picture["path"]).stat().st_size == picture["bytes"]
    assert {note["method"] for note in host.notes if "id" not in note} <= {
        "notifications/progress",
        "notifications/resources/list_changed",
    }
    assert [note["params"]["progressToken"] for note in host.notes if note.get("method") == "notifications/progress"]
    assert (code, rest) == (0, [])
    assert "Traceback" not in described


@pytest.mark.slow
def test_it_starts_without_key_and_network_and_says_what_is_missing_when_asked_for_a_picture(
    era: str, started: Any, environ: dict[str, str]
):
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    host = started(era, {**environ, **nowhere, "SEEDFRAME_BACKEND": "ark"})
    hello = host.greet()["result"]
    tools = host.ask("tools/list")["result"]["tools"]
    styled = host.ask("tools/call", {"name": "style_prompt", "arguments": {"prompt": ALLEY}})
    answer = host.ask("tools/call", {"name": "generate_image", "arguments": {"prompt": ALLEY, "ratio": "9:16"}})
    code, rest, described = host.leave()

    text = answer["result"]["content"][0]["text"]
    assert "Seedream" in hello["instructions"]
    assert tools
    assert machine(styled)["prompt"] == ALLEY
    assert answer["result"]["isError"] is True
    assert machine(answer).items() >= {"error": "NotConfigured", "setting": "ARK_API_KEY", "billed": "no"}.items()
    assert "export ARK_API_KEY=" in text
    assert "SEEDFRAME_BACKEND=emulator" in text
    assert (code, rest) == (0, [])
    assert "Traceback" not in described


@pytest.mark.slow
def test_a_setting_that_cannot_be_read_ends_the_start_with_its_name_on_stderr(environ: dict[str, str]):
    done = subprocess.run(
        [sys.executable, "-m", "seedframe", "serve"],
        env=bare({**environ, "SEEDFRAME_TIMEOUT": "soon"}),
        input=b"",
        capture_output=True,
        timeout=PATIENCE,
    )

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"SEEDFRAME_TIMEOUT is 'soon'" in done.stderr


@pytest.mark.slow
def test_a_host_that_quits_during_a_paid_call_finds_the_picture_on_disk(
    era: str, started: Any, environ: dict[str, str], tmp_path: Path
):
    app = emulator(paint="instant", script=[{"name": "latency", "seconds": 2}])
    with running(app) as base:
        host = started(era, {**environ, "SEEDFRAME_EMULATOR_BASE": base})
        host.greet()
        arguments = {"prompt": ALLEY, "ratio": "9:16", "save_as": "alley"}
        host.send("tools/call", {"name": "generate_image", "arguments": arguments, "_meta": {"progressToken": 1}})
        assert host.hear()["method"] == "notifications/progress"
        while not app.state.request_log.posts:
            threading.Event().wait(0.01)
        code, _, described = host.leave()

    assert (code, app.state.request_log.images) == (0, 1)
    assert (tmp_path / "pictures" / "alley.jpg").is_file()
    assert "Traceback" not in described
