"""What hosts learn about the tools: each definition as a file, and the shape every host can take.

`SEEDFRAME_UPDATE_CASES=1 pytest tests/mcp_server/test_tools.py` writes the files anew;
the diff is what a host will notice.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from known_models import known_models
from seedframe.catalog import catalog
from seedframe.errors import InvalidRequest
from seedframe.mcp_server.tools import PICTURE_TOOLS, tools
from seedframe.service.request import check
from seedframe.settings import Settings

CASES = Path(__file__).parents[1] / "cases" / "tools"
DEFINITIONS = {tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools()}
WRITTEN_OUT = {
    tool.name: tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools(models=known_models())
}
"""The definitions that the files hold: those of the models known when the files were written."""

COMBINATORS = {"anyOf", "oneOf", "allOf", "not", "if", "enum", "const", "$ref", "$defs"}
STRIPPED = {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "format", "default"}
LIMIT = {
    "prompt": r"300 汉字 or 600 words",
    "images": r"10: 5\.5.*14: 5\.0-lite",
    "ratio": r"1:16 to 16:1",
    "size": r"0\.9-4\.6 MP: 5\.5.*3\.7-16\.8 MP: 5\.0-lite",
    "count": r"1 to 15",
    "seed": r"0 to 2147483647",
    "guidance_scale": r"1 to 10, 4\.5 only",
    "layers": r"5\.5 \(99\)",
}


def schemas_within(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from schemas_within(inner, f"{path}.{name}")
    for inner in schema.get("anyOf", ()):
        yield from schemas_within(inner, f"{path}|")
    if isinstance(schema.get("items"), Mapping):
        yield from schemas_within(schema["items"], f"{path}[]")


EVERYWHERE = [pair for name in DEFINITIONS for pair in schemas_within(DEFINITIONS[name]["inputSchema"], name)]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_tool_is_advertised_exactly_as_its_file_says(name: str):
    path = CASES / f"{name}.json"
    described = json.dumps(WRITTEN_OUT[name], ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    if os.environ.get("SEEDFRAME_UPDATE_CASES"):
        path.write_text(described, encoding="utf-8")

    assert described == path.read_text(encoding="utf-8")


def test_every_file_belongs_to_a_tool():
    assert {path.stem for path in CASES.glob("*.json")} == set(DEFINITIONS)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_root_of_a_schema_is_a_closed_object_without_combinators(name: str):
    schema = DEFINITIONS[name]["inputSchema"]

    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert COMBINATORS & set(schema) == set()
    assert Draft202012Validator.check_schema(schema) is None


@pytest.mark.parametrize(("path", "schema"), EVERYWHERE, ids=[path for path, _ in EVERYWHERE])
def test_every_schema_has_one_type_or_a_choice_of_such(path: str, schema: Mapping[str, Any]):
    assert ("anyOf" in schema) != isinstance(schema.get("type"), str)
    assert {"oneOf", "allOf", "not", "if", "$ref"} & set(schema) == set()
    assert set(schema) & STRIPPED == set(), "hosts drop these; say them in words"


def test_every_argument_is_described_with_its_limits_in_words_once_for_both_picture_tools():
    make, edit = (WRITTEN_OUT[name]["inputSchema"]["properties"] for name in PICTURE_TOOLS)
    described = {argument: entry.get("description", "") for argument, entry in {**edit, **make}.items()}

    assert [argument for argument, words in described.items() if not words] == []
    assert {a: described[a] for a, limit in LIMIT.items() if not re.search(limit, described[a])} == {}
    assert "undescribed arguments as in generate_image" in DEFINITIONS["edit_image"]["description"]
    assert {a for a in edit if "description" in edit[a]} == {*(edit.keys() - make.keys()), "ratio", "size", "brief"}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_no_description_is_longer_than_a_host_keeps(name: str):
    texts = [DEFINITIONS[name]["description"], *(s.get("description", "") for p, s in EVERYWHERE if p.startswith(name))]

    assert max(len(text.encode()) for text in texts) < 2_000


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_tool_says_all_hints_and_no_output_schema(name: str):
    tool = DEFINITIONS[name]

    assert "outputSchema" not in tool
    assert set(tool["annotations"]) == {
        "title",
        "readOnlyHint",
        "destructiveHint",
        "idempotentHint",
        "openWorldHint",
    }
    assert tool["title"] == tool["annotations"]["title"]
    assert re.fullmatch(r"[a-z_]{1,40}", name)


def test_only_the_tools_that_make_pictures_ask_to_be_loaded_up_front():
    up_front = {name for name, tool in DEFINITIONS.items() if "anthropic/alwaysLoad" in tool.get("_meta", {})}

    assert up_front == set(PICTURE_TOOLS)


@pytest.mark.parametrize("name", PICTURE_TOOLS)
def test_descriptions_carry_the_words_people_use(name: str):
    words = {
        "generate_image": ["Seedream", "豆包", "文生图", "画图", "pictures", "dry_run"],
        "edit_image": ["Seedream", "图生图", "改图", "换装", "Image 1", "图1"],
    }

    assert [word for word in words[name] if word not in DEFINITIONS[name]["description"]] == []


@pytest.mark.parametrize("name", PICTURE_TOOLS)
def test_what_is_advertised_is_what_is_accepted(name: str, environ: dict[str, str]):
    known = set(DEFINITIONS[name]["inputSchema"]["properties"])
    with pytest.raises(InvalidRequest) as refused:
        check(name, {"no-such-argument": 1}, catalog=catalog(), settings=Settings.read(environ))

    assert set(refused.value.allowed) == known


def test_numbers_and_lists_sent_as_text_mean_the_same_request(environ: dict[str, str]):
    settings = Settings.read(environ)
    typed = {
        "prompt": "换成红色",
        "images": ["a.png", "b.png"],
        "count": 3,
        "seed": 7,
        "watermark": True,
        "dry_run": True,
    }
    spoken = {
        **typed,
        "images": '["a.png", "b.png"]',
        "count": "3",
        "seed": "7",
        "watermark": "true",
        "dry_run": "True",
    }

    assert check("edit_image", spoken, catalog=catalog(), settings=settings) == check(
        "edit_image", typed, catalog=catalog(), settings=settings
    )
