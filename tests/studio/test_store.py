"""Where pictures land: names inside the output folder, whole files only, nothing overwritten, a record beside each."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from seedframe.emulator import InProcess, transport
from seedframe.errors import InvalidRequest, SeedreamError, StoreError
from seedframe.studio.pipeline import Studio
from seedframe.studio.store import PARTS_FOLDER, Saved, Store, slug
from seedframe.studio.types import Result

OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]
ALLEY = "雨后的江南小巷，一位撑着油纸伞的少女走过青石板路，灯笼的暖光映在积水里。"


async def made(studio: Studio, **arguments: Any) -> Result:
    async with studio.make("generate_image", {"prompt": ALLEY, "ratio": "9:16", **arguments}) as result:
        return result


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("save_as", "landed"),
    [
        ("alley", "alley.jpg"),
        ("film/scene 1/alley", "film/scene 1/alley.jpg"),
        ("film\\alley", "film/alley.jpg"),
        ("./film//alley", "film/alley.jpg"),
        ("alley.png", "alley.jpg"),
        ("alley.JPEG", "alley.jpg"),
        ("v1.2", "v1.2.jpg"),
        ("小巷", "小巷.jpg"),
        ("ab:c?d*e", "ab-c-d-e.jpg"),
        ("tab\tnull\x00", "tab-null-.jpg"),
        ("con", "_con.jpg"),
        ("alley. ", "alley.jpg"),
        ("巷" * 100, "巷" * 40 + ".jpg"),
        ("e\u0301", "\u00e9.jpg"),
    ],
)
def test_a_wished_name_becomes_a_safe_one_in_the_output_folder(save_as: str, landed: str, tmp_path: Path):
    store = Store(tmp_path / "pictures")
    part = store.prepare() / "0.part"
    part.write_bytes(b"picture")
    saved = store.commit(part, store.stem(save_as, "picture"), "jpeg")

    assert saved.path == tmp_path / "pictures" / landed


@pytest.mark.parametrize(
    "save_as",
    ["../alley", "a/../../b", "/etc/alley", "~/alley", "C:\\alley", "\\\\server\\share", ".hidden", "a/.b", "..", "/"],
)
def test_a_name_that_leads_outside_is_refused_with_a_way_out(save_as: str, tmp_path: Path):
    with pytest.raises(InvalidRequest) as refused:
        Store(tmp_path / "pictures").stem(save_as, "picture")

    assert (refused.value.field, refused.value.got) == ("save_as", save_as)
    assert "plain name or folder/name" in str(refused.value)
    assert not (tmp_path / "pictures").exists()


def test_a_link_does_not_lead_outside_either(tmp_path: Path):
    outside, root = tmp_path / "outside", tmp_path / "pictures"
    outside.mkdir()
    root.mkdir()
    (root / "door").symlink_to(outside)

    with pytest.raises(InvalidRequest):
        Store(root).stem("door/alley", "picture")
    assert tree(outside) == set()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("A lantern-lit alley, 35mm lens!", "a-lantern-lit-alley-35mm-lens"),
        ("雨后的江南小巷，灯笼", "雨后的江南小巷-灯笼"),
        ("…", "picture"),
        ("x" * 90, "x" * 40),
    ],
)
def test_a_name_of_its_own_comes_from_the_first_words(words: str, name: str):
    assert slug(words) == name


@pytest.mark.anyio
async def test_the_result_names_the_file_and_nothing_else_is_left_behind(open_studio: OpenStudio, tmp_path: Path):
    async with open_studio() as studio:
        result = await made(studio, save_as="film/alley")

    (picture,) = result.as_dict()["pictures"]
    path = tmp_path / "pictures" / "film" / "alley.jpg"
    content = path.read_bytes()
    assert (picture["path"], picture["bytes"]) == (str(path), len(content))
    assert picture["sha256"] == hashlib.sha256(content).hexdigest()
    assert tree(tmp_path / "pictures") == {"film", "film/alley.jpg", "film/alley.jpg.json"}


@pytest.mark.anyio
async def test_the_sidecar_holds_the_request_the_sizes_the_cost_and_the_checksum(
    open_studio: OpenStudio, tmp_path: Path
):
    async with open_studio() as studio:
        result = await made(studio, save_as="alley", seed=7)

    facts = json.loads(json.dumps(result.as_dict()))
    shared = {name: fact for name, fact in facts.items() if name not in {"pictures", "missing"}}
    assert json.loads((tmp_path / "pictures" / "alley.jpg.json").read_text(encoding="utf-8")) == {
        "seedframe": 1,
        **shared,
        "expires": None,
        "request": {
            "model": "doubao-seedream-5-0-260128",
            "prompt": ALLEY,
            "size": "1440x2560",
            "response_format": "url",
            "watermark": False,
            "seed": 7,
        },
        "size": {"asked": "1440x2560", "received": "1440x2560", "saved": "1440x2560"},
        "picture": facts["pictures"][0],
    }


@pytest.mark.anyio
async def test_an_existing_picture_or_its_record_is_never_overwritten(open_studio: OpenStudio, tmp_path: Path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "alley.jpg").write_bytes(b"mine")
    (pictures / "alley-2.jpg.json").write_bytes(b"mine too")
    async with open_studio() as studio:
        result = await made(studio, save_as="alley")

    assert [path.name for path in result.paths] == ["alley-3.jpg"]
    assert (pictures / "alley.jpg").read_bytes() == b"mine"
    assert (pictures / "alley-2.jpg.json").read_bytes() == b"mine too"


@pytest.mark.anyio
async def test_several_pictures_are_numbered_and_each_has_its_record(open_studio: OpenStudio, tmp_path: Path):
    async with open_studio() as studio:
        result = await made(studio, save_as="alley", count=3)

    assert [path.name for path in result.paths] == ["alley-1.jpg", "alley-2.jpg", "alley-3.jpg"]
    records = [json.loads(path.with_suffix(".jpg.json").read_text(encoding="utf-8")) for path in result.paths]
    assert [record["picture"]["id"] for record in records] == [f"seedframe:{result.id}-{n}" for n in (1, 2, 3)]


@pytest.mark.anyio
async def test_no_key_and_no_signed_address_is_written_beside_a_picture(open_studio: OpenStudio, tmp_path: Path):
    async with open_studio(SOME_API_KEY="secret-0123456789") as studio:
        await made(studio, prompt=f"{ALLEY} secret-0123456789", save_as="alley")

    record = (tmp_path / "pictures" / "alley.jpg.json").read_text(encoding="utf-8")
    assert "secret-0123456789" not in record
    assert "X-Tos-Signature=" not in record.replace("X-Tos-Signature=[redacted]", "")


@pytest.mark.anyio
async def test_a_disk_that_takes_nothing_is_noticed_before_anything_is_paid(
    open_studio: OpenStudio, service: InProcess, tmp_path: Path
):
    (tmp_path / "file").write_bytes(b"not a folder")
    async with open_studio(SEEDFRAME_OUTPUT_DIR=str(tmp_path / "file")) as studio:
        with pytest.raises(StoreError) as refused:
            await made(studio)

    assert "SEEDFRAME_OUTPUT_DIR" in str(refused.value)
    assert service.app.state.request_log.images == 0


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["truncated-picture", "junk-picture", "download-404", "pixel-bomb"])
async def test_a_damaged_picture_never_gets_a_name(fault: str, open_studio: OpenStudio, tmp_path: Path):
    service = transport(paint="instant", always=fault)
    async with open_studio(transport=service) as studio:
        with pytest.raises(SeedreamError):
            await made(studio, save_as="alley")

    assert {name for name in tree(tmp_path / "pictures") if name != PARTS_FOLDER} == set()


def test_many_at_once_with_one_name_all_get_a_place(tmp_path: Path):
    store = Store(tmp_path)
    folder = store.prepare()
    saved: list[Saved] = []

    def commit(number: int) -> None:
        part = folder / f"{number}.part"
        part.write_bytes(str(number).encode())
        saved.append(store.commit(part, store.stem("alley", "picture"), "png"))

    threads = [threading.Thread(target=commit, args=[number]) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    names = {"alley.png", *(f"alley-{number}.png" for number in range(2, 13))}
    assert {one.path.name for one in saved} == names
    assert {one.path.read_bytes() for one in saved} == {str(number).encode() for number in range(12)}
    assert {one.sha256 for one in saved} == {hashlib.sha256(str(number).encode()).hexdigest() for number in range(12)}


def test_a_text_is_replaced_whole(tmp_path: Path):
    store, path = Store(tmp_path), tmp_path / "board" / "manifest.json"
    store.write_json(path, {"shot": "旧"})
    inode = path.stat().st_ino
    store.write_json(path, {"shot": "新"})

    assert path.read_text(encoding="utf-8") == '{\n  "shot": "新"\n}\n'
    assert path.stat().st_ino != inode
    assert tree(tmp_path) == {"board", "board/manifest.json"}


def test_what_a_killed_process_left_is_swept_after_a_day_and_not_before(tmp_path: Path):
    store = Store(tmp_path)
    part = store.prepare("entry") / "0.part"
    part.write_bytes(b"half a picture")
    written = part.parent.stat().st_mtime
    store.sweep(written + 3_600)
    kept = part.exists()
    store.sweep(written + 100_000)
    store.tidy()

    assert (kept, tree(tmp_path)) == (True, set())
