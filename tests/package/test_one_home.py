"""One home for every fact: a model is one file, a way of speaking one module and one file, an option one row.

Each proof copies the package, adds to the copy only what it names, and uses the copy from a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "SKILL.md", "prompts", "references", "scripts", "pyproject.toml")
WHOLE = (*PAGES, "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.zh-CN.md")
WHOLE = (
    *WHOLE,
    "SECURITY.md",
    "bench",
    "docs",
    "hatch_build.py",
    "integrations",
    "mkdocs.yml",
    "tests",
    "uv.lock",
    ".ci",
    ".github",
    ".gitignore",
)
PROMPT = "雨后的江南小巷，灯笼的暖光映在积水里。"
SLOW_SUITE_SECONDS = 3600

EMULATED = """
from seedframe.emulator import transport
carrier = transport(profile=settings.backend, paint="instant")
def posts():
    return [entry.body for entry in carrier.app.state.request_log.entries if entry.method == "POST"]
"""
"""The settings' backend, played by the emulator."""

PLAIN = """
import io, json
import httpx
from PIL import Image

class Carrier(httpx.AsyncBaseTransport):
    heard = []

    async def handle_async_request(self, request):
        if request.method == "GET":
            out = io.BytesIO()
            Image.new("RGB", (1440, 2560), "teal").save(out, "JPEG")
            return httpx.Response(200, headers={"content-type": "image/jpeg"}, content=out.getvalue())
        told = {"path": request.url.path, "key": request.headers["x-plain-key"]}
        self.heard.append({**told, **json.loads(request.content)})
        return httpx.Response(200, json={"drawn": [{"at": "http://plain.invalid/1.jpeg"}]})

carrier = Carrier()
def posts():
    return carrier.heard
"""
"""A service that only the made-up dialect understands."""

HOST = """
import asyncio, json, os, sys
from pathlib import Path
import mcp.types as t
import seedframe
from mcp import Client
from seedframe.mcp_server.app import build_server
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

settings = Settings.read(os.environ)
{service}
async def main():
    server = build_server(lambda: Studio.open(settings, transport=carrier), "en", settings)
    answers = []
    async with Client(server) as host:
        tools = {{tool.name: tool.input_schema["properties"] for tool in (await host.list_tools()).tools}}
        for tool, arguments in json.loads(sys.argv[1]):
            result = await host.call_tool(tool, arguments)
            text = next(block.text for block in result.content if isinstance(block, t.TextContent))
            answers.append(text if result.is_error else json.loads(text.rpartition(chr(10))[2]))
    print(json.dumps({{"from": seedframe.__file__, "tools": tools, "answers": answers, "posts": posts()}}))

asyncio.run(main())
"""
"""An MCP host: lists the tools, makes the calls, prints what it got and what the service was sent."""


class Copy:
    """A copy of the project in a folder of its own, and processes that run it instead of the original."""

    def __init__(self, folder: Path, names: tuple[str, ...] = PAGES) -> None:
        self.folder = folder / "copy"
        self.home = folder / "home"
        self.home.mkdir()
        self.data = self.folder / "skill" / "seedframe" / "data"
        junk = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
        for name in ("skill", *names):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.folder / name, ignore=junk)
            elif source.is_file():
                self.folder.mkdir(exist_ok=True)
                shutil.copy(source, self.folder / name)

    def write(self, place: str, content: Any) -> None:
        """One file below `skill/seedframe` or, with a leading `tests/`, below the copy."""
        path = (self.folder if place.startswith("tests/") else self.folder / "skill" / "seedframe") / place
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2)
        path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")

    def read(self, place: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.data / place).read_text(encoding="utf-8"))
        return content

    def run(self, *words: str, timeout: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
        """`python WORDS…` in the copy, with a home of its own and nothing of the person who runs the tests."""
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
        own = {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join([str(self.folder / "skill"), str(self.folder)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SEEDFRAME_BACKEND": "emulator",
            "SEEDFRAME_LANG": "en",
            "SEEDFRAME_OUTPUT_DIR": str(self.home / "pictures"),
            "SEEDFRAME_JOURNAL": str(self.home / "journal.sqlite3"),
        }
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env={**kept, **own, **variables},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
        )

    def cli(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "seedframe", *words, **variables)

    def answers(self, calls: list[tuple[str, dict[str, Any]]], service: str = EMULATED, **variables: str) -> Any:
        """Tool calls through the copy's MCP server; `service` defines `carrier`, the transport, and `posts`."""
        done = self.run("-c", HOST.format(service=service), json.dumps(calls), **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


# A model


def add_a_model(copy: Copy) -> None:
    """Seedream 6.0: one file, and two example requests of each kind."""
    model = copy.read("models/5.0-lite.json")
    model |= {"name": "6.0", "title": "Seedream 6.0", "aliases": ["seedream-6.0"], "released": "2027-06-01"}
    model["ids"] = {"ark": ["doubao-seedream-6-0-270601"], "byteplus": ["dola-seedream-6-0-270601"]}
    model["prices"] = {"ark": {"each": "0.31"}, "byteplus": {"each": "0.05"}}
    model["parameters"]["count"]["schema"]["maximum"] = 4
    copy.write("data/models/6.0.json", model)
    for place, arguments, expect in (
        ("valid/nine-by-sixteen", {"prompt": PROMPT, "ratio": "9:16"}, {"asked": "1440x2560"}),
        ("valid/four", {"prompt": PROMPT, "count": 4}, {"request": {"count": 4}}),
        ("invalid/five", {"prompt": PROMPT, "count": 5}, {"field": "count", "says": ["6.0", "4"]}),
        ("invalid/no-words", {"ratio": "1:1"}, {"field": "prompt", "says": ["prompt", "brief"]}),
    ):
        example = {"tool": "generate_image", "arguments": arguments, "expect": expect}
        copy.write(f"tests/requests/6.0/{place}.json", example)


@pytest.mark.slow
def test_a_new_model_is_advertised_with_its_price_checked_by_its_limits_and_paid_within_the_budget(copy: Copy):
    add_a_model(copy)
    picture = {"prompt": PROMPT, "model": "6.0", "ratio": "9:16"}
    calls = [
        ("generate_image", {**picture, "save_as": "first"}),
        ("generate_image", {**picture, "count": 5}),
        ("generate_image", {**picture, "count": 4, "dry_run": True}),
        ("generate_image", {**picture, "save_as": "second", "seed": 2}),
    ]
    heard = copy.answers(
        calls,
        SEEDFRAME_BACKEND="ark",
        ARK_API_KEY="key-0123456789",
        SEEDFRAME_BUDGET="0.50 CNY",
        SEEDFRAME_MODEL="6.0",
    )
    made, too_many, planned, over_budget = heard["answers"]

    assert Path(heard["from"]).is_relative_to(copy.folder), "the copy is what runs"
    assert heard["tools"]["generate_image"]["model"]["description"].startswith("6.0 (default) 0.31, ")
    assert "6.0" in heard["tools"]["generate_image"]["web_search"]["description"]
    assert (made["model"], made["model_id"]) == ("6.0", "doubao-seedream-6-0-270601")
    assert (made["cost"]["amount"], made["cost"]["currency"]) == ("0.31", "CNY")
    assert Path(made["pictures"][0]["path"]).stat().st_size == made["pictures"][0]["bytes"]
    assert "count for 6.0 may be at most 4; got 5" in too_many
    assert planned["cost"]["amount"] == "1.24"
    assert "The budget of 0.50 CNY does not cover this: 0.31 CNY is spent" in over_budget
    assert [body["model"] for body in heard["posts"]] == ["doubao-seedream-6-0-270601"]


@pytest.mark.slow
def test_a_new_model_is_listed_by_the_command_line_and_on_every_page(copy: Copy):
    add_a_model(copy)
    listed, schema = copy.cli("models"), copy.cli("schema", "generate_image", "--model", "seedream-6.0")
    pages = copy.run("-m", "scripts.reference_pages")
    page = (copy.folder / "references" / "models.md").read_text(encoding="utf-8")

    assert "6.0" in listed.stdout
    assert json.loads(schema.stdout)["properties"]["count"]["maximum"] == 4
    assert pages.returncode == 0, pages.stderr
    assert [
        fact for fact in ("**6.0**", "`doubao-seedream-6-0-270601`", "| 0.31 |", "2027-06-01") if fact not in page
    ] == []


@pytest.mark.slow
@pytest.mark.timeout(SLOW_SUITE_SECONDS)
def test_the_whole_fast_suite_passes_with_a_new_model_and_no_other_edit(tmp_path: Path):
    copy = Copy(tmp_path, WHOLE)
    add_a_model(copy)
    assert copy.run("-m", "scripts.reference_pages").returncode == 0
    words = (
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--maxfail=30",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(tmp_path / "t"),
    )
    done = copy.run(*words, timeout=SLOW_SUITE_SECONDS)

    assert done.returncode == 0, done.stdout[-6000:]


# A dialect

DIALECT = '''
"""The dialect of Plain: made up for a test."""

import json

from seedframe.service.dialects.base import Call
from seedframe.service.replies import Reply, Slot


def calls(request):
    return (1,) * request.count


def build(request, *, prompt, negative, images, outputs, response_format, seconds):
    size = request.frame.expected
    body = {"draw": prompt, "with": request.offer.id, "width": size.width, "height": size.height}
    return Call(request.offer.backend.paths["generate"], body, outputs)


def auth(key):
    return {"x-plain-key": key}


def read(status, headers, document):
    drawn = json.loads(document)["drawn"]
    return Reply(tuple(Slot(index, url=each["at"]) for index, each in enumerate(drawn)))
'''


def backend_file(**changes: Any) -> dict[str, Any]:
    return {
        "name": "plain",
        "title": "Plain Pictures",
        "dialect": "plain",
        "base_url": "http://plain.invalid",
        "prefix": "/v9",
        "paths": {"generate": "/draw", "edit": "/draw"},
        "ids": ["ark"],
        "settings": {"key": ["PLAIN_API_KEY"], "base": ["PLAIN_API_BASE"]},
        "images_per_minute": 60,
        "limits": {"outputs": 2},
        "parameters": {"watermark": {"state": "ignored", "note": "unknown there"}},
        "prices": {"currency": "CNY", "date": "2027-06-01", "source": "made up", "list": "ark"},
        "vendor": False,
        "free_probe": False,
        **changes,
    }


PLAIN_ACCOUNT = {"SEEDFRAME_BACKEND": "plain", "PLAIN_API_KEY": "key-0123456789"}


@pytest.mark.slow
def test_a_new_dialect_is_one_module_and_one_file(copy: Copy):
    copy.write("service/dialects/plain.py", DIALECT)
    copy.write("data/backends/plain.json", backend_file())
    picture = {"prompt": PROMPT, "model": "5.0-lite", "ratio": "9:16"}
    calls = [("generate_image", {**picture, "save_as": "plain"}), ("generate_image", {**picture, "count": 3})]
    heard = copy.answers(calls, PLAIN, **PLAIN_ACCOUNT)
    made, too_many = heard["answers"]
    doctor = copy.cli("models", **PLAIN_ACCOUNT)

    assert made["status"] == "done"
    assert Path(made["pictures"][0]["path"]).stat().st_size == made["pictures"][0]["bytes"]
    assert (made["cost"]["amount"], made["cost"]["currency"]) == ("0.22", "CNY")
    assert "at most 2" in too_many
    (post,) = heard["posts"]
    assert post == {
        "path": "/v9/draw",
        "key": "key-0123456789",
        "draw": PROMPT,
        "with": "doubao-seedream-5-0-260128",
        "width": 1440,
        "height": 2560,
    }
    assert doctor.returncode == 0, doctor.stderr


@pytest.mark.slow
def test_a_dialect_without_a_module_is_refused_in_a_sentence(copy: Copy):
    copy.write("data/backends/plain.json", backend_file(dialect="telegraph"))
    done = copy.cli("generate", PROMPT, "--ratio", "9:16", **PLAIN_ACCOUNT)

    assert done.returncode == 2
    assert "There is no dialect 'telegraph'." in done.stderr
    assert "ark, uniall" in done.stderr
    assert "Traceback" not in done.stderr


# A tool option

TILING = {
    "wire": {"tiling": {"repeats": "$value"}},
    "state": "supported",
    "schema": {"type": "integer", "minimum": 2, "maximum": 6},
    "description": "Repeats of a seamless tile, 2 to 6.",
}


def add_an_option(copy: Copy, row: Mapping[str, Any]) -> None:
    tools = copy.read("tools.json")
    tools["arguments"]["tiling"] = row
    copy.write("data/tools.json", tools)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "account"),
    [
        ("emulator", {}),
        pytest.param("byteplus", {"BYTEPLUS_API_KEY": "key-0123456789"}, marks=pytest.mark.slow),
        pytest.param(
            "uniall",
            {"UNIALL_API_KEY": "key-0123456789", "UNIALL_API_BASE": "https://gateway.invalid"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_new_option_is_one_row(copy: Copy, backend: str, account: dict[str, str]):
    add_an_option(copy, TILING)
    picture = {"prompt": PROMPT, "model": "5.0-lite", "ratio": "1:1"}
    calls = [
        ("generate_image", {**picture, "tiling": "3"}),
        ("generate_image", {**picture, "tiling": 9}),
        ("generate_image", {**picture, "tiling": "many"}),
    ]
    heard = copy.answers(calls, SEEDFRAME_BACKEND=backend, **account)
    made, too_many, no_number = heard["answers"]

    assert heard["tools"]["generate_image"]["tiling"] == {**TILING["schema"], "description": TILING["description"]}
    assert made["status"] == "done"
    assert [body["tiling"] for body in heard["posts"]] == [{"repeats": 3}]
    assert "tiling" in too_many
    assert "6" in too_many
    assert "whole number" in no_number


@pytest.mark.slow
def test_a_new_option_is_one_of_the_command_line_too(copy: Copy):
    add_an_option(copy, TILING)
    helped = copy.cli("generate", "--help")
    planned = copy.cli("generate", PROMPT, "--tiling", "3", "--dry-run", "--json")

    assert "--tiling" in helped.stdout
    assert "Repeats of a seamless tile" in " ".join(helped.stdout.split())
    assert json.loads(planned.stdout)["payload"]["tiling"] == {"repeats": 3}


@pytest.mark.slow
def test_a_model_and_a_backend_overrule_the_row_of_an_option(copy: Copy):
    add_an_option(copy, TILING)
    model = copy.read("models/4.0.json")
    model["parameters"]["tiling"] = {"state": "refused", "service": "rejected", "instead": "5.0-lite"}
    copy.write("data/models/4.0.json", model)
    emulator = copy.read("backends/emulator.json")
    emulator["parameters"]["tiling"] = {"state": "ignored", "note": "made up"}
    copy.write("data/backends/emulator.json", emulator)
    calls = [
        ("generate_image", {"prompt": PROMPT, "model": model, "ratio": "1:1", "tiling": 3, "as_is": True})
        for model in ("4.0", "5.0-lite")
    ]
    heard = copy.answers(calls)
    refused, made = heard["answers"]

    assert "tiling" in refused
    assert "5.0-lite" in refused
    assert ["tiling" in body for body in heard["posts"]] == [False]
    assert any("tiling" in warning for warning in made["warnings"])


# Data files that contradict each other


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "change", "says"),
    [
        pytest.param(
            "models/4.5.json",
            {"parameters": {"tiling": {"state": "supported"}}},
            "models/4.5.json names 'tiling' under parameters",
            id="a model's option",
        ),
        pytest.param(
            "models/4.5.json", {"ids": {"moon": ["x"]}}, "models/4.5.json names 'moon' under ids", id="a column of ids"
        ),
        pytest.param(
            "models/4.5.json",
            {"prices": {"moon": {"each": "1"}}},
            "models/4.5.json names 'moon' under prices",
            id="a price list",
        ),
        pytest.param(
            "models/4.5.json",
            {"parameters": {"seed": {"state": "suported"}}},
            "models/4.5.json names 'suported' under parameters.seed.state",
            id="a state",
        ),
        pytest.param(
            "backends/ark.json",
            {"parameters": {"tiling": {"state": "ignored"}}},
            "backends/ark.json names 'tiling' under parameters",
            id="a backend's option",
        ),
        pytest.param(
            "backends/ark.json",
            {"parameters": {"seed": {"state": "forgotten"}}},
            "backends/ark.json names 'forgotten' under parameters.seed.state",
            id="a backend's state",
        ),
        pytest.param(
            "tools.json",
            {"arguments": {"seed": {"state": "always"}}},
            "tools.json names 'always' under arguments.seed.state",
            id="a row's state",
        ),
    ],
)
def test_a_name_that_no_other_file_knows_is_refused_in_a_sentence(copy: Copy, place: str, change: Any, says: str):
    copy.write(f"data/{place}", merged(copy.read(place), change))
    done = copy.cli("models")

    assert done.returncode == 2, done.stdout
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_model_file_that_lacks_a_fact_is_refused_with_the_facts_name(copy: Copy):
    model = copy.read("models/4.5.json")
    del model["prompt_style"]
    copy.write("data/models/4.5.json", model)
    done = copy.cli("models")

    assert done.returncode == 2
    assert "models/4.5.json" in done.stderr
    assert "prompt_style" in done.stderr
    assert "Traceback" not in done.stderr


def merged(old: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The old document with the changed leaves."""
    inner = {key: merged(old.get(key, {}), new) for key, new in change.items() if isinstance(new, dict)}
    return {**old, **change, **inner}
