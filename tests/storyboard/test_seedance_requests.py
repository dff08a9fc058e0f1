"""A finished board becomes requests that Seedance takes as they are: one line of JSON for each shot."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from board_folders import MADE, finished_folder
from seedframe.cli import program
from seedframe.settings import Settings
from seedframe.studio.types import Trust

FIRST = {
    "id": "E01_SC01_SH010",
    "action": "石桥在雾里",
    "motion": "镜头缓缓推近",
    "dialogue": "阿雨：我们到了\n走吧",
    "duration": 4.5,
    "frames": ["first", "last"],
    "last": {"action": "雾散了"},
}
SECOND = {"id": "E01_SC01_SH020", "prev": "E01_SC01_SH010", "action": "a boat", "motion": {"en": "the boat sways"}}
PLAIN = {"realistic_people": False}


def typed(folder: Path, *words: str, backend: str = "ark") -> Result:
    settings = Settings.read({"SEEDFRAME_BACKEND": backend, "SEEDFRAME_LANG": "en"})
    command = ["storyboard", "requests", str(folder), *words]
    return CliRunner().invoke(program("en"), command, obj=settings, catch_exceptions=False)


def bodies(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "requests.jsonl").read_text(encoding="utf-8").splitlines()]


def image(url: str, role: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}, "role": role}


def test_every_shot_becomes_one_body_with_its_words_its_frames_and_whole_seconds(tmp_path: Path) -> None:
    out = finished_folder(tmp_path / "film", {**PLAIN, "shots": [FIRST, SECOND]})

    said = typed(out, "--pictures", "url", "--url-base", "https://cdn.example.com/film/")

    assert (said.exit_code, said.stdout.strip()) == (0, f"2 of 2 shots can be sent: {out / 'requests.jsonl'}")
    base = "https://cdn.example.com/film/river_E01_SC01_"
    shared = {
        "model": "doubao-seedance-2-0-260128",
        "resolution": "720p",
        "ratio": "9:16",
        "duration": 5,
        "generate_audio": True,
        "watermark": False,
    }
    words = "镜头缓缓推近\n阿雨说：“我们到了”\n台词：“走吧”"
    assert bodies(out) == [
        {
            **shared,
            "return_last_frame": True,
            "content": [
                {"type": "text", "text": words},
                image(f"{base}SH010_ff_v01_360x640.png", "first_frame"),
                image(f"{base}SH010_lf_v01_360x640.png", "last_frame"),
            ],
        },
        {
            **shared,
            "content": [
                {"type": "text", "text": "the boat sways"},
                image(f"{base}SH020_ff_v01_360x640.png", "first_frame"),
            ],
        },
    ]
    index = json.loads((out / "requests.json").read_text(encoding="utf-8"))
    assert index["lines"] == [{"line": 1, "shot": "E01_SC01_SH010"}, {"line": 2, "shot": "E01_SC01_SH020"}]


def test_frames_travel_inside_the_body_unless_something_else_is_said(tmp_path: Path) -> None:
    out = finished_folder(tmp_path / "film", {**PLAIN, "shots": [SECOND | {"prev": None}]})
    (frame,) = out.glob("*.png")

    assert typed(out).exit_code == 0

    (body,) = bodies(out)
    url = f"data:image/png;base64,{base64.b64encode(frame.read_bytes()).decode()}"
    assert body["content"][1] == image(url, "first_frame")


def test_a_silent_video_has_no_dialogue_and_choices_reach_every_body(tmp_path: Path) -> None:
    out = finished_folder(tmp_path / "film", {**PLAIN, "seedance": "2.5", "shots": [FIRST]})

    options = ["--silent", "--watermark", "--resolution", "1080p"]
    assert typed(out, *options, backend="byteplus").exit_code == 0

    (body,) = bodies(out)
    sent = {key: value for key, value in body.items() if key != "content"}
    assert sent == {
        "model": "dreamina-seedance-2-5-260628",
        "resolution": "1080p",
        "ratio": "adaptive",
        "duration": 5,
        "generate_audio": False,
        "watermark": True,
    }
    assert body["content"][0]["text"] == "镜头缓缓推近"


def test_registered_faces_go_along_as_reference_pictures_and_are_named(tmp_path: Path) -> None:
    cast = [{"id": "C01", "name": {"zh": "阿雨", "en": "Rain"}, "asset": "asset://asset-20261101-abc"}]
    shot = {"id": "E01_SC01_SH010", "characters": ["C01"], "action": "她回头", "motion": "她回头", "frames": ["ref"]}
    out = finished_folder(tmp_path / "film", {**PLAIN, "characters": cast, "shots": [shot]})

    assert typed(out, "--pictures", "url", "--url-base", "https://a.example").exit_code == 0

    (body,) = bodies(out)
    assert body["content"] == [
        {"type": "text", "text": "她回头\n图片2是阿雨。"},
        image("https://a.example/river_E01_SC01_SH010_ref_v01_360x640.png", "reference_image"),
        image("asset://asset-20261101-abc", "reference_image"),
    ]


def test_seedream_never_gets_the_id_of_a_registered_face(tmp_path: Path) -> None:
    cast = [{"id": "C01", "name": "Rain", "asset": "asset://asset-1"}]
    shot = {"id": "E01_SC01_SH010", "characters": ["C01"], "action": "she turns", "motion": "she turns"}
    board = tmp_path / "board.json"
    board.write_text(json.dumps({"project": "river", "characters": cast, "shots": [shot]}), encoding="utf-8")

    command = ["storyboard", "plan", str(board), "--json"]
    planned = CliRunner().invoke(program("en"), command, obj=Settings.read({}), catch_exceptions=False)

    assert planned.exit_code == 0
    assert "asset://" not in planned.stdout
    assert "ASSET_UNUSED" in planned.stdout


def test_frames_that_are_registered_themselves_go_by_their_ids_and_their_faces_pass(tmp_path: Path) -> None:
    shots = [{"id": "E01_SC01_SH010", "action": "她回头", "motion": "她回头", "face": True}]
    out = finished_folder(tmp_path / "film", {"shots": shots})
    known = tmp_path / "assets.json"
    known.write_text('{"E01_SC01_SH010_ff_v01": "asset://asset-1"}', encoding="utf-8")

    said = typed(out, "--pictures", "asset", "--assets", str(known), "--json")

    assert json.loads(said.stdout)["findings"] == []
    (body,) = bodies(out)
    assert body["content"][1] == image("asset://asset-1", "first_frame")


def test_a_shot_whose_frame_is_missing_is_left_out_and_named(tmp_path: Path) -> None:
    out = finished_folder(tmp_path / "film", {**PLAIN, "shots": [FIRST, SECOND]}, without=("E01_SC01_SH020_ff_v01",))

    said = typed(out, "--json")

    assert said.exit_code == 3
    index = json.loads(said.stdout)
    assert (index["lines"], index["left_out"]) == ([{"line": 1, "shot": "E01_SC01_SH010"}], ["E01_SC01_SH020"])
    assert ("FRAME_MISSING", "E01_SC01_SH020") in {(one["code"], one.get("shot")) for one in index["findings"]}


@pytest.mark.parametrize("damage", ["changed", "gone", "outside"])
def test_only_the_picture_that_the_manifest_describes_is_sent(tmp_path: Path, damage: str) -> None:
    out = finished_folder(tmp_path / "film", {**PLAIN, "shots": [SECOND | {"prev": None}]})
    (frame,) = out.glob("*.png")
    if damage == "changed":
        frame.write_bytes(b"another")
    elif damage == "gone":
        frame.unlink()
    else:
        (tmp_path / "secret.png").write_bytes(frame.read_bytes())
        frame.unlink()
        frame.symlink_to(tmp_path / "secret.png")
    (out / "requests.jsonl").write_text("old\n", encoding="utf-8")

    said = typed(out)

    assert said.exit_code == 2
    assert "No shot can be sent yet" in said.stderr
    assert not (out / "requests.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "backend", "expected"),
    [
        pytest.param(["--pictures", "url"], "ark", "need --url-base", id="url without a base"),
        pytest.param(["--pictures", "asset"], "ark", "need --assets", id="asset without ids"),
        pytest.param(["--pictures", "url", "--url-base", "ftp://x"], "ark", "no web address", id="odd base"),
        pytest.param(["--pictures", "url", "--url-base", "https://a/my film"], "ark", "no web address", id="a space"),
        pytest.param(["--resolution", "8k"], "ark", "480p", id="odd resolution"),
        pytest.param([], "uniall", "sells no Seedance", id="a backend without videos"),
    ],
)
def test_choices_that_cannot_be_are_refused_with_what_can(
    tmp_path: Path, words: list[str], backend: str, expected: str
) -> None:
    out = finished_folder(tmp_path / "film", {**PLAIN, "shots": [SECOND | {"prev": None}]})

    said = typed(out, *words, backend=backend)

    assert (said.exit_code, expected in said.stderr) == (2, True), said.stderr


def test_trust_that_ends_is_found_when_the_manifest_is_written_and_when_requests_are(tmp_path: Path) -> None:
    shots = [{"id": "E01_SC01_SH010", "action": "她回头", "motion": "她回头", "face": True, "characters": []}]
    over = Trust(eligible=True, reason="given", expires_at="2026-11-19T00:00:00+00:00")
    out = finished_folder(tmp_path / "film", {"shots": shots}, trust=over)

    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert [(one["code"], one["frame"]) for one in manifest["findings"]] == [("FACE_TRUST", "E01_SC01_SH010_ff_v01")]
    assert MADE.isoformat() > over.expires_at
    assert "whose trust ended at 2026-11-19" in typed(out).stderr
