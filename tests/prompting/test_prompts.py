"""The texts for a host's own LLM: every prompt file is served, and what its examples show is what Seedframe accepts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from seedframe.mcp_server.resources import Text, prompts
from seedframe.messages import Message
from seedframe.prompting import PromptInput, style
from seedframe.storyboard.board import read_board
from seedframe.storyboard.continuity import continuity_findings
from seedframe.storyboard.frames import frames_of
from seedframe.storyboard.handoff.manifest import check_board

SHEETS = {"natural-zh": "5.0-lite", "keywords-en": "4.5"}
SHEET_OF = {"style_v5_zh": "natural-zh", "style_v45_en": "keywords-en"}
FENCE = re.compile(r"```json\n(.*?)```", re.DOTALL)


def texts() -> dict[str, Text]:
    return {text.name: text for text in prompts()}


def examples(name: str) -> list[dict[str, Any]]:
    return [json.loads(found) for found in FENCE.findall(texts()[name].body)]


def notable(arguments: PromptInput) -> list[tuple[str, Message]]:
    styled = style(arguments)
    loud = [(finding.code, finding.message) for finding in styled.findings if finding.severity != "info"]
    return [*loud, *((task.field, task.message) for task in styled.needs_host)]


def test_every_text_an_agent_needs_is_there():
    assert sorted(texts()) == [
        "brief_from_text",
        "check_picture",
        "compress",
        "edit_request",
        "shots_from_script",
        "style_v45_en",
        "style_v5_zh",
    ]


@pytest.mark.parametrize("name", sorted(texts()))
def test_a_text_has_goal_input_output_six_to_ten_rules_two_examples_and_ends_with_the_next_step(name: str):
    body = texts()[name].body
    rules = re.findall(r"^\d+\. ", body, re.MULTILINE)
    assert [part for part in ("\nGoal: ", "\nInput:\n", "\nOutput: ", "\nRules:\n") if part not in body] == []
    assert 6 <= len(rules) <= 10
    assert rules == [f"{number}. " for number in range(1, len(rules) + 1)]
    assert len(examples(name)) == 2
    assert body.rstrip().endswith("call style_prompt again; fix every error.")


@pytest.mark.parametrize("name", sorted(texts()))
def test_a_text_asks_for_exactly_the_arguments_it_has_places_for(name: str):
    text = texts()[name]
    places = set(re.findall(r"\{(\w+)\}", text.body))
    assert places == {argument.name for argument in text.arguments}
    filled = text.filled({name: f"<{name}>" for name in places})
    assert [f"<{name}>" in filled for name in places] == [True] * len(places)


@pytest.mark.parametrize("sheet", SHEETS)
@pytest.mark.parametrize("name", ["brief_from_text", "edit_request", "check_picture"])
def test_the_briefs_shown_are_styled_without_a_warning_for_every_model(name: str, sheet: str):
    edits = name != "brief_from_text"
    shown = [example["next"] if name == "check_picture" else example for example in examples(name)]
    for example in filter(None, shown):
        arguments = PromptInput(
            sheet=sheet,
            model=SHEETS[sheet],
            brief=example["brief"] if edits else example,
            references=len(example["images"]) if edits else 0,
            edit=edits,
            negative_supported=True,
        )
        assert notable(arguments) == []


@pytest.mark.parametrize("name", SHEET_OF)
def test_the_prompts_shown_pass_the_lint_of_their_model(name: str):
    sheet = SHEET_OF[name]
    for example in examples(name):
        pictures = set(re.findall(r"图(\d)|Image (\d)", example["prompt"]))
        negative = example.get("negative_prompt")
        arguments = PromptInput(
            sheet=sheet,
            model=SHEETS[sheet],
            prompt=example["prompt"],
            negative=negative,
            references=len(pictures),
            negative_supported=True,
        )
        assert notable(arguments) == []


def test_the_shortened_prompts_shown_pass_the_lint():
    chinese, english = examples("compress")
    assert notable(PromptInput(sheet="natural-zh", model="5.0-lite", prompt=chinese["prompt"])) == []
    assert notable(PromptInput(sheet="keywords-en", model="4.5", prompt=english["prompt"])) == []


@pytest.mark.parametrize("number", [0, 1])
def test_the_boards_shown_are_read_and_every_frame_is_styled_without_a_warning(number: int, tmp_path: Path):
    board = read_board(tmp_path / "board.json", text=json.dumps(examples("shots_from_script")[number]))
    found = [*continuity_findings(board), *check_board(board)]
    loud = [(finding.code, str(finding.message)) for finding in found if finding.severity != "info"]
    for sheet, model in SHEETS.items():
        for frame in frames_of(board):
            arguments = PromptInput(
                sheet=sheet,
                model=model,
                brief=frame.brief,
                ratio=frame.ratio,
                references=len(frame.references),
                keyframe=True,
                negative_supported=True,
            )
            loud += [(frame.key, str(message)) for _, message in notable(arguments)]
    assert loud == []
