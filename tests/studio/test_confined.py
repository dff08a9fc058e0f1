"""Whose files are read and where pictures land: folders, links, pipes, folders swapped while a call is under way."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from mcp import Client
from PIL import Image

from seedframe.emulator import InProcess, transport
from seedframe.mcp_server.app import build_server
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

ERAS = ("auto", "legacy")
CHANGE = "把图1中的猫换成狗，保持其他内容不变。"
OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]
needs_links = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (320, 240), "teal").save(path)
    return path


@asynccontextmanager
async def host(open_studio: OpenStudio, era: str = "auto", **options: Any) -> AsyncIterator[Client]:
    roots = options.pop("list_roots_callback", None)
    ask = options.pop("elicitation_callback", None)
    server = build_server(lambda: open_studio(**options), "en")
    async with Client(server, mode=era, list_roots_callback=roots, elicitation_callback=ask) as client:
        yield client


async def edited(client: Client, path: object) -> tuple[bool, str]:
    result = await client.call_tool("edit_image", {"prompt": CHANGE, "images": [str(path)], "preview": "none"})
    return bool(result.is_error), result.content[0].text


@pytest.fixture
def allowed(tmp_path: Path) -> dict[str, str]:
    return {"SEEDFRAME_INPUT_ROOTS": str(tmp_path / "allowed")}


async def test_a_picture_inside_is_read_and_leaves_no_copy(
    open_studio: OpenStudio, allowed: dict[str, str], tmp_path: Path
):
    inside = picture(tmp_path / "allowed" / "deep" / "a.png")
    async with host(open_studio, **allowed) as client:
        assert (await edited(client, inside))[0] is False
        assert list((tmp_path / "pictures" / ".seedframe").glob("**/a.png")) == []


@needs_links
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("out.png", "outside the folders"),
        ("folder/b.png", "outside the folders"),
        (".hidden/c.png", "outside the folders"),
        (".d.png", "outside the folders"),
        ("loop", "no file"),
        ("pipe", "no file"),
        ("../secret/b.png", "outside the folders"),
        ("folder", "outside the folders"),
        (".", "no file"),
    ],
)
async def test_what_leads_outside_is_hidden_or_no_file_is_refused(
    open_studio: OpenStudio, allowed: dict[str, str], service: InProcess, tmp_path: Path, name: str, says: str
):
    root = tmp_path / "allowed"
    secret = picture(tmp_path / "secret" / "b.png")
    picture(root / ".hidden" / "c.png")
    picture(root / ".d.png")
    (root / "out.png").symlink_to(secret)
    (root / "folder").symlink_to(secret.parent)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    async with host(open_studio, **allowed) as client:
        failed, described = await asyncio.wait_for(edited(client, root / name), 20)

    assert (failed, says in described) == (True, True), described
    assert service.app.state.request_log.posts == 0


@needs_links
async def test_a_link_that_stays_inside_is_followed(open_studio: OpenStudio, allowed: dict[str, str], tmp_path: Path):
    inside = picture(tmp_path / "allowed" / "a.png")
    (tmp_path / "allowed" / "link.png").symlink_to(inside)
    async with host(open_studio, **allowed) as client:
        assert (await edited(client, tmp_path / "allowed" / "link.png"))[0] is False


@pytest.mark.slow
@needs_links
async def test_a_folder_that_keeps_changing_into_a_link_never_lends_a_foreign_file(tmp_path: Path):
    """The race that a check of names loses: between looking and opening."""
    import threading

    from seedframe.confined_files import NoFile, Outside, open_confined

    own, foreign, root = tmp_path / "own", tmp_path / "foreign", tmp_path / "root"
    for folder, content in ((own, b"own"), (foreign, b"foreign")):
        folder.mkdir()
        (folder / "a").write_bytes(content)
    root.mkdir()
    own.rename(root / "f")
    stop = threading.Event()

    def swap() -> None:
        while not stop.wait(0.0002):  # a moment in which the own folder is there, else a slow machine never sees it
            (root / "f").rename(root / "g")
            (root / "f").symlink_to(foreign)
            (root / "f").unlink()
            (root / "g").rename(root / "f")

    swapper = threading.Thread(target=swap)
    swapper.start()
    read = set()
    try:
        looks = 0
        while looks < 3_000 or not read:
            looks += 1
            try:
                with open_confined(root / "f" / "a", [root]) as file:
                    read.add(file.read())
            except (NoFile, Outside):
                pass
    finally:
        stop.set()
        swapper.join()

    assert read == {b"own"}


def test_the_usual_folders_are_readable_and_neither_home_nor_the_disk_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "home"
    (home / ".config").mkdir(parents=True)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    for name in ("DESKTOP", "DOCUMENTS", "DOWNLOAD", "PICTURES"):
        monkeypatch.delenv(f"XDG_{name}_DIR", raising=False)
    output = str(tmp_path / "out")
    stands = {}
    for place in (home, Path("/"), home / ".config", tmp_path):
        monkeypatch.chdir(place)
        stands[place] = Settings.read({"SEEDFRAME_OUTPUT_DIR": output}).input_roots
    usual = tuple(home / name for name in ("Desktop", "Documents", "Downloads", "Pictures"))

    assert stands[home] == stands[Path("/")] == stands[home / ".config"] == (Path(output), *usual)
    assert stands[tmp_path] == (tmp_path, Path(output), *usual)


@pytest.mark.parametrize("era", ERAS)
async def test_a_folder_the_host_grants_is_readable_for_that_call(
    open_studio: OpenStudio, allowed: dict[str, str], tmp_path: Path, era: str
):
    granted = picture(tmp_path / "project" / "a.png")
    asked = []

    async def roots(_context: Any) -> t.ListRootsResult:
        asked.append(True)
        return t.ListRootsResult(roots=[t.Root(uri=(tmp_path / "project").as_uri())])

    async with host(open_studio, era, list_roots_callback=roots, **allowed) as client:
        assert (await edited(client, picture(tmp_path / "allowed" / "own.png")))[0] is False
        assert asked == []
        assert (await edited(client, granted))[0] is False
        failed, described = await edited(client, picture(tmp_path / "other" / "b.png"))

    assert (failed, "outside the folders" in described) == (True, True)
    assert asked == [True, True]


@pytest.mark.parametrize("era", ERAS)
async def test_a_grant_is_not_forgotten_when_the_price_is_asked_too(
    open_studio: OpenStudio, allowed: dict[str, str], tmp_path: Path, era: str
):
    granted = picture(tmp_path / "project" / "a.png")

    async def roots(_context: Any) -> t.ListRootsResult:
        return t.ListRootsResult(roots=[t.Root(uri=(tmp_path / "project").as_uri())])

    async def agree(_context: Any, _params: Any) -> t.ElicitResult:
        return t.ElicitResult(action="accept", content={"pay": True})

    variables = {**allowed, "SEEDFRAME_CONFIRM_ABOVE": "0"}
    async with host(open_studio, era, list_roots_callback=roots, elicitation_callback=agree, **variables) as client:
        failed, described = await edited(client, granted)

    assert failed is False, described


@pytest.mark.parametrize("era", ERAS)
async def test_a_host_that_grants_the_whole_disk_grants_nothing(
    open_studio: OpenStudio, allowed: dict[str, str], tmp_path: Path, era: str
):
    async def roots(_context: Any) -> t.ListRootsResult:
        return t.ListRootsResult(roots=[t.Root(uri=Path(tmp_path.anchor).as_uri())])

    async with host(open_studio, era, list_roots_callback=roots, **allowed) as client:
        failed, _ = await edited(client, picture(tmp_path / "b.png"))

    assert failed is True


@pytest.mark.parametrize("era", ERAS)
async def test_a_board_may_use_pictures_of_a_granted_folder(
    open_studio: OpenStudio, allowed: dict[str, str], tmp_path: Path, era: str
):
    picture(tmp_path / "project" / "hero.png")
    board = json.dumps(
        {
            "project": "film",
            "style": {"art_style": "水彩"},
            "characters": [
                {"id": "HERO", "name": "林", "text": "红衣少女", "references": [str(tmp_path / "project" / "hero.png")]}
            ],
            "shots": [{"id": "E01_SC01_SH010", "action": "少女走过石桥", "characters": ["HERO"]}],
        }
    )

    async def roots(_context: Any) -> t.ListRootsResult:
        return t.ListRootsResult(roots=[t.Root(uri=(tmp_path / "project").as_uri())])

    async with host(open_studio, era, list_roots_callback=roots, **allowed) as client:
        granted = await client.call_tool("run_storyboard", {"action": "plan", "board": board})
    async with host(open_studio, era, **allowed) as client:
        refused = await client.call_tool("run_storyboard", {"action": "plan", "board": board})

    described, plain = granted.content[0].text, refused.content[0].text
    assert "1 shots" in described, described
    assert "outside the folders" not in described
    assert "outside the folders" in plain, plain


class Swapping:
    """The emulator's way to wait, used to swap a folder while the POST is under way."""

    def __init__(self, swap: Callable[[], None]) -> None:
        self._swap = swap

    async def __call__(self, _seconds: float) -> None:
        self._swap()


@needs_links
@pytest.mark.parametrize("place", ["film", "film/day"])
async def test_a_folder_swapped_for_a_link_during_the_call_cannot_move_the_picture(
    open_studio: OpenStudio, tmp_path: Path, place: str
):
    output, elsewhere = tmp_path / "pictures", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (output / "film" / "day").mkdir(parents=True)

    def swap() -> None:
        (output / place).rename(output / "away")
        (output / place).symlink_to(elsewhere)

    carrier = transport(paint="instant", sleep=Swapping(swap), always="latency 1")
    arguments = {"prompt": "一只猫坐在窗台上", "save_as": "film/day/cat", "preview": "none"}
    async with host(open_studio, transport=carrier) as client:
        result = await client.call_tool("generate_image", arguments)

    assert not result.is_error, result.content[0].text
    assert list(elsewhere.rglob("*")) == []
    assert {path.name for path in output.glob("cat*")} == {"cat.jpg", "cat.jpg.json"}


@needs_links
async def test_an_output_folder_swapped_for_a_link_during_the_call_gets_nothing(
    open_studio: OpenStudio, tmp_path: Path
):
    output, elsewhere = tmp_path / "pictures", tmp_path / "elsewhere"
    elsewhere.mkdir()

    def swap() -> None:
        output.rename(tmp_path / "away")
        output.symlink_to(elsewhere)

    carrier = transport(paint="instant", sleep=Swapping(swap), always="latency 1")
    async with host(open_studio, transport=carrier) as client:
        result = await client.call_tool("generate_image", {"prompt": "一只猫坐在窗台上", "save_as": "cat"})
        left = [path for path in elsewhere.rglob("*") if path.is_file()]

    assert result.is_error is True
    assert left == []


@needs_links
async def test_a_folder_that_is_a_link_inside_the_output_folder_still_takes_pictures(
    open_studio: OpenStudio, tmp_path: Path
):
    output = tmp_path / "pictures"
    (output / "real").mkdir(parents=True)
    (output / "alias").symlink_to(output / "real")
    async with host(open_studio) as client:
        result = await client.call_tool("generate_image", {"prompt": "一只猫坐在窗台上", "save_as": "alias/cat"})

    assert not result.is_error
    assert (output / "real" / "cat.jpg").is_file()
