"""What step 4 gets: names, the manifest, and every limit of Seedance."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from seedframe.storyboard.board import read_board
from seedframe.storyboard.frames import FrameResult, frames_of
from seedframe.storyboard.handoff.manifest import build_manifest, check_board, check_manifest, manifest_schema, trust_of
from seedframe.storyboard.names import file_name, frame_key, parts_of_key
from seedframe.storyboard.types import Board
from seedframe.studio.types import Trust

CASES = Path(__file__).parents[1] / "cases" / "storyboard"
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def alley(**changes: Any) -> Board:
    data: dict[str, Any] = json.loads((CASES / "alley.json").read_text(encoding="utf-8"))
    return read_board("alley.json", text=json.dumps({**data, "realistic_people": False, **changes}))


def one_shot(**changes: Any) -> Board:
    shot = {"id": "E01_SC01_SH010", "action": "rain", "motion": "rain falls", "duration": 5, **changes.pop("shot", {})}
    return alley(shots=[shot], **changes)


def done(key: str, **changes: Any) -> FrameResult:
    found = FrameResult(
        key=key,
        status="done",
        path=f"out/{key}.jpg",
        width=2304,
        height=4096,
        bytes=3_000_000,
        mime="image/jpeg",
        sha256="ab" * 32,
        prompt="雨",
        model="5.0-lite",
        backend="ark",
        cost={"amount": 0.22, "currency": "CNY"},
        trust=Trust(eligible=False, reason="references"),
    )
    return replace(found, **changes)


def results(board: Board, **changes: Any) -> dict[str, FrameResult]:
    return {task.key: done(task.key, **changes) for task in frames_of(board)}


def codes(manifest: dict[str, Any], now: datetime | None = None) -> list[tuple[str, str]]:
    return [(found.code, found.severity) for found in check_manifest(manifest, now=now)]


def test_a_file_name_tells_project_shot_role_take_and_pixels():
    key = frame_key("E01_SC01_SH010", "last", 2)
    assert file_name("rainletter", key, (2304, 4096), ".jpg") == "rainletter_E01_SC01_SH010_lf_v02_2304x4096.jpg"
    assert parts_of_key(key) == ("E01_SC01_SH010", "last", 2)


@pytest.mark.parametrize("key", ["", "E01_SC01_SH010", "E01_SC01_SH010_ff_v1", "../E01_SC01_SH010_ff_v01"])
def test_anything_else_is_no_frame_key(key: str):
    with pytest.raises(ValueError, match="no frame key"):
        parts_of_key(key)


def test_the_manifest_of_a_finished_shot():
    board = one_shot(shot={"frames": ["first", "last"], "last": {"action": "sun"}, "direction": "left"})
    manifest = build_manifest(board, results(board))
    expected = json.loads((CASES / "manifest.json").read_text(encoding="utf-8"))
    assert manifest == expected
    Draft202012Validator(manifest_schema()).validate(manifest)
    assert check_manifest(manifest) == []


def test_an_unfinished_board_has_a_valid_manifest_without_jobs():
    manifest = build_manifest(alley(), {})
    Draft202012Validator.check_schema(manifest_schema())
    Draft202012Validator(manifest_schema()).validate(manifest)
    assert manifest["totals"] == {"shots": 3, "ready": 0, "frames": {"planned": 6}, "cost": []}
    assert codes(manifest) == [("FRAME_MISSING", "error")] * 3


def test_a_picked_take_goes_into_the_job():
    board = one_shot(shot={"takes": 3})
    found = results(board)
    found["E01_SC01_SH010_ff_v02"] = done("E01_SC01_SH010_ff_v02", picked=True)
    assert build_manifest(board, found)["shots"][0]["job"]["images"] == [
        {"role": "first_frame", "key": "E01_SC01_SH010_ff_v02", "file": "out/E01_SC01_SH010_ff_v02.jpg"}
    ]


def test_a_picked_take_that_failed_is_not_handed_over():
    board = one_shot(shot={"takes": 2})
    found = results(board)
    found["E01_SC01_SH010_ff_v02"] = FrameResult("E01_SC01_SH010_ff_v02", "failed", picked=True)
    assert build_manifest(board, found)["shots"][0]["job"]["images"][0]["key"] == "E01_SC01_SH010_ff_v01"


def test_costs_add_up_to_the_cent():
    board = one_shot(shot={"takes": 20})
    cost = build_manifest(board, results(board, cost={"amount": 0.1, "currency": "CNY"}))["totals"]["cost"]
    assert cost == [{"amount": 2.0, "currency": "CNY"}]


def test_seedance_2_5_gets_adaptive_for_frames():
    board = one_shot(seedance="2.5")
    manifest = build_manifest(board, results(board))
    assert manifest["shots"][0]["job"]["ratio"] == "adaptive"
    assert codes(manifest) == []


def test_reference_pictures_are_their_own_mode():
    board = one_shot(shot={"frames": ["ref"]})
    assert build_manifest(board, results(board))["shots"][0]["job"]["mode"] == "reference_images"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"width": 299, "height": 400}, [("SIDE", "error"), ("RATIO_CROP", "warning")], id="too small"),
        pytest.param({"width": 3450, "height": 6144}, [("SIDE", "error")], id="too large"),
        pytest.param({"width": 1000, "height": 2501}, [("RATIO", "error"), ("RATIO_CROP", "warning")], id="too thin"),
        pytest.param({"width": 2048, "height": 2048}, [("RATIO_CROP", "warning")], id="square"),
        pytest.param({"width": 3040, "height": 5504}, [("RATIO_CROP", "warning")], id="just off 9:16"),
        pytest.param({"width": 1600, "height": 2848}, [], id="close to 9:16"),
        pytest.param({"bytes": 31_457_280}, [("BYTES", "error")], id="30 MB"),
        pytest.param({"bytes": 31_457_279}, [], id="one byte less"),
        pytest.param({"mime": "image/avif"}, [("MIME", "error")], id="avif"),
        pytest.param({"width": None}, [("FRAME_UNMEASURED", "error")], id="not measured"),
    ],
)
def test_a_frame_seedance_would_refuse_is_found(changes: dict[str, Any], expected: list[tuple[str, str]]):
    board = one_shot()
    assert codes(build_manifest(board, results(board, **changes))) == expected


@pytest.mark.parametrize(
    ("version", "seconds", "fits"), [("2.0", 3, 0), ("2.0", 4, 1), ("2.0", 15, 1), ("2.0", 16, 0), ("2.5", 30, 1)]
)
def test_durations_are_held_against_the_version(version: str, seconds: float, fits: int):
    found = check_board(one_shot(shot={"duration": seconds}, seedance=version))
    assert [finding.code for finding in found] == ([] if fits else ["DURATION"])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"size": "2048x2048", "ratio": "9:16"}, ["SIZE_RATIO"]),
        ({"size": "1600×2848"}, []),
        ({"ratio": "1:3"}, ["RATIO"]),
        ({"ratio": "21:9"}, []),
    ],
)
def test_the_shape_of_the_board_is_checked_before_anything_is_paid(changes: dict[str, Any], expected: list[str]):
    assert [found.code for found in check_board(one_shot(**changes))] == expected


def test_roles_that_exclude_each_other_are_found():
    board = one_shot(shot={"frames": ["first", "ref"]})
    manifest = build_manifest(board, results(board))
    assert [(found.code, found.severity) for found in check_board(board)] == [("ROLE_MIXED", "warning")]
    job = manifest["shots"][0]["job"]
    job["images"].append({"role": "reference_image", "key": "E01_SC01_SH010_ref_v01", "file": "x.jpg"})
    assert codes(manifest) == [("ROLE_MIXED", "error")]


def test_a_last_frame_alone_is_an_error():
    board = one_shot(shot={"frames": ["last"], "last": {"action": "sun"}})
    assert [(found.code, found.severity) for found in check_board(board)] == [("ROLE_LAST_ALONE", "error")]
    assert codes(build_manifest(board, results(board))) == [("ROLE_LAST_ALONE", "error")]


def test_frames_of_different_size_and_too_many_bytes_for_one_request_are_found():
    board = one_shot(shot={"frames": ["first", "last"], "last": {"action": "sun"}})
    found = results(board, bytes=31_000_000)
    found["E01_SC01_SH010_lf_v01"] = done("E01_SC01_SH010_lf_v01", bytes=31_000_000, width=1440, height=2560)
    assert codes(build_manifest(board, found)) == [("SIZES_DIFFER", "warning"), ("REQUEST_BYTES", "warning")]


def test_a_long_motion_prompt_is_found():
    assert [f.code for f in check_board(one_shot(shot={"motion": "雨" * 501}))] == ["MOTION_LONG"]
    assert [f.code for f in check_board(one_shot(shot={"motion": "a " * 1001}))] == ["MOTION_LONG"]


def test_a_realistic_face_needs_trust_and_trust_ends():
    board = one_shot(shot={"characters": ["C01"]}, realistic_people=True)
    assert codes(build_manifest(board, results(board))) == [("FACE_TRUST", "warning")]
    trusted = trust_of(model="5.0-lite", backend="ark", references=0, modified=False, created_at=NOW)
    manifest = build_manifest(board, results(board, trust=trusted))
    assert trusted == Trust(eligible=True, reason="given", expires_at="2026-12-20T00:00:00+00:00")
    assert codes(manifest, NOW) == []
    assert codes(manifest, NOW + timedelta(days=30)) == [("FACE_TRUST", "warning")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "4.5"}, "model"),
        ({"references": 1}, "references"),
        ({"modified": True}, "modified"),
        ({"backend": "uniall"}, "backend"),
        ({"created_at": None}, "undated"),
    ],
)
def test_only_untouched_text_to_image_originals_are_trusted(changes: dict[str, Any], reason: str):
    given = {"model": "5.0-pro", "backend": "ark", "references": 0, "modified": False, "created_at": NOW}
    assert trust_of(**(given | changes)) == Trust(eligible=False, reason=reason)


def test_a_broken_manifest_is_told_by_its_spot():
    manifest = build_manifest(one_shot(), {})
    del manifest["shots"][0]["frames"][0]["status"]
    (found,) = check_manifest(manifest)
    assert (found.code, str(found.message)) == ("MANIFEST_SCHEMA", "shots[0].frames[0]: 'status' is missing.")


def test_a_manifest_for_an_unknown_seedance_is_an_error():
    manifest = build_manifest(one_shot(), {})
    manifest["seedance"]["model"] = "9.9"
    assert codes(manifest) == [("SEEDANCE_UNKNOWN", "error")]
