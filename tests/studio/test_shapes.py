"""The shape of a picture: an edit keeps that of image 1, contradictions are reported, paths are found."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from mcp import Client
from PIL import Image

from seedframe.emulator import InProcess
from seedframe.mcp_server.app import build_server
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio
OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]
CHANGE = "把图1中的油纸伞换成红色的纸灯笼，其余不变。"
UPRIGHT_BY_EXIF = 6


@asynccontextmanager
async def host(open_studio: OpenStudio, **variables: str) -> AsyncIterator[Client]:
    async with Client(build_server(lambda: open_studio(**variables), "en")) as client:
        yield client


def described(result: t.CallToolResult) -> dict[str, Any]:
    (text,) = [block.text for block in result.content if isinstance(block, t.TextContent)]
    return dict(json.loads(text.rpartition("\n")[2]), words=text.rpartition("\n")[0])


def photo(path: Path, size: tuple[int, int], *, orientation: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", size, (40, 90, 160)).save(path, exif=exif)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "stored", "orientation", "size"),
    [
        pytest.param("5.0-lite", (1080, 1920), None, "1440x2560", id="scaled up to the model's least"),
        pytest.param("5.0-lite", (2304, 4096), None, "2304x4096", id="legal as it is"),
        pytest.param("5.0-pro", (1080, 1920), None, "1080x1920", id="legal on a model with a smaller least"),
        pytest.param("4.5", (1200, 900), UPRIGHT_BY_EXIF, "1680x2240", id="turned by its EXIF"),
        pytest.param("5.5", (4032, 3024), None, "2240x1680", id="larger than the model makes"),
    ],
)
async def test_an_edit_without_ratio_or_size_keeps_the_shape_of_image_1(
    model: str,
    stored: tuple[int, int],
    orientation: int | None,
    size: str,
    open_studio: OpenStudio,
    tmp_path: Path,
):
    first = photo(tmp_path / "first.jpg", stored, orientation=orientation)
    arguments = {"prompt": CHANGE, "model": model, "images": [str(first)], "as_is": True}
    async with host(open_studio) as client:
        previewed = described(await client.call_tool("edit_image", {**arguments, "dry_run": True}))
        facts = described(await client.call_tool("edit_image", arguments))

    (picture,) = facts["pictures"]
    assert (facts["frame"]["asked"], f"{picture['width']}x{picture['height']}") == (size, size)
    assert previewed["frame"] == facts["frame"]
    assert facts["frame"]["why"].startswith("the shape of image 1")


async def test_a_named_ratio_is_stronger_than_the_shape_of_image_1(open_studio: OpenStudio, tmp_path: Path):
    first = photo(tmp_path / "first.jpg", (1080, 1920))
    async with host(open_studio) as client:
        arguments = {"prompt": CHANGE, "images": [str(first)], "ratio": "1:1"}
        facts = described(await client.call_tool("edit_image", arguments))

    assert (facts["frame"]["asked"], facts["frame"]["ratio"]) == ("1920x1920", "1:1")


async def test_an_address_that_is_not_read_here_is_not_said_to_give_the_shape(open_studio: OpenStudio):
    async with host(open_studio) as client:
        arguments = {"prompt": CHANGE, "images": ["https://pictures.example/1.png"], "dry_run": True}
        facts = described(await client.call_tool("edit_image", arguments))

    assert facts["frame"]["asked"] == "default (2048x2048)"
    assert "no size is sent and the service makes its default; name a ratio" in facts["frame"]["why"]


async def test_size_and_ratio_that_contradict_each_other_are_refused_with_both_ways_out(
    open_studio: OpenStudio, service: InProcess
):
    async with host(open_studio) as client:
        arguments = {"prompt": "雨夜的小巷", "size": "1080x1920", "ratio": "1:1"}
        result = await client.call_tool("generate_image", arguments)
        agreeing = await client.call_tool("generate_image", {**arguments, "ratio": "9:16"})

    assert result.is_error is True
    assert described(result)["words"].endswith(
        "size 1080x1920 is 9:16, but ratio says 1:1: one picture has one shape. "
        "Leave out ratio to get 1080x1920, or leave out size to get 1:1 (here 1920x1920)."
    )
    assert agreeing.is_error is False
    assert service.app.state.request_log.posts == 1


NEUTRAL: dict[str, Any] = {
    "negative_prompt": "",
    "model": "",
    "size": None,
    "save_as": "",
    "frame": " ",
    "anchor": "",
    "seed": -1,
    "guidance_scale": 0,
    "background": "auto",
    "optimize_prompt": "standard",
    "related": False,
    "count": 1,
    "brief": {
        "subject": "",
        "details": [],
        "text": [{"content": "", "where": "", "type": ""}],
        "group": {"link": "", "items": []},
        "avoid": None,
    },
}


@pytest.mark.parametrize("model", ["5.5", "5.0-pro", "5.0-flash", "5.0-lite", "4.5", "4.0"])
async def test_hosts_that_must_fill_every_property_ask_for_the_same_picture(model: str, open_studio: OpenStudio):
    arguments = {"prompt": "雨夜的小巷，灯笼亮着", "ratio": "9:16", "model": model, "as_is": True, "dry_run": True}
    file_format = "png" if model == "5.5" else "jpeg"
    async with host(open_studio) as client:
        plain = described(await client.call_tool("generate_image", arguments))
        full = {**NEUTRAL, "output_format": file_format, **arguments}
        filled = described(await client.call_tool("generate_image", full))

    assert {**filled["payload"], "output_format": None, "background": None, "optimize_prompt_options": None} == {
        **plain["payload"],
        "output_format": None,
        "background": None,
        "optimize_prompt_options": None,
    }
    assert filled["warnings"] == plain["warnings"]


@pytest.mark.slow
async def test_a_transparent_background_is_a_png_unasked(open_studio: OpenStudio):
    async with host(open_studio) as client:
        arguments = {"prompt": "一只白瓷咖啡杯的贴纸", "model": "5.5", "background": "transparent"}
        facts = described(await client.call_tool("generate_image", arguments))

    assert facts["pictures"][0]["mime"] == "image/png"


async def test_a_relative_path_is_looked_up_where_we_stand_and_then_where_pictures_are_saved(
    open_studio: OpenStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    here = tmp_path / "work"
    photo(here / "both.jpg", (1440, 2560))
    photo(tmp_path / "pictures" / "both.jpg", (2560, 1440))
    photo(tmp_path / "pictures" / "film" / "base.jpg", (2560, 1440))
    monkeypatch.chdir(here)
    async with host(open_studio) as client:
        facts = [
            described(await client.call_tool("edit_image", {"prompt": CHANGE, "images": [name], "dry_run": True}))
            for name in ("both.jpg", "film/base.jpg")
        ]

    assert [fact["frame"]["asked"] for fact in facts] == ["1440x2560", "2560x1440"]


@pytest.mark.slow
async def test_latest_is_the_last_picture_made(open_studio: OpenStudio, tmp_path: Path):
    async with host(open_studio) as client:
        none = await client.call_tool("edit_image", {"prompt": CHANGE, "images": ["latest"]})
        for ratio in ("1:1", "9:16"):
            await client.call_tool("generate_image", {"prompt": f"雨夜的小巷，{ratio}", "ratio": ratio})
        last = described(await client.call_tool("edit_image", {"prompt": CHANGE, "images": ["latest"]}))
        Path(last["pictures"][0]["path"]).unlink()
        before = described(
            await client.call_tool("edit_image", {"prompt": CHANGE, "images": ["latest"], "fresh": True})
        )

    assert (none.is_error, "No picture has been made here yet" in described(none)["words"]) == (True, True)
    assert (last["frame"]["asked"], last["references"]) == ("1440x2560", ["latest"])
    assert before["frame"]["asked"] == "1440x2560"


@pytest.mark.parametrize("path", ["/mnt/user-data/uploads/cat.png", "/mnt/data/cat.png", "sandbox:/mnt/data/cat.png"])
async def test_a_path_of_a_chats_own_sandbox_is_explained(path: str, open_studio: OpenStudio, service: InProcess):
    async with host(open_studio) as client:
        result = await client.call_tool("edit_image", {"prompt": CHANGE, "images": [path]})

    assert result.is_error is True
    assert f"{path} is a path inside the chat's own sandbox" in described(result)["words"]
    assert "save the picture on this machine" in described(result)["words"]
    assert service.app.state.request_log.posts == 0
