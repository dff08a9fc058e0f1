"""One story, many shots: what every shot repeats, what it follows, and what is said when shots disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedframe.prompting import PromptInput, sheets, style
from seedframe.storyboard.board import example, read_board
from seedframe.storyboard.continuity import continuity_findings
from seedframe.storyboard.frames import FrameTask, frames_of
from seedframe.storyboard.handoff.manifest import check_board
from seedframe.storyboard.types import Board

ALLEY = Path(__file__).parents[1] / "cases" / "storyboard" / "alley.json"


def alley(**changes: Any) -> Board:
    data: dict[str, Any] = json.loads(ALLEY.read_text(encoding="utf-8"))
    return read_board("/boards/alley.json", text=json.dumps({**data, **changes}))


def shots(*described: dict[str, Any]) -> Board:
    """The alley with other shots; ids in tens unless told."""
    return alley(
        shots=[{"id": f"E01_SC01_SH{order}0", "scene": "S01", **shot} for order, shot in enumerate(described, 10)]
    )


def tasks(board: Board, **picks: str) -> dict[str, FrameTask]:
    return {task.key: task for task in frames_of(board, picks)}


def codes(board: Board) -> list[tuple[str, str, str | None]]:
    return [(found.code, found.severity, found.shot) for found in continuity_findings(board)]


def test_references_come_product_character_scene_prop_previous_frame():
    last = tasks(alley())["E01_SC01_SH010_lf_v01"]
    assert [(item.role, item.path or item.frame) for item in last.references] == [
        ("product", "/boards/refs/X01.png"),
        ("character", "/boards/refs/C01_front.png"),
        ("face", "/boards/refs/C01_face.png"),
        ("character", "https://example.com/cat.png"),
        ("scene", "/boards/refs/S01.png"),
        ("prop", "/boards/refs/P01.png"),
        ("previous_frame", "E01_SC01_SH010_ff_v01"),
    ]
    assert [item["n"] for item in last.brief["references"]] == [1, 2, 3, 4, 5, 6, 7]


def test_with_two_characters_pictured_each_reference_says_whose_it_is():
    first = tasks(alley())["E01_SC01_SH010_ff_v01"]
    assert [item.get("take", {}).get("en") for item in first.brief["references"]] == [
        None,
        "identity of the courier",
        None,
        "identity of the cat",
        None,
        None,
    ]


def test_the_whole_brief_of_a_shot():
    assert tasks(alley())["E01_SC01_SH020_ff_v01"].brief == {
        "image_use": "image_use.video_still",
        "subject": {
            "zh": "一位二十六岁的短发女快递员，穿明黄色雨衣",
            "en": "woman courier aged 26, bright yellow raincoat",
        },
        "action": {"zh": "抬头", "en": "looking up"},
        "setting": {
            "zh": "窄石板巷，左侧是木格窗，右侧是砖墙",
            "en": "narrow flagstone alley, lattice window on screen left, brick wall on screen right",
        },
        "people": True,
        "shot_size": "shot_size.medium_close",
        "time_of_day": "time_of_day.dusk",
        "weather": "weather.drizzle",
        "lighting": ["lighting.mixed_temp"],
        "palette": ["palette.teal_orange"],
        "art_style": "art_style.cinematic",
        "avoid": [{"en": "crowds"}],
        "must_keep": [
            {"zh": "角色外貌与服装", "en": "character looks and costume"},
            {"zh": "场景的左右方位", "en": "left-right layout of the place"},
            {"zh": "视线朝右", "en": "gaze to the right"},
        ],
        "references": [
            {"n": 1, "role": "character"},
            {"n": 2, "role": "face"},
            {"n": 3, "role": "scene"},
            {"n": 4, "role": "previous_frame"},
        ],
    }


def test_an_identity_sentence_is_the_same_bytes_in_every_shot():
    found = tasks(alley())
    sentence = "一位二十六岁的短发女快递员，穿明黄色雨衣"
    texts = [subject["text"]["zh"] for subject in found["E01_SC01_SH010_ff_v01"].brief["subjects"]]
    assert texts == [sentence, "一只瘸腿橘猫"]
    assert found["E01_SC01_SH020_ff_v01"].brief["subject"]["zh"] == sentence


def test_each_of_several_characters_has_name_and_place_of_its_own():
    brief = tasks(alley())["E01_SC01_SH010_ff_v01"].brief
    described = [(subject["name"]["en"], subject["position"]) for subject in brief["subjects"]]
    assert described == [("the courier", "left"), ("the cat", "right")]
    assert [text["en"] for text in brief["details"]] == ["red umbrella", "damp letter"]


def test_a_last_frame_changes_only_what_it_says():
    found = tasks(alley())
    first, last = found["E01_SC01_SH010_ff_v01"].brief, found["E01_SC01_SH010_lf_v01"].brief
    assert {part for part in first.keys() | last.keys() if first.get(part) != last.get(part)} == {
        "action",
        "references",
    }


def test_frames_come_in_story_order_and_never_before_what_they_wait_for():
    found = frames_of(alley())
    assert [(task.key, task.depends_on, task.seed) for task in found] == [
        ("E01_SC01_SH010_ff_v01", (), 7),
        ("E01_SC01_SH010_ff_v02", (), 8),
        ("E01_SC01_SH010_lf_v01", ("E01_SC01_SH010_ff_v01",), 7),
        ("E01_SC01_SH010_lf_v02", ("E01_SC01_SH010_ff_v01",), 8),
        ("E01_SC01_SH020_ff_v01", ("E01_SC01_SH010_lf_v01",), 7),
        ("E01_SC02_SH010_ff_v01", (), 7),
    ]


def test_a_picked_take_is_what_later_frames_follow():
    found = tasks(alley(), E01_SC01_SH010_ff="E01_SC01_SH010_ff_v02")
    assert found["E01_SC01_SH010_lf_v01"].depends_on == ("E01_SC01_SH010_ff_v02",)


def test_a_scene_change_drops_the_previous_frame_and_says_so():
    assert ("CONT_SCENE_CHANGE", "info", "E01_SC02_SH010") in codes(alley())
    assert tasks(alley())["E01_SC02_SH010_ff_v01"].references == ()


def test_a_shot_of_nobody_is_about_what_happens():
    assert tasks(alley())["E01_SC02_SH010_ff_v01"].brief["subject"] == {
        "zh": "信落在地板上",
        "en": "a letter on the floor",
    }


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        pytest.param([{"characters": "C01", "subject": "a hand"}], ("CONT_IDENTITY", "warning"), id="another subject"),
        pytest.param(
            [{"characters": "C01", "subject": "a hand", "shot_size": "shot_size.insert"}],
            ("CONT_IDENTITY", "info"),
            id="another subject in a detail",
        ),
        pytest.param(
            [{"action": "rain", "art_style": "art_style.anime_modern"}], ("CONT_STYLE", "warning"), id="style"
        ),
        pytest.param([{"action": "她靠着右侧的砖墙"}], ("CONT_SIDE", "warning"), id="wall on the other side"),
        pytest.param(
            [{"characters": "C01", "positions": {"C01": side}} for side in ("left", "right")],
            ("CONT_SIDE", "warning"),
            id="character jumps the line",
        ),
        pytest.param(
            [{"characters": "C01", "direction": side} for side in ("left", "right")],
            ("CONT_SIDE", "warning"),
            id="direction flips",
        ),
        pytest.param(
            [{"action": "rain"}, {"action": "rain", "time_of_day": "night"}],
            ("CONT_LIGHT", "warning"),
            id="time of day",
        ),
        pytest.param(
            [{"characters": "C01", "wardrobe": state} for state in ("wet", "dry")],
            ("CONT_WARDROBE", "info"),
            id="wardrobe",
        ),
        pytest.param(
            [{"characters": "C01", "shot_size": "wide", "action": what} for what in ("a", "b")],
            ("CONT_JUMP", "info"),
            id="jump cut",
        ),
        pytest.param(
            [{"action": "rain", "frames": ["first", "last"]}], ("FRAME_SAME", "warning"), id="same last frame"
        ),
    ],
)
def test_shots_that_disagree_are_found(described: list[dict[str, Any]], expected: tuple[str, str]):
    last = f"E01_SC01_SH{len(described) + 9}0"
    assert codes(shots(*described)) == [(*expected, last)]


def test_a_reverse_shot_may_change_sides():
    turned = shots(
        {"characters": "C01", "positions": {"C01": "left"}, "action": "她靠着左侧的砖墙"},
        {"characters": "C01", "positions": {"C01": "right"}, "action": "她靠着右侧的砖墙", "reverse": True},
    )
    assert codes(turned) == []


def test_a_character_nobody_described_is_found():
    assert codes(read_board("b.csv", text="镜号,角色,画面\n1,小满,抬头\n")) == [("CONT_UNDESCRIBED", "warning", None)]


def test_one_name_with_two_looks_is_found():
    twins = [{"id": name, "name": "Ada", "text": text} for name, text in (("A", "tall"), ("B", "short"))]
    assert codes(alley(characters=twins, shots=[{"id": "E01_SC01_SH010", "action": "rain"}])) == [
        ("CONT_IDENTITY", "warning", None)
    ]


def test_a_realistic_face_made_with_references_is_told_before_anything_is_paid():
    assert [(found.code, found.frame) for found in check_board(alley()) if found.code == "FACE_TRUST"] == [
        ("FACE_TRUST", "E01_SC01_SH010_ff_v01"),
        ("FACE_TRUST", "E01_SC01_SH010_lf_v01"),
        ("FACE_TRUST", "E01_SC01_SH020_ff_v01"),
    ]
    assert not [found for found in check_board(alley(realistic_people=False)) if found.code == "FACE_TRUST"]


@pytest.mark.parametrize("sheet", sheets())
def test_every_frame_of_the_example_becomes_a_prompt_without_a_warning(sheet: str):
    board = read_board("example.yaml", text=example("yaml"))
    for task in frames_of(board):
        arguments = PromptInput(
            sheet=sheet, model=sheet, brief=task.brief, references=len(task.references), ratio=task.ratio, keyframe=True
        )
        styled = style(arguments)
        assert styled.prompt
        assert [found.code for found in styled.findings if found.severity != "info"] == [], task.key


def test_the_example_holds_together():
    board = read_board("example.yaml", text=example("yaml"))
    assert codes(board) == [("CONT_SCENE_CHANGE", "info", "E01_SC02_SH010")]
    assert check_board(board) == ()
