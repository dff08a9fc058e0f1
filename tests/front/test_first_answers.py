"""The answers that come with the program: a first start ever lists its tools as fast as any other."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from scripts.first_answers import ANSWERS, answers_of, first_answers_text

from seedframe.catalog import catalog
from seedframe.front.first_answers import CHANGING, FILE, first_answers
from seedframe.front.kept_answers import answers_file, config_file, read_answers
from seedframe.settings import SETTINGS, Settings
from stdio_host import ALLEY, PATIENCE, bare

ROOT = Path(__file__).parents[2]
SAMPLES = {
    "SEEDFRAME_MODEL": "4.5",
    "SEEDFRAME_RATIO": "21:9",
    "SEEDFRAME_ENDPOINTS": "5.0-lite=4.5",
    "SEEDFRAME_PRICES": '{"4.5": "0.99"}',
    "SEEDFRAME_PREVIEW": "none",
    "SEEDFRAME_OUTPUT_DIR": "/pictures",
    "SEEDFRAME_TIMEOUT": "7",
    "SEEDFRAME_DOWNLOAD_TIMEOUT": "7",
    "SEEDFRAME_FAKE_IP": "1",
    "SEEDFRAME_INPUT_ROOTS": "/pictures",
    "SEEDFRAME_KEEP_METADATA": "1",
    "SEEDFRAME_BUDGET": "7 CNY",
    "SEEDFRAME_CONFIRM_ABOVE": "7 CNY",
    "SEEDFRAME_IPM": "7",
    "SEEDFRAME_RESPONSE_FORMAT": "b64_json",
    "SEEDFRAME_STRICT_PROMPTS": "1",
    "SEEDFRAME_ANSWER_WITHIN": "7",
    "SEEDFRAME_DECODE_REFERENCES": "1",
    "SEEDFRAME_JOURNAL": "/journal.sqlite3",
    "SEEDFRAME_KEEP_HISTORY": "7",
    "SEEDFRAME_S3_ENDPOINT": "https://objects.example",
    "SEEDFRAME_S3_PUBLIC_URL": "https://objects.example",
    "SEEDFRAME_S3_CACHE": "/objects",
    "SEEDFRAME_S3_CACHE_MB": "7",
    "SEEDFRAME_GATEWAY_KEYS": "own",
    "SEEDFRAME_GATEWAY_TOKEN": "secret",
    "SEEDFRAME_GATEWAY_HOSTS": "seven.example",
    "SEEDFRAME_GATEWAY_STYLE": "1",
    "SEEDFRAME_LANG": "zh",
}
"""Another value than the default, for every setting but the backend."""


def test_the_file_is_what_the_server_answers_now():
    assert (ROOT / ANSWERS).read_text(encoding="utf-8") == first_answers_text(), "stale: run `make docs`"
    assert Path(FILE) == ROOT / ANSWERS


@pytest.mark.slow
@pytest.mark.parametrize("backend", [backend.name for backend in catalog().backends])
def test_every_backend_has_its_own_answers(backend: str, tmp_path: Path):
    assert first_answers({"XDG_CONFIG_HOME": str(tmp_path), "SEEDFRAME_BACKEND": backend}) == answers_of(backend)


def test_without_a_backend_they_are_those_of_the_default(tmp_path: Path):
    nowhere = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}

    assert first_answers(nowhere) == first_answers({**nowhere, "SEEDFRAME_BACKEND": Settings().backend}) != {}
    assert first_answers({**nowhere, "SEEDFRAME_BACKEND": "nobody"}) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", [row.name for row in SETTINGS if row.name != "SEEDFRAME_BACKEND"])
def test_a_setting_that_changes_an_answer_has_none_that_came_with_the_program(name: str, tmp_path: Path):
    given = {"XDG_CONFIG_HOME": str(tmp_path), "SEEDFRAME_BACKEND": "emulator"}
    usual, other = (answers_under(environ) for environ in (given, {**given, name: SAMPLES[name]}))

    assert (name in CHANGING) == (usual != other)
    assert first_answers({**given, name: SAMPLES[name]}) == ({} if name in CHANGING else other)


def answers_under(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    import asyncio

    from seedframe.mcp_server.app import build_server
    from seedframe.mcp_server.spoken_answers import spoken_answers

    settings = Settings.read(environ)
    server = build_server(lambda: pytest.fail("a list needs no studio"), settings.language, settings, announces=True)
    return asyncio.run(spoken_answers(server))


@pytest.mark.parametrize(
    ("stored", "there"),
    [
        ({"variables": {"SEEDFRAME_BACKEND": "byteplus", "BYTEPLUS_API_KEY": "k"}, "keyring": []}, True),
        ({"variables": {"SEEDFRAME_RATIO": "9:16"}}, False),
        ({"variables": 7}, True),
        ([], True),
    ],
    ids=["a backend and a key", "a ratio", "of another shape", "a list"],
)
def test_what_setup_stored_counts_as_a_setting(stored: Any, there: bool, tmp_path: Path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    file = Path(config_file(environ))
    file.parent.mkdir()
    file.write_text(json.dumps(stored), encoding="utf-8")

    assert bool(first_answers(environ)) is there


def test_a_placeholder_that_a_host_passed_on_is_no_setting(tmp_path: Path):
    assert first_answers({"XDG_CONFIG_HOME": str(tmp_path), "SEEDFRAME_MODEL": "${user_config.model}"}) != {}


@pytest.mark.slow
def test_a_first_start_answers_by_itself_and_then_keeps_the_servers_own_answers(environ: dict[str, str], started: Any):
    host = started("2025-06-18", environ)
    host.greet()
    tools = host.ask("tools/list")["result"]["tools"]
    kept = Path(answers_file(bare(environ)))
    assert not kept.exists(), "no server has run"

    patience = time.monotonic() + PATIENCE
    while not kept.exists():
        assert time.monotonic() < patience, "a server was started, and keeps its answers"
        time.sleep(0.05)
    own = json.loads("{" + read_answers(str(kept))["2025-06-18"]["tools/list"])
    assert own["result"]["tools"] == tools
    assert read_answers(str(kept)) == first_answers(bare(environ))


@pytest.mark.slow
def test_a_setting_that_cannot_be_read_is_named_to_the_model_that_calls(environ: dict[str, str], started: Any):
    host = started("2025-06-18", {**environ, "SEEDFRAME_TIMEOUT": "soon"})
    host.greet()
    answer = host.ask("tools/call", {"name": "style_prompt", "arguments": {"prompt": ALLEY}})

    assert "SEEDFRAME_TIMEOUT" in answer["error"]["message"]
    assert "soon" in answer["error"]["message"]
    assert host.leave()[0] == 0


@pytest.mark.timed
@pytest.mark.slow
def test_a_first_start_lists_its_tools_within_150_ms(environ: dict[str, str], started: Any, tmp_path: Path):
    def listed(number: int) -> float:
        own = {**environ, "XDG_CACHE_HOME": str(tmp_path / f"cache-{number}")}
        began = time.perf_counter()
        host = started("2025-06-18", own)
        host.greet()
        host.ask("tools/list")
        return time.perf_counter() - began

    assert statistics.median(map(listed, range(9))) <= 0.150


@pytest.mark.slow
def test_the_front_alone_loads_little(tmp_path: Path):
    loads = "import seedframe.front.relay as r; r.first_answers({})"
    code = f"import sys; before = set(sys.modules); {loads}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    heavy = {"asyncio", "pathlib", "subprocess", "typing_extensions", "pydantic", "click", "seedframe.settings"}
    assert heavy & set(done.stdout.split()) == set()
