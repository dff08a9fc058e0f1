"""The plan: what a board will come to, worked out with the very arguments of the run, and nothing sent."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from seedframe.catalog import catalog
from seedframe.emulator import InProcess
from seedframe.service.request import check
from seedframe.settings import Settings
from seedframe.storyboard.board import example, read_board
from seedframe.storyboard.board_folder import board_in, keep_board
from seedframe.storyboard.board_plan import BoardPlan, arguments_of, plan_board
from seedframe.storyboard.frames import frames_of
from seedframe.storyboard.picks import picks_meant
from seedframe.storyboard.types import Board

CHAIN = """
project: chain
shots:
  - {id: E01_SC01_SH010, action: {zh: 一座石桥横在雾里的河面上，晨光从桥洞透过来, en: "a stone bridge in mist"}}
  - {id: E01_SC01_SH020, action: {zh: 一条小船停在桥下，船头的灯亮着，水面平静, en: "a boat under the bridge"}}
  - {id: E01_SC01_SH030, action: {zh: 小船已经驶远，河面只剩一道水痕，雾慢慢散开, en: "the boat far away"}}
"""


def story() -> Board:
    return read_board("example.yaml", text=example("yaml"))


def board(text: str, folder: Path | None = None) -> Board:
    return read_board((folder or Path()) / "board.yaml", text=text)


@pytest.fixture
def plan(environ: dict[str, str]) -> Any:
    def planned(given: Board, picks: Mapping[str, str] | None = None, **variables: str) -> BoardPlan:
        return plan_board(given, Settings.read({**environ, **variables}), catalog(), picks=picks or {})

    return planned


def codes(planned: BoardPlan) -> list[tuple[str, str]]:
    return [(finding.severity, finding.code) for finding in planned.all_findings()]


def test_the_example_comes_to_twelve_shots_in_three_waves_at_the_list_price(plan: Any):
    assert plan(story()).totals() == {
        "shots": 12,
        "frames": 17,
        "blocked": 0,
        "cost": [{"amount": "3.74", "currency": "CNY"}],
        "unpriced": 0,
        "seconds": [0.6, 4.5],
        "waves": [10, 6, 1],
        "findings": {"error": 0, "warning": 0, "info": 1},
    }


def test_a_frame_is_planned_with_prompt_size_references_and_price(plan: Any):
    described = plan(story()).frames[2].as_json()
    prompt = described.pop("prompt")
    assert prompt.startswith("视频静帧画面，竖版9:16构图。上一镜头的人物站位与光线参考图1。")
    assert described == {
        "key": "E01_SC01_SH030_ff_v01",
        "shot": "E01_SC01_SH030",
        "role": "first",
        "take": 1,
        "tool": "edit_image",
        "wave": 2,
        "model": "5.0-lite",
        "size": "1440x2560",
        "negative": None,
        "references": [{"role": "previous_frame", "frame": "E01_SC01_SH020_ff_v01"}],
        "price": {"amount": "0.22", "currency": "CNY"},
        "findings": [],
    }


def test_what_is_planned_is_what_the_studio_accepts(environ: dict[str, str]):
    settings = Settings.read(environ)
    for task in frames_of(story()):
        made = {key: Path(f"/made/{key}.jpg") for key in task.depends_on}
        tool, arguments = arguments_of(task, made=made)
        request = check(tool, arguments, catalog=catalog(), settings=settings)
        assert request.images == tuple(map(str, made.values()))
        assert str(request.frame.expected) == "1440x2560"


def test_a_frame_that_is_not_made_yet_cannot_be_sent():
    task = next(task for task in frames_of(story()) if task.depends_on)
    with pytest.raises(KeyError):
        arguments_of(task)


def test_shots_that_follow_each_other_are_made_one_after_another(plan: Any):
    free, chained = plan(board(CHAIN)), plan(board(f"{CHAIN}chain: true\n"))
    assert (free.waves, chained.waves) == ((3,), (1, 1, 1))
    assert chained.seconds.low == 3 * free.seconds.low


def test_a_picked_take_serves_as_the_previous_frame(plan: Any):
    given = story()
    picks = picks_meant(given, ["E01_SC01_SH040", "2"])
    follower = next(frame for frame in plan(given, picks).frames if frame.task.key == "E01_SC01_SH040_lf_v01")
    assert follower.task.depends_on == ("E01_SC01_SH040_ff_v02",)


def test_takes_have_their_own_seed_and_price_and_the_same_words(plan: Any):
    frames = plan(board(f"{CHAIN}takes: 3\nseed: 7\n")).frames[:3]
    assert [frame.task.seed for frame in frames] == [7, 8, 9]
    assert len({frame.prompt for frame in frames}) == 1
    assert sum(frame.price.amount for frame in frames) == Decimal("0.66")


def test_another_model_gets_its_own_language_and_price(plan: Any):
    given = plan(board(f'{CHAIN}model: "4.5"\n'))
    assert given.frames[0].prompt.isascii()
    assert given.frames[0].negative
    assert given.cost == {"CNY": Decimal("0.75")}


def test_a_level_of_resolution_keeps_the_ratio_of_the_board(plan: Any):
    assert [frame.size for frame in plan(board(f"{CHAIN}resolution: 4K\nratio: '16:9'\n")).frames][:1] == ["5376x3024"]


def test_a_reference_that_is_not_there_is_found_before_anything_is_paid(plan: Any, tmp_path: Path):
    text = f"{CHAIN}props: [{{id: P01, text: 一盏灯, references: [refs/lamp.png]}}]\n"
    text = text.replace("SH010, action", "SH010, props: [P01], action")
    missing = plan(board(text, tmp_path))
    (tmp_path / "refs").mkdir()
    Image.new("RGB", (800, 800)).save(tmp_path / "refs" / "lamp.png")
    found = plan(board(text, tmp_path))
    outside = plan(board(text.replace("refs/lamp.png", "/etc/hostname"), tmp_path))
    assert [len(planned.blocked) for planned in (missing, found, outside)] == [1, 0, 1]
    assert str(missing.blocked[0].findings[0].message).startswith(f"The reference picture {tmp_path}/refs/lamp.png")
    assert "outside the folders" in str(outside.blocked[0].findings[0].message)


def test_a_refused_frame_says_why_and_the_others_are_planned(plan: Any):
    given = plan(story(), SEEDFRAME_BACKEND="uniall")
    assert len(given.blocked) == 7
    assert "by URL only" in str(given.blocked[0].findings[0].message)
    assert (given.cost, given.unpriced) == ({}, 10)


def test_words_missing_in_the_language_of_the_model_are_advice_and_block_a_strict_board(plan: Any):
    text = CHAIN.replace('en: "a stone bridge in mist"', "").replace(", }", "}") + 'model: "4.5"\n'
    advised, strict = plan(board(text)), plan(board(text + "strict: true\n"))
    assert advised.blocked == ()
    assert ("warning", "LANG_45") in codes(advised)
    assert [frame.task.key for frame in strict.blocked] == ["E01_SC01_SH010_ff_v01"]
    assert ("error", "PromptRejected") in codes(strict)


@pytest.mark.parametrize(("realistic", "found"), [("true", 1), ("false", 0)])
def test_realistic_faces_are_warned_of_where_the_model_is_not_trusted(plan: Any, realistic: str, found: int):
    text = f"""
project: faces
realistic_people: {realistic}
model: "4.5"
characters: [{{id: C01, text: {{zh: 一位穿灰色大衣的女子, en: "woman in a grey coat"}}}}]
shots:
  - {{id: E01_SC01_SH010, characters: [C01], action: {{zh: 站在窗边看雨, en: "standing at the window"}}, duration: 5}}
"""
    assert codes(plan(board(text))).count(("warning", "FACE_TRUST")) == found


@pytest.mark.slow
def test_a_large_board_waits_for_the_rate_limit(plan: Any):
    shots = "\n".join(f"  - {{id: E01_SC01_SH{number:04}, action: 一座石桥横在雾里的河面上}}" for number in range(600))
    given = plan(board(f"project: many\nshots:\n{shots}\n"), SEEDFRAME_IPM="60")
    assert 599 <= given.seconds.low <= 600


def test_planning_sends_nothing(plan: Any, service: InProcess):
    plan(story())
    assert service.app.state.request_log.posts == 0


def test_a_board_is_kept_so_that_it_reads_back_the_same(plan: Any, tmp_path: Path):
    text = (
        f"{CHAIN}chain: true\nprops: [{{id: P01, text: 一盏灯, references: [lamp.png, 'https://example.org/x.png']}}]\n"
    )
    given = board(text.replace("SH010, action", "SH010, props: [P01], action"), tmp_path / "source")
    keep_board(given, tmp_path / "out")
    kept = board_in(tmp_path / "out")
    assert [task.references for task in frames_of(kept)] == [task.references for task in frames_of(given)]
    assert [frame.prompt for frame in plan(kept).frames] == [frame.prompt for frame in plan(given).frames]
