"""What hosts do to the schemas: convert, fill, count bytes; and what the tools say under the settings in force."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from jsonschema import Draft202012Validator
from mcp import Client

from known_models import known_models
from seedframe.catalog import catalog
from seedframe.mcp_server.app import INSTRUCTIONS, build_server
from seedframe.mcp_server.resources import prompts
from seedframe.mcp_server.tools import PICTURE_TOOLS, tools
from seedframe.service.request import check
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".cache" / "strict-hosts"
PACKAGES = ("openai-agents", "google-genai")
OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]
FENCE = re.compile(r"```json\n(.*?)```", re.DOTALL)
BOARD = re.compile(r"\{\"project\".*\}")


def definitions(settings: Settings | None = None) -> dict[str, dict[str, Any]]:
    """The tools as a host reads them in tools/list, with the models whose texts are written out here."""
    listed = tools(settings, known_models())
    return {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed}


def size_of(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def every_schema(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from every_schema(inner, f"{path}.{name}")
    if "items" in schema:
        yield from every_schema(schema["items"], f"{path}[]")


def test_the_tools_take_little_of_a_models_context():
    sizes = {name: size_of(tool) for name, tool in definitions().items()}

    assert sum(sizes[name] for name in PICTURE_TOOLS) <= 7_168
    assert sum(sizes.values()) <= 9_728


def test_no_object_is_without_properties_and_no_list_without_items():
    found = [pair for name, tool in definitions().items() for pair in every_schema(tool["inputSchema"], name)]

    assert [path for path, schema in found if schema["type"] == "object" and not schema.get("properties")] == []
    assert [path for path, schema in found if schema["type"] == "array" and "items" not in schema] == []


def test_what_the_tools_say_of_default_and_prices_is_what_is_in_force(environ: dict[str, str]):
    plain = definitions(Settings.read(environ))
    chosen = {
        "SEEDFRAME_MODEL": "doubao-seedream-4-5-251128",
        "SEEDFRAME_BACKEND": "byteplus",
        "SEEDFRAME_RATIO": "9:16",
    }
    other = definitions(Settings.read({**environ, **chosen, "SEEDFRAME_PRICES": '{"4.0": "0.07"}'}))

    def model(described: dict[str, dict[str, Any]]) -> str:
        return str(described["generate_image"]["inputSchema"]["properties"]["model"]["description"])

    assert model(plain).startswith(
        "5.5, 5.0-flash 0.12, 5.0-pro 0.3-0.6, 5.0-lite (= 5.0, default) 0.22, 4.5 0.25, 4.0 0.2 CNY each."
    )
    assert "5.0-lite (= 5.0) 0.035, 4.5 (default) 0.04, 4.0 0.07 USD each." in model(other)
    assert other["style_prompt"]["inputSchema"]["properties"]["model"]["description"] == "Default: 4.5."
    assert other["generate_image"]["inputSchema"]["properties"]["ratio"]["description"].endswith("default 9:16.")


@pytest.mark.anyio
async def test_a_server_lists_the_default_it_uses(open_studio: OpenStudio, environ: dict[str, str]):
    settings = Settings.read({**environ, "SEEDFRAME_MODEL": "4.5"})
    async with Client(build_server(lambda: open_studio(SEEDFRAME_MODEL="4.5"), "en", settings)) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        made = await client.call_tool("generate_image", {"prompt": "red fox in snow, rim light", "dry_run": True})

    assert "4.5 (default)" in listed["generate_image"].input_schema["properties"]["model"]["description"]
    assert json.loads(made.content[0].text.rpartition("\n")[2])["model"] == "4.5"


def test_the_instructions_name_every_tool():
    assert [name for name in definitions() if name not in INSTRUCTIONS] == []
    assert len(INSTRUCTIONS.encode()) < 2_000


@pytest.mark.parametrize("name", ["brief_from_text", "edit_request", "check_picture"])
def test_the_briefs_shown_in_prompts_are_valid_as_advertised(name: str):
    (body,) = [text.body for text in prompts() if text.name == name]
    tool = "generate_image" if name == "brief_from_text" else "edit_image"
    advertised = Draft202012Validator(definitions()[tool]["inputSchema"])
    shown = [json.loads(found) for found in FENCE.findall(body)]
    calls = [{"brief": example} if name == "brief_from_text" else example.get("next", example) for example in shown]

    assert len(calls) == 2
    assert [error.message for call in filter(None, calls) for error in advertised.iter_errors(call)] == []


def test_a_brief_is_taken_as_text_in_two_languages_and_as_an_object(environ: dict[str, str]):
    settings = Settings.read(environ)
    said = {"subject": "红狐狸 | red fox", "details": ["雪地 | snow", "黎明"], "lighting": "逆光 | backlight"}
    meant = {
        "subject": {"zh": "红狐狸", "en": "red fox"},
        "details": [{"zh": "雪地", "en": "snow"}, "黎明"],
        "lighting": {"zh": "逆光", "en": "backlight"},
    }
    lettering = {"text": [{"content": "山海 | SHANHAI", "where": "顶部 | at the top"}]}
    briefs = [
        check("generate_image", {"brief": brief}, catalog=catalog(), settings=settings).brief
        for brief in (said, meant, json.dumps(said, ensure_ascii=False), lettering)
    ]

    assert briefs[:3] == [meant] * 3
    assert briefs[3] == {"text": [{"content": "山海 | SHANHAI", "where": {"zh": "顶部", "en": "at the top"}}]}


@pytest.mark.anyio
async def test_the_board_shown_by_the_tool_is_planned_as_it_stands(open_studio: OpenStudio):
    shown = BOARD.search(definitions()["run_storyboard"]["description"])
    assert shown is not None
    async with Client(build_server(open_studio, "en")) as client:
        result = await client.call_tool("run_storyboard", {"action": "plan", "board": shown[0]})

    assert result.is_error is False
    assert json.loads(result.content[0].text.rpartition("\n")[2])["totals"]["frames"] == 1


@pytest.fixture(scope="module")
def python() -> Path:
    """An interpreter with both SDKs, made once."""
    found = HOME / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = HOME / "ready"
    HOME.parent.mkdir(exist_ok=True)
    with FileLock(HOME.parent / "strict-hosts.lock"):
        if not ready.exists() or ready.read_text(encoding="utf-8") != "\n".join(PACKAGES):
            venv.create(HOME, with_pip=True, clear=True)
            subprocess.run([found, "-m", "pip", "install", "--quiet", *PACKAGES], check=True, timeout=800)
            ready.write_text("\n".join(PACKAGES), encoding="utf-8")
    return found


def filled(schema: Mapping[str, Any]) -> Any:
    """What a model sends where every property is required: nothing, false, the first choice, one of each object."""
    kind = schema["type"]
    if kind == "object":
        return {name: filled(inner) for name, inner in schema["properties"].items()}
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "array":
        return [filled(schema["items"])] if schema["items"]["type"] == "object" else []
    return {"string": "", "boolean": False, "integer": 1, "number": 0}[kind]


def converted(python: Path) -> dict[str, Any]:
    """What the SDKs make of the tools."""
    script = ROOT / "tests" / "strangers" / "with_strict_schemas.py"
    listed = json.dumps(list(definitions().values()))
    done = subprocess.run([python, script], input=listed, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.anyio
async def test_strict_conversion_takes_every_tool_and_a_host_can_fill_it(python: Path, open_studio: OpenStudio):
    read = converted(python)
    assert read.keys() == definitions().keys()
    for name, tool in definitions().items():
        strict, gemini = read[name]["strict"], read[name]["gemini"]
        properties = tool["inputSchema"]["properties"]
        assert (strict["required"], strict["additionalProperties"]) == (list(properties), False)
        assert gemini.keys() == properties.keys()
        assert "object" not in json.dumps(gemini), "an object whose properties were lost"
    asked = filled(read["generate_image"]["strict"]) | {"prompt": "red fox in snow, rim light", "model": "4.5"}
    plan = {"action": "plan", "board": '{"shots": ["雨夜的小巷"]}'}
    calls = {"generate_image": asked, "run_storyboard": filled(read["run_storyboard"]["strict"]) | plan}
    async with Client(build_server(open_studio, "en")) as client:
        answers = {name: await client.call_tool(name, arguments) for name, arguments in calls.items()}

    assert {name: answer.is_error for name, answer in answers.items()} == dict.fromkeys(calls, False)
