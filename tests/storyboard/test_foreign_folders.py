"""A board folder is data: whoever made it, nothing in it is run, and its pictures are believed for what they prove."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from mcp import Client
from mcp.types import TextContent
from PIL import Image
from starlette.applications import Starlette

from foreign_folders import FIRST, SECOND, STATE, Machine, moved, opened, pickled, picture, poison
from sampling import sampled
from seedframe.emulator import emulator, running
from seedframe.mcp_server.app import build_server
from seedframe.storyboard.run.engine_rows import RowRefused, json_only
from seedframe.studio.pipeline import Studio


@pytest.fixture(scope="module")
def socket_service() -> Iterator[tuple[Starlette, str]]:
    service = emulator(paint="instant")
    with running(service) as base:
        yield service, base


@pytest.fixture
def machine(environ: dict[str, str], socket_service: tuple[Starlette, str], tmp_path: Path) -> Machine:
    service, base = socket_service
    service.state.service.reset()
    return Machine({**environ, "SEEDFRAME_EMULATOR_BASE": base}, tmp_path, service)


def states(machine: Machine, folder: Path) -> dict[str, str]:
    described = json.loads(machine.board("status", folder, "--json").stdout)
    return {frame["task"]: frame["state"] for frame in described["frames"]}


# Code


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        pytest.param(["resume"], marks=pytest.mark.slow),
        pytest.param(["retry", "--failed"], marks=pytest.mark.slow),
        pytest.param(["sheet"], marks=pytest.mark.slow),
        pytest.param(["cancel"], marks=pytest.mark.slow),
    ],
)
def test_pickled_rows_in_a_folder_are_never_read(machine: Machine, command: list[str]):
    folder, mark = machine.made(), machine.home / "mark"
    shutil.copy(machine.engine(), folder / STATE / "engine.sqlite3")
    poison(folder / STATE / "engine.sqlite3", mark)
    done = machine.another().board(command[0], moved(folder, machine.home / "sent"), *command[1:])
    assert done.exit_code == 0, done.output
    assert not mark.exists()
    assert machine.billed == 2


@pytest.mark.slow
def test_an_engine_file_in_a_folder_is_told_of_as_unused(machine: Machine):
    folder = machine.made()
    (folder / STATE / "engine.sqlite3").write_bytes(b"whatever")
    done = machine.board("resume", folder)
    assert done.exit_code == 0
    assert f"{folder / STATE / 'engine.sqlite3'} is no longer read" in done.stderr


@pytest.mark.slow
def test_the_engine_s_file_lies_in_the_user_s_data_folder_for_nobody_else(machine: Machine):
    folder = machine.made()
    assert not list(folder.rglob("engine.sqlite3*"))
    assert [oct(path.stat().st_mode & 0o777) for path in (machine.engine(), machine.engine().parent)] == [
        "0o600",
        "0o700",
    ]


@pytest.mark.slow
def test_pickled_rows_in_the_engine_s_own_file_stop_the_run_with_a_sentence(machine: Machine):
    folder, mark = machine.made(), machine.home / "mark"
    poison(machine.engine(), mark)
    done = machine.board("resume", folder)
    assert (done.exit_code, machine.billed) == (2, 2)
    assert "hold rows that are not JSON (in operation_outputs, workflow_status)" in done.stderr
    assert "nothing was read and nothing was started" in done.stderr
    assert not mark.exists()


@pytest.mark.slow
def test_rows_that_name_no_form_are_read_as_json_or_not_at_all(machine: Machine):
    folder, mark = machine.made(), machine.home / "mark"
    poison(machine.engine(), mark, serialization=None)
    done = machine.board("resume", folder)
    assert done.exit_code == 0, done.output
    assert not mark.exists()
    assert (states(machine, folder)[SECOND], machine.billed) == ("done", 2)


@pytest.mark.slow
def test_every_reader_of_the_engine_refuses_a_pickled_row(tmp_path: Path):
    from dbos import _serialization as rows

    mark, ours = tmp_path / "mark", json_only()
    load = pickled(mark)
    for read in (rows.deserialize_value, rows.deserialize_args, rows.deserialize_exception):
        with pytest.raises(RowRefused, match="pickled"):
            read(load, "py_pickle", ours)
    for serializer in (rows.DBOSDefaultSerializer, rows.DefaultSerializer()):
        with pytest.raises(RowRefused):
            serializer.deserialize(load)
    described = rows.safe_deserialize(
        ours, "py_pickle", "w", serialized_input=load, serialized_output=load, serialized_exception=load
    )
    assert described == (load, load, load)
    assert rows.safe_deserialize_schedule_context(ours, "s", serialized_context=load) == load
    assert not mark.exists()


# The record of the run


HOSTILE: dict[str, str] = {
    "trigger": "CREATE TRIGGER pay AFTER UPDATE ON frames BEGIN UPDATE frames SET asked = 0; END",
    "view": "CREATE VIEW riches AS SELECT * FROM frames",
    "table": "CREATE TABLE more (x)",
    "index": "CREATE INDEX slow ON frames (hex(task))",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "command"),
    [
        *((kind, ["status"]) for kind in HOSTILE),
        *(("trigger", command) for command in (["resume"], ["retry", "--failed"], ["cancel"], ["sheet"])),
    ],
)
def test_a_record_with_more_than_our_tables_is_refused_whole(machine: Machine, kind: str, command: list[str]):
    folder = machine.made()
    with opened(folder / STATE / "book.sqlite3") as db:
        db.execute(HOSTILE[kind])
    done = machine.board(command[0], folder, *command[1:])
    assert done.exit_code == 1
    assert f"holds something that Seedframe did not put there ({kind} " in done.stderr
    assert f"delete {folder / STATE}" in done.stderr
    assert machine.billed == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE frames SET made = '[1]'", id="file is a list"),
        pytest.param(f"UPDATE frames SET made = '{'[' * 100_000}'", id="file is nested"),
        pytest.param("UPDATE frames SET task = 'x'", id="task is a word"),
        pytest.param("UPDATE frames SET key = '../../x' WHERE place = 0", id="key is a path"),
        pytest.param("UPDATE frames SET asked = 'often'", id="asked is a word"),
        pytest.param("UPDATE boards SET project = x'00ff'", id="project is bytes"),
        pytest.param("UPDATE frames SET path = 7", id="path is a number"),
    ],
)
@pytest.mark.parametrize("command", ["status", "resume"])
def test_odd_values_in_a_record_end_in_a_sentence(machine: Machine, change: str, command: str):
    folder = machine.made()
    with opened(folder / STATE / "book.sqlite3") as db:
        db.execute(change)
    done = machine.another().board(command, folder)
    assert done.exit_code in {0, 1, 3}
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "Traceback" not in done.output
    assert machine.billed == 2


@pytest.mark.slow
def test_what_a_board_has_cost_is_in_the_payment_record_and_does_not_come_with_its_folder(machine: Machine):
    folder = machine.made()
    assert json.loads(machine.board("status", folder, "--json").stdout)["spent"] == "0.44"
    stranger = machine.another()
    assert stranger.board("resume", folder).exit_code == 0
    assert json.loads(stranger.board("status", folder, "--json").stdout)["spent"] == "0"
    assert stranger("costs").stdout == ""


@pytest.mark.slow
def test_a_frame_that_was_asked_for_elsewhere_is_a_question_here(machine: Machine):
    """Its call may have been billed to whoever had the folder, whose record is not here."""
    folder = machine.made()
    with opened(folder / STATE / "book.sqlite3") as db:
        db.execute("UPDATE frames SET path = NULL, made = NULL WHERE key = ?", (SECOND,))
    picture(folder, SECOND).unlink()
    stranger = machine.another()
    done = stranger.board("resume", folder)
    assert (done.exit_code, machine.billed, states(stranger, folder)[SECOND]) == (5, 2, "unknown"), done.output
    asked = stranger.board("retry", folder, "--unknown")
    assert (asked.exit_code, machine.billed) == (0, 3), asked.output


@pytest.mark.slow
@pytest.mark.parametrize("key", [FIRST, SECOND])
def test_a_path_that_leads_out_of_the_folder_is_not_followed(machine: Machine, key: str):
    folder, private = machine.made(), machine.home / "private.jpg"
    shutil.copy(picture(folder, key), private)
    shutil.copy(f"{picture(folder, key)}.json", f"{private}.json")
    with opened(folder / STATE / "book.sqlite3") as db:
        db.execute("UPDATE frames SET path = ?, raw_path = ? WHERE key = ?", (str(private), str(private), key))
    described = machine.board("status", folder, "--json").stdout
    assert str(private) not in described
    assert machine.another().board("resume", folder).exit_code == 0
    assert private.exists()
    assert str(private) not in (folder / "manifest.json").read_text(encoding="utf-8")
    assert machine.billed == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        f"{STATE}/book.sqlite3-wal",
        f"{STATE}/book.sqlite3",
        f"{STATE}/board.json",
        STATE,
        ".seedframe",
        "run.log",
        "manifest.json",
        "board.json",
    ],
)
@pytest.mark.parametrize("command", ["resume", "sheet"])
def test_a_symbolic_link_in_our_place_is_refused_and_what_it_names_stays(machine: Machine, name: str, command: str):
    folder, precious = machine.made(), machine.home / "precious"
    target = folder / name
    if target.is_dir():
        shutil.rmtree(target)
        precious.mkdir(mode=0o755)
    else:
        target.unlink(missing_ok=True)
        precious.write_text("mine")
        precious.chmod(0o644)
    target.symlink_to(precious)
    before = (precious.stat().st_mode, sorted(precious.iterdir()) if precious.is_dir() else precious.read_text())
    done = machine.board(command, folder)
    assert done.exit_code == 2
    assert f"{target} is a symbolic link" in done.stderr
    assert before == (
        precious.stat().st_mode,
        sorted(precious.iterdir()) if precious.is_dir() else precious.read_text(),
    )


@pytest.mark.slow
def test_a_journal_that_would_have_sqlite_delete_a_file_is_refused(machine: Machine):
    folder = machine.made()
    (folder / STATE / "book.sqlite3-journal").write_bytes(b"\0" * 512 + bytes.fromhex("d9d505f920a163d7"))
    done = machine.board("status", folder)
    assert done.exit_code == 1
    assert "(book.sqlite3-journal)" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "card", ["[]", "{}", '{"id": "../x", "project": "river"}', '{"id": 1, "project": 2}', "[" * 9_999]
)
def test_an_odd_card_ends_in_a_sentence(machine: Machine, card: str):
    folder = machine.made()
    (folder / STATE / "board.json").write_text(card)
    done = machine.board("resume", folder)
    assert (done.exit_code, machine.billed) == (2, 2)
    assert "is not a record of Seedframe's" in done.stderr


@pytest.mark.slow
def test_a_thumbnail_that_is_a_link_is_drawn_anew_and_never_copied_into_the_sheet(machine: Machine):
    folder, secret = machine.made(), machine.home / "secret"
    secret.write_text("canary-7f3a" * 50)
    thumbnails = list((folder / ".seedframe" / "thumbnails").iterdir())
    assert thumbnails
    for small in thumbnails:
        small.unlink()
        small.symlink_to(secret)
    assert machine.board("sheet", folder).exit_code == 0
    sheet = (folder / "sheet.html").read_text(encoding="utf-8")
    assert base64.b64encode(b"canary-7f3a" * 50).decode()[:24] not in sheet
    assert secret.read_text() == "canary-7f3a" * 50


@pytest.mark.slow
def test_a_manifest_whose_paths_lead_outside_shows_no_file_from_there(machine: Machine):
    folder, private = machine.made(), machine.home / "private.jpg"
    shutil.copy(picture(folder), private)
    shutil.rmtree(folder / STATE)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["shots"][0]["frames"][0]["file"] = "../private.jpg"
    manifest["shots"][1]["frames"][0]["key"] = "../../../../tmp/x"
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    done = machine.board("sheet", folder)
    assert done.exit_code == 0, done.output
    assert "private.jpg" not in (folder / "sheet.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_picks_of_frames_the_board_does_not_have_are_passed_over(machine: Machine):
    folder = machine.made()
    picks = {"E01_SC01_SH010_ff": "E01_SC01_SH010_ff_v99", "../x": "../../y"}
    (folder / "picks.json").write_text(json.dumps({"schema": "seedframe/picks/1", "picks": picks}))
    done = machine.board("resume", folder)
    assert (done.exit_code, machine.billed) == (0, 2), done.output


# What goes on


def whole(_folder: Path) -> None:
    """Nothing was lost on the way."""


def without_hidden_folders(folder: Path) -> None:
    """As `cp -r folder/*` leaves it."""
    shutil.rmtree(folder / STATE)
    shutil.rmtree(folder / ".seedframe")


def only_pictures(folder: Path) -> None:
    without_hidden_folders(folder)
    for name in ("manifest.json", "sheet.html"):
        (folder / name).unlink()


@pytest.mark.slow
@pytest.mark.parametrize("lost", sampled([without_hidden_folders, whole, only_pictures], 3))
def test_a_copied_folder_opens_shows_its_pictures_and_pays_for_none_of_them_again(
    machine: Machine, lost: Callable[[Path], None]
):
    folder = moved(machine.made(), machine.home / "sent")
    lost(folder)
    stranger = machine.another()
    seen = json.loads(stranger.board("status", folder, "--json").stdout)
    assert [(frame["state"], frame["path"]) for frame in seen["frames"]] == [
        ("done", str(picture(folder, key))) for key in (FIRST, SECOND)
    ]
    assert seen["out"] == str(folder)
    assert stranger.board("sheet", folder).exit_code == 0
    assert (folder / "sheet.html").read_text(encoding="utf-8").count("data:image/jpeg") == 2
    done = stranger.board("resume", folder)
    assert (done.exit_code, machine.billed) == (0, 2), done.output
    assert states(stranger, folder) == {FIRST: "done", SECOND: "done"}
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert [frame["file"] for shot in manifest["shots"] for frame in shot["frames"]] == [
        picture(folder, key).name for key in (FIRST, SECOND)
    ]


@pytest.mark.slow
def test_a_reference_that_stayed_behind_stops_no_frame_that_is_done(machine: Machine):
    reference = machine.home / "lamp.png"
    folder = machine.made()
    shutil.copy(picture(folder), reference)
    board = machine.home / "lamps.yaml"
    board.write_text(
        "project: lamps\nprops: [{id: lamp, text: 一盏铜灯, references: [lamp.png]}]\n"
        "shots:\n  - {id: E01_SC01_SH010, props: [lamp], action: 铜灯放在窗台上, motion: 灯光闪烁}\n",
        encoding="utf-8",
    )
    made = machine.board("run", board, "--out", machine.home / "lamps")
    assert made.exit_code == 0, made.output
    reference.unlink()
    sent = moved(machine.home / "lamps", machine.home / "sent")
    without_hidden_folders(sent)
    done = machine.another().board("resume", sent)
    assert (done.exit_code, machine.billed) == (0, 3), done.output


def damaged(folder: Path) -> None:
    with picture(folder, SECOND).open("ab") as file:
        file.write(b"x")


def gone(folder: Path) -> None:
    picture(folder, SECOND).unlink()


def swapped(folder: Path) -> None:
    """Another picture under its name: the sidecar does not fit."""
    Image.new("RGB", (1440, 2560), "navy").save(picture(folder, SECOND), "JPEG")


def other_task(folder: Path) -> None:
    sidecar = Path(f"{picture(folder, SECOND)}.json")
    sidecar.write_text(sidecar.read_text(encoding="utf-8").replace("小船", "大船"), encoding="utf-8")


def linked(folder: Path) -> None:
    path = picture(folder, SECOND)
    path.rename(folder / "aside")
    path.symlink_to(folder / "aside")


@pytest.mark.slow
@pytest.mark.parametrize("change", [damaged, gone, swapped, other_task, linked])
def test_what_is_not_proven_is_made_where_no_record_says_that_it_was_paid(
    machine: Machine, change: Callable[[Path], None]
):
    folder = moved(machine.made(), machine.home / "sent")
    without_hidden_folders(folder)
    change(folder)
    stranger = machine.another()
    assert states(stranger, folder) == {FIRST: "done", SECOND: "waiting"}
    assert machine.billed == 2
    done = stranger.board("resume", folder)
    assert (done.exit_code, machine.billed) == (0, 3), done.output


@pytest.mark.slow
@pytest.mark.parametrize("change", [damaged, gone, swapped, other_task, linked])
def test_what_a_record_calls_done_without_proof_is_paid_again_only_by_choice(
    machine: Machine, change: Callable[[Path], None]
):
    folder = moved(machine.made(), machine.home / "sent")
    change(folder)
    stranger = machine.another()
    done = stranger.board("resume", folder)
    assert (done.exit_code, machine.billed) == (3, 2)
    assert "the file, its SHA-256 and the task must fit" in done.stdout
    unasked = stranger.board("retry", folder, "--failed")
    assert (unasked.exit_code, machine.billed) == (3, 2)
    asked = stranger.board("retry", folder, "--lost")
    assert (asked.exit_code, machine.billed) == (0, 3), asked.output


@pytest.mark.slow
def test_a_picture_of_another_default_model_is_done_where_the_board_names_no_model(machine: Machine):
    folder = moved(machine.made(), machine.home / "sent")
    without_hidden_folders(folder)
    done = machine.another().board("resume", folder, SEEDFRAME_MODEL="4.5")
    assert (done.exit_code, machine.billed) == (0, 2), done.output


@pytest.mark.slow
@pytest.mark.parametrize(("lost", "billed"), [(whole, 2), (without_hidden_folders, 3)])
def test_a_shot_that_was_edited_keeps_its_picture_only_where_the_record_says_that_it_was_done(
    machine: Machine, lost: Callable[[Path], None], billed: int
):
    folder = moved(machine.made(), machine.home / "sent")
    lost(folder)
    board = folder / "board.json"
    board.write_text(board.read_text(encoding="utf-8").replace("小船", "大船"), encoding="utf-8")
    done = machine.another().board("resume", folder)
    assert (done.exit_code, machine.billed) == (0, billed), done.output


@pytest.mark.slow
def test_a_frame_whose_bill_nobody_knew_stays_a_question_without_the_record(machine: Machine):
    folder = moved(machine.made(), machine.home / "sent")
    without_hidden_folders(folder)
    gone(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["shots"][1]["frames"][0] |= {"status": "unknown", "file": None}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    stranger = machine.another()
    assert states(stranger, folder) == {FIRST: "done", SECOND: "unknown"}
    done = stranger.board("resume", folder)
    assert (done.exit_code, machine.billed) == (5, 2), done.output
    asked = stranger.board("retry", folder, "--unknown")
    assert (asked.exit_code, machine.billed) == (0, 3), asked.output


@pytest.mark.slow
def test_a_rehearsal_proves_nothing_for_money(machine: Machine):
    folder = moved(machine.made(), machine.home / "sent")
    only_pictures(folder)
    done = machine.another().board("status", folder, SEEDFRAME_BACKEND="ark")
    assert done.exit_code == 2
    assert "No board was ever run" in done.stderr


# Private


@pytest.mark.slow
def test_what_a_board_writes_besides_its_pictures_is_for_its_owner_only(machine: Machine):
    before = os.umask(0o022)
    try:
        folder = machine.made()
        machine.board("sheet", folder)
        machine.board("pick", folder, FIRST)
    finally:
        os.umask(before)
    modes = {path.relative_to(machine.home).as_posix(): path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    hidden = {name for name in modes if "/.seedframe/" in name or "/.storyboard/" in name}
    pictures = {name for name in modes if name.endswith(".jpg")} - hidden
    folders = {name for name in modes if (machine.home / name).is_dir()}
    assert {modes[name] for name in pictures} == {0o644}
    assert {modes[name] for name in folders} == {0o700}
    locks = {name for name in modes if name.endswith(".lock")}
    assert {
        name: mode for name, mode in modes.items() if name not in pictures | folders | locks and mode != 0o600
    } == {}
    data = [path for path in machine.home.glob("journal.sqlite3*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in data} == {0o700}
    assert (machine.home / "journal.sqlite3").stat().st_mode & 0o777 == 0o600


# Hosts


OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]


async def asked(open_studio: OpenStudio, **arguments: str) -> tuple[str, bool]:
    """What `run_storyboard` says, and whether it calls that an error."""
    async with Client(build_server(open_studio, "en")) as client:
        result = await client.call_tool("run_storyboard", arguments)
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    return "\n".join(texts), bool(result.is_error)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("action", ["status", "run", "sheet", "cancel"])
async def test_a_host_is_told_of_a_record_that_is_not_ours(machine: Machine, open_studio: OpenStudio, action: str):
    folder = await asyncio.to_thread(machine.made)
    with opened(folder / STATE / "book.sqlite3") as db:
        db.execute(HOSTILE["trigger"])
    described, failed = await asked(open_studio, action=action, id=str(folder))
    assert failed
    assert "holds something that Seedframe did not put there (trigger pay)" in described


@pytest.mark.anyio
@pytest.mark.slow
async def test_a_host_runs_a_folder_with_pickled_rows_and_none_of_them_is_read(
    machine: Machine, open_studio: OpenStudio
):
    folder, mark = await asyncio.to_thread(machine.made), machine.home / "mark"
    shutil.copy(machine.engine(), folder / STATE / "engine.sqlite3")
    poison(folder / STATE / "engine.sqlite3", mark)
    described, failed = await asked(open_studio, action="run", id=str(folder))
    assert not failed
    assert "is no longer read" in described
    seen = ""
    while '"status":"done"' not in seen:
        seen, _ = await asked(open_studio, action="status", id=str(folder))
    assert machine.billed == 2
    assert not mark.exists()
