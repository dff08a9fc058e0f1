"""Whoever is named in a shot's words is in its picture, described in full; who is only mentioned is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedframe.storyboard.board import read_board
from seedframe.storyboard.frames import frames_of
from seedframe.storyboard.types import Board, Shot

CASES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "cases" / "storyboard" / "named.json").read_text("utf-8")
)
AYU = {"id": "C01", "name": "阿雨", "text": "二十岁的短发女孩，黄雨衣"}
ZHOU = {"id": "C02", "name": "老周", "text": "六十岁的修伞匠，灰布衫"}


def board(*shots: Any, **elements: Any) -> Board:
    return read_board("b.json", text=json.dumps({**elements, "shots": [*shots]}, ensure_ascii=False))


def shown(shot: Shot) -> set[str]:
    return {*shot.characters, *shot.products, *shot.props}


def described(made: Board) -> list[dict[str, Any]]:
    return [dict(frame.brief) for frame in frames_of(made)]


@pytest.mark.parametrize(("words", "who"), CASES["seen"], ids=[words for words, _ in CASES["seen"]])
def test_who_is_named_as_seen_is_bound(words: str, who: list[str]):
    made = board(words, **CASES["elements"])

    assert shown(made.shots[0]) == set(who)
    assert {note.code for note in made.notices} == {"NAME_BOUND"}


@pytest.mark.parametrize("words", CASES["plain"])
def test_nobody_is_bound_who_is_not_in_the_picture(words: str):
    made = board(words, **CASES["elements"])

    assert shown(made.shots[0]) == set()
    assert {note.code for note in made.notices} <= {"NAME_UNSEEN"}


def test_a_name_of_two_is_left_open_and_told():
    twins = [{"id": "A1", "name": "阿雨", "text": "姐姐，长发"}, {"id": "A2", "name": "阿雨", "text": "妹妹，短发"}]
    made = board("阿雨推门进来", {"action": "阿雨推门进来", "characters": ["A2"]}, characters=twins)
    first_names = [{"id": "M1", "name": "Mia Chen", "text": "a"}, {"id": "M2", "name": "Mia Wong", "text": "b"}]
    english = board("Mia opens the door", "Mia Wong opens the door", characters=first_names)

    assert [shown(shot) for shot in (*made.shots, *english.shots)] == [set(), {"A2"}, set(), {"M2"}]
    assert [(note.code, note.severity, note.shot) for note in (*made.notices, *english.notices)] == [
        ("NAME_AMBIGUOUS", "warning", "E01_SC01_SH010"),
        ("NAME_AMBIGUOUS", "warning", "E01_SC01_SH010"),
        ("NAME_BOUND", "info", "E01_SC01_SH020"),
    ]


def test_each_identity_sentence_goes_out_with_its_name():
    made = board(
        "窗边，阿雨和老周对视",
        {"action": "两人对视", "characters": ["阿雨", "老周"]},
        {"action": "阿雨推开门", "characters": ["阿雨", "老周"]},
        {"action": "老周的手握着伞骨"},
        characters=[AYU, ZHOU],
    )

    assert [
        (brief.get("subject", brief.get("subjects")), brief.get("action"), brief.get("details", []))
        for brief in described(made)
    ] == [
        ({"zh": "窗边，阿雨（二十岁的短发女孩，黄雨衣）和老周（六十岁的修伞匠，灰布衫）对视"}, None, []),
        (
            [
                {"text": {"zh": "二十岁的短发女孩，黄雨衣"}, "name": {"zh": "阿雨"}, "kind": "person"},
                {"text": {"zh": "六十岁的修伞匠，灰布衫"}, "name": {"zh": "老周"}, "kind": "person"},
            ],
            {"zh": "两人对视"},
            [],
        ),
        (
            {"zh": "阿雨（二十岁的短发女孩，黄雨衣）推开门"},
            None,
            [{"zh": "画面中还有老周（六十岁的修伞匠，灰布衫）"}],
        ),
        ({"zh": "老周（六十岁的修伞匠，灰布衫）的手握着伞骨"}, None, []),
    ]


def test_an_english_name_is_told_in_full_too():
    mia = {"name": "Mia", "text": "teenage skateboarder, red beanie"}
    bell = {"name": "brass bell", "text": "palm-sized old brass bell"}
    made = board("Mia rings the brass bell", "Mia's hand on the rail", characters=[mia], props=[bell])

    assert [brief["subject"] for brief in described(made)] == [
        {"en": "Mia (teenage skateboarder, red beanie) rings palm-sized old brass bell"},
        {"en": "Mia's hand (Mia: teenage skateboarder, red beanie) on the rail"},
    ]
