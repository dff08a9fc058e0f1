"""What is said about people's own prompts: good ones pass, faults are named, and nothing is refused without need."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from bench.prompts import measured, read_prompts, table
from click.testing import CliRunner
from mcp import Client

from seedframe.catalog import catalog
from seedframe.cli import program
from seedframe.mcp_server.app import build_server
from seedframe.messages import Language
from seedframe.prompting import StyledPrompt, sheets, writing_rules
from seedframe.prompting.people import people
from seedframe.prompting.prompt_input import prompt_input, style_prompt_of
from seedframe.settings import Settings
from seedframe.storyboard.board import read_board
from seedframe.storyboard.board_plan import plan_board
from seedframe.studio.pipeline import Studio

CASES = Path(__file__).parents[1] / "cases" / "prompts"
FAULTS = json.loads((CASES / "faults.json").read_text(encoding="utf-8"))
PEOPLE = json.loads((CASES / "people.json").read_text(encoding="utf-8"))
OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]
pytestmark = pytest.mark.anyio


def judged(prompt: str, model: str, **call: Any) -> StyledPrompt:
    offer = catalog().offer(model, catalog().backend("ark"), {})
    return style_prompt_of(prompt_input(offer, prompt=prompt, **call), offer)


def model_of(case: dict[str, Any]) -> str:
    return str(case.get("model", "4.5" if case["prompt"].isascii() and "says" not in case else "5.0-lite"))


@pytest.mark.parametrize("name", ["good_zh.txt", "good_en.tsv"])
def test_good_prompts_are_sent_without_a_warning_in_either_language(name: str):
    for row in measured(CASES / name):
        assert (row.refused, row.suspects) == (0.0, 0)
        assert row.warned <= (0.04 if row.native else 0.0), list(table([row]))


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case["id"])
def test_a_fault_is_named_and_refused_only_where_it_would_waste_the_payment(case: dict[str, Any]):
    styled = judged(case["prompt"] * case.get("repeat", 1), model_of(case), **case.get("call", {}))
    grave = [finding for finding in styled.findings if finding.severity != "info" and finding.code != "REF_UNUSED"]

    assert [finding.code for finding in grave] == case["codes"]
    assert bool(styled.errors) is case.get("refused", False)
    for language, word in zip(("en", "zh"), case.get("says", ()), strict=False):
        assert word in grave[0].message.text(language)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", PEOPLE["people"])
def test_people_are_known_by_their_roles(text: str):
    assert people(text)


@pytest.mark.parametrize("text", PEOPLE["nobody"])
def test_animals_and_things_named_after_people_are_none(text: str):
    assert not people(text)


@pytest.mark.parametrize(
    ("prompt", "model", "sent"),
    [
        ("一只白猫的日常", "5.0-lite", "一只白猫的日常。生成一组共4张图。"),
        ("a white cat at home", "4.5", "a white cat at home. Generate a set of 4 images."),
        ("una gata blanca en la casa de mi abuela", "5.0-lite", None),
        ("四格漫画，一只白猫打翻花瓶", "5.0-lite", "四格漫画，一只白猫打翻花瓶"),
        ("4张插画，一只白猫", "5.0-lite", "4张插画，一只白猫"),
        ("a series of stickers, white cat", "4.5", "a series of stickers, white cat"),
        ("一套表情包，白猫", "5.0-lite", "一套表情包，白猫"),
    ],
)
def test_a_related_set_is_asked_for_in_the_prompt_and_it_is_said(prompt: str, model: str, sent: str | None):
    styled = judged(prompt, model, group=4)
    added = [finding for finding in styled.findings if finding.code == "GROUP_TRIGGER"]

    assert styled.prompt == (sent or f"{prompt}. Generate a set of 4 images.")
    assert [finding.severity for finding in added] == (["info"] if styled.prompt != prompt else [])
    assert styled.errors == ()


def test_a_strict_house_turns_advice_into_errors_and_leaves_the_rest():
    prompt = "a lighthouse (stormy:1.3) on a cliff, sign saying KEEP OUT, masterpiece"
    loose, strict = judged(prompt, "4.5"), judged(prompt, "4.5", strict=True)

    assert loose.errors == ()
    assert {finding.code for finding in strict.errors} == {"SYNTAX_FOREIGN", "TEXT_UNQUOTED"}
    assert {f.code for f in strict.findings} == {f.code for f in loose.findings}


def test_an_english_brief_is_worded_in_english_for_a_model_that_reads_chinese_best():
    brief = {"subject": "a red fox", "setting": "in a snowy forest", "lighting": "rim light", "shot_size": "close-up"}
    offer = catalog().offer("5.0-lite", catalog().backend("ark"), {})

    styled = style_prompt_of(prompt_input(offer, brief=brief), offer)

    assert styled.prompt.isascii()
    assert [finding.code for finding in styled.findings if finding.severity == "warning"] == ["LANG_5"]
    assert [task.field for task in styled.needs_host] == ["brief.subject", "brief.setting"]


def test_one_field_in_the_other_language_is_a_note():
    brief = {"subject": {"zh": "一盏吊灯", "en": "a lamp"}, "lighting": "warm pendant lamp glow"}
    offer = catalog().offer("5.0-lite", catalog().backend("ark"), {})

    styled = style_prompt_of(prompt_input(offer, brief=brief), offer)

    assert [(f.code, f.severity) for f in styled.findings] == [("WORD_UNKNOWN", "info")]
    assert "warm pendant lamp glow" in styled.prompt
    assert styled.errors == ()


# Keyframes

BOARD = """
project: still
shots:
  - {id: E01_SC01_SH010, action: {zh: 镜头缓缓推近，少女在站台上回头, en: "camera slowly pushes in, a girl looks back"}}
  - {id: E01_SC01_SH020, action: {zh: 四格分屏里的四个路人, en: "split screen of four passers-by"}}
"""


@pytest.mark.parametrize(("strict", "severity"), [("", "warning"), ("strict: true\n", "error")])
def test_a_board_asks_for_one_frozen_moment_in_each_frame(environ: dict[str, str], strict: str, severity: str):
    board = read_board(Path("board.yaml"), text=BOARD + strict)

    plan = plan_board(board, Settings.read(environ), catalog())
    found = {finding.code: finding.severity for finding in plan.all_findings()}

    assert len(plan.blocked) == (2 if strict else 0)
    if strict:
        assert found["PromptRejected"] == severity
    else:
        assert (found["KEYFRAME_MOTION"], found["KEYFRAME_GRID"]) == (severity, severity)


# Through the entry points


async def called(open_studio: OpenStudio, tool: str, language: Language = "en", **arguments: Any) -> dict[str, Any]:
    """The machine's half of the answer."""
    async with Client(build_server(lambda: open_studio(SEEDFRAME_LANG=language), language)) as client:
        result = await client.call_tool(tool, arguments)
    (text,) = [block.text for block in result.content if isinstance(block, t.TextContent)]
    facts: dict[str, Any] = json.loads(text.rpartition("\n")[2])
    return facts


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": "a red fox", "model": "5.0-lite"},
        {"brief": {"subject": {"zh": "一只白猫", "en": "a white cat"}}, "count": 4},
        {"brief": {"subject": {"zh": "一只白猫", "en": "a white cat"}}, "count": 4, "related": True},
        {"prompt": "一位老人坐在门口喝茶", "model": "4.5"},
        {"prompt": "镜头推近，一位老人坐在门口喝茶", "model": "4.5", "frame": "1080x1920", "ratio": "9:16"},
        {"prompt": "the dress from Image 2 (red:1.2)"},
        {"prompt": "在<point>1 2</point>加一只鸟"},
    ],
    ids="-".join,
)
async def test_what_style_prompt_says_generate_image_says(arguments: dict[str, Any], open_studio: OpenStudio):
    said = await called(open_studio, "style_prompt", **arguments)
    done = await called(open_studio, "generate_image", dry_run=True, **arguments)

    assert said["usable"] is ("error" not in done)
    assert said["findings"] == done["findings"]
    if said["usable"]:
        assert said["prompt"] == done["prompt"]


@pytest.mark.parametrize(
    ("prompt", "model", "carries"),
    [
        ("a red fox curled up on moss in a birch forest, soft morning light", "5.0-lite", "natural-zh"),
        ("狐狸", "5.0-lite", "natural-zh"),
        ("一位老人坐在门口喝茶，阳光很好", "4.5", "keywords-en"),
        ("一位老裁缝在昏黄的台灯下缝制西装，针线盒敞开在手边，窗外下着小雨。", "5.0-lite", None),
    ],
)
async def test_words_that_could_be_better_come_back_with_the_writing_rules(
    prompt: str, model: str, carries: str | None, open_studio: OpenStudio
):
    facts = await called(open_studio, "style_prompt", prompt=prompt, model=model)

    assert facts["prompt"] == prompt
    assert facts.get("rewrite", {}).get("rules") == (writing_rules(carries) if carries else None)


@pytest.mark.parametrize("sheet", sheets())
def test_the_writing_rules_are_one_short_block(sheet: str):
    assert 0 < len(writing_rules(sheet).encode()) <= 1536


async def test_a_refusal_is_wholly_in_the_users_language(open_studio: OpenStudio):
    facts = await called(open_studio, "generate_image", "zh", prompt="参考图2的衣服 (red:1.2)，把帽子换掉")

    assert facts["error"] == "PromptRejected"
    described = [part for finding in facts["findings"] for part in (finding["message"], finding["mend"]) if part]
    assert [part for part in described if not any("\u4e00" <= sign <= "\u9fff" for sign in part)] == []


async def test_force_sends_what_was_refused(open_studio: OpenStudio):
    arguments = {"prompt": "参考第三张图的画风，画一座雪山。", "dry_run": True}

    refused = await called(open_studio, "generate_image", **arguments)
    forced = await called(open_studio, "generate_image", force=True, **arguments)

    assert (refused["error"], forced["status"]) == ("PromptRejected", "dry_run")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["雪山下的小木屋，烟囱冒着烟，门前有一条小路"], 0, ""),
        (["a red fox in the snow"], 0, "warning LANG_5: "),
        (["参考第三张图的画风，画一座雪山"], 2, "error REF_MISSING: "),
    ],
)
def test_the_command_line_ends_with_2_where_the_prompt_would_be_refused(
    words: list[str], code: int, says: str, environ: dict[str, str]
):
    done = CliRunner().invoke(program("en"), ["style", *words], obj=Settings.read(environ))

    assert done.exit_code == code
    assert says in done.stderr
    assert (words[0] in done.stdout) is (code == 0)


def test_the_column_of_the_prompts_is_found_in_every_kind_of_file(tmp_path: Path):
    prompts = ["一只猫，坐在窗边", 'a sign that reads "OPEN"']
    rows = [{"index": str(n), "prompt_zh": text, "note": "x"} for n, text in enumerate(prompts)]
    files = {name: tmp_path / f"set.{name}" for name in ("csv", "tsv", "json", "jsonl", "txt")}
    for name, mark in (("csv", ","), ("tsv", "\t")):
        with files[name].open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0], delimiter=mark)
            writer.writeheader()
            writer.writerows(rows)
    files["json"].write_text(json.dumps(rows), encoding="utf-8")
    files["jsonl"].write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    files["txt"].write_text("\n".join(prompts), encoding="utf-8")

    assert {name: read_prompts(path) for name, path in files.items()} == dict.fromkeys(files, prompts)
