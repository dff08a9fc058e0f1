"""Boards in five formats: what is read, and how a mistake is reported."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from seedframe.errors import InvalidRequest
from seedframe.messages import sentences
from seedframe.storyboard.board import board_schema, board_to_json, example, read_board
from seedframe.storyboard.formats import format_of
from seedframe.storyboard.formats.shot_ids import shot_id

CASES = Path(__file__).parents[1] / "cases" / "storyboard"
BOARDS = sorted(path for path in (CASES / "boards").iterdir() if path.suffix != ".json")
MISTAKES: list[dict[str, Any]] = json.loads((CASES / "mistakes.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.name)
def test_a_board_is_read_into_its_canonical_form(path: Path):
    expected = json.loads((CASES / "boards" / f"{path.name}.json").read_text(encoding="utf-8"))
    assert board_to_json(read_board(path)) == expected


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.name)
def test_what_a_board_is_written_as_reads_back_as_the_same_board(path: Path):
    board = read_board(path)
    again = read_board("again.json", text=json.dumps(board_to_json(board)))
    assert dataclasses.replace(again, folder=board.folder, notices=board.notices) == board


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["name"])
def test_a_mistake_is_told_with_file_line_and_column(mistake: dict[str, Any]):
    with pytest.raises(InvalidRequest) as caught:
        read_board(mistake["file"], text=mistake["text"])
    assert caught.value.field == mistake["field"]
    english, chinese = caught.value.text("en"), caught.value.text("zh")
    assert f"{mistake['file']}, {mistake['field']}: {mistake['en']}" in english
    assert mistake["zh"] in chinese


def test_the_commented_example_and_its_json_twin_are_the_same_board():
    twins = [read_board(f"example.{form}", text=example(form)) for form in ("yaml", "json")]
    assert twins[0] == twins[1]
    assert len(twins[0].shots) == 12
    assert example("yaml").count("#") > 20


def test_the_published_schema_is_a_schema_and_takes_the_example():
    Draft202012Validator.check_schema(board_schema())
    Draft202012Validator(board_schema()).validate(json.loads(example("json")))


def test_the_same_story_comes_out_of_markdown_and_csv():
    shots = [read_board(CASES / "boards" / name).shots for name in ("rainletter.md", "rainletter.csv")]
    assert [[shot.id for shot in found] for found in shots] == [["E01_SC01_SH010", "E01_SC01_SH020"]] * 2
    assert [[shot.frames for shot in found] for found in shots] == [[("first",), ("first", "last")]] * 2


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('{"project": "p"}', "json"),
        ("project: p\nshots: []", "yaml"),
        ("# T\n\n| 镜号 | 画面 |\n|---|---|\n| 1 | a |", "markdown"),
        ("镜号,画面\n1,a", "csv"),
        ("Title: x\n\n[[SHOT: a]]", "fountain"),
    ],
)
def test_a_format_is_told_by_the_text_when_the_name_does_not_say_it(text: str, form: str):
    assert format_of(text, "board.txt") == form


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", "E01_SC02_SH070"),
        ("3", "E01_SC02_SH030"),
        ("3A", "E01_SC02_SH031"),
        ("030", "E01_SC02_SH030"),
        ("镜头5", "E01_SC02_SH050"),
        ("1-3", "E01_SC01_SH030"),
        ("SC04_SH020", "E01_SC04_SH020"),
        ("e02_sc01_sh010", "E02_SC01_SH010"),
    ],
)
def test_shot_numbers_become_canonical_ids(written: str, expected: str):
    assert shot_id(written, scene=2, order=7) == expected


def test_a_spreadsheet_saved_in_the_chinese_encoding_is_read(tmp_path: Path):
    path = tmp_path / "board.csv"
    path.write_bytes("镜号,画面\n1,雨夜的石板巷\n".encode("gb18030"))
    assert read_board(path).shots[0].action == {"zh": "雨夜的石板巷"}


def test_an_unknown_column_is_left_out_and_said():
    board = read_board("b.csv", text="镜号,画面,运竟,摄影师\n1,雨,推近,老王\n")
    assert [(note.code, note.message.values["column"], note.message.values["close"]) for note in board.notices] == [
        ("COLUMN_UNKNOWN", "运竟", "运镜"),
        ("COLUMN_UNKNOWN", "摄影师", ""),
    ]


def test_two_columns_of_one_text_are_its_two_languages():
    board = read_board("b.csv", text="shot,画面,action (en),last (en),尾帧\n1,雨,rain,sun,晴\n")
    assert board.shots[0].action == {"zh": "雨", "en": "rain"}
    assert board.shots[0].last == {"action": {"en": "sun", "zh": "晴"}}


def test_a_bomb_of_yaml_aliases_is_refused_at_once():
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(InvalidRequest):
        read_board("b.yaml", text="\n".join(lines))


def test_a_chained_board_lets_every_shot_follow_the_one_before_it_in_its_scene():
    ids = ("E01_SC01_SH010", "E01_SC01_SH020", "E01_SC02_SH010", "E01_SC02_SH020")
    shots: list[dict[str, Any]] = [{"id": name, "action": "rain"} for name in ids]
    shots[3]["prev"] = None
    board = read_board("b.json", text=json.dumps({"project": "p", "chain": True, "shots": shots}))
    assert [shot.prev for shot in board.shots] == [None, "E01_SC01_SH010", None, None]


def test_the_rooms_sentences_have_the_same_keys_in_both_languages():
    english, chinese = (
        {key for key in sentences(language) if key.startswith("storyboard.")} for language in ("en", "zh")
    )
    assert english == chinese
