"""Every backend and what each model alone has, as journeys: what leaves is exactly what the service takes."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from seedframe.emulator import InProcess, transport
from seedframe.emulator.app import Choices
from seedframe.errors import InvalidRequest, PictureError, PromptRejected, SeedreamError
from seedframe.service.client import connected
from seedframe.settings import Settings
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

KEY = "test-key-0123456789"
KEYS = {
    "ark": {"ARK_API_KEY": KEY},
    "byteplus": {"BYTEPLUS_API_KEY": KEY},
    "uniall": {"UNIALL_API_KEY": KEY, "UNIALL_API_BASE": "https://gateway.invalid"},
}
CAT = {"prompt": "一只猫坐在窗台上，午后阳光"}
KEYWORDS = {"prompt": "a cat on a sill, soft afternoon light, medium shot, eye level"}
HEIF = importlib.util.find_spec("pillow_heif") is not None
REMOTE = "https://pictures.invalid/cat.png"


@asynccontextmanager
async def called(
    environ: dict[str, str], backend: str, variables: dict[str, str] | None = None, **options: Any
) -> AsyncIterator[tuple[Studio, InProcess]]:
    """A studio on that backend, whose service knows one key; its pictures are small, which the tests do not mind."""
    choices: Choices = {"profile": backend, "keys": [KEY], "paint": "instant", "scale": 0.1, **options}
    carrier = transport(**choices)
    settings = Settings.read({**environ, **KEYS[backend], "SEEDFRAME_BACKEND": backend, **(variables or {})})
    async with Studio.open(settings, transport=carrier) as studio:
        yield studio, carrier


def sent(carrier: InProcess) -> list[dict[str, Any]]:
    """The bodies that arrived, pictures as their beginnings."""
    entries = [entry for entry in carrier.app.state.request_log.entries if entry.method == "POST"]
    assert {key for entry in entries for key in entry.unknown} <= {"negative_prompt"}  # silently ignored by the service
    return [{key: cut(value) for key, value in entry.body.items()} for entry in entries]


def cut(value: Any) -> Any:
    return value[:23] if isinstance(value, str) and value.startswith("data:") else value


def paths(carrier: InProcess) -> list[str]:
    return [entry.path for entry in carrier.app.state.request_log.entries]


def picture(folder: Path, name: str, mode: str = "RGB", size: tuple[int, int] = (640, 640)) -> str:
    path = folder / name
    Image.new(mode, size, "teal" if mode == "RGB" else (0, 128, 128, 90)).save(path)
    return str(path)


async def made(studio: Studio, tool: str = "generate_image", **arguments: Any) -> dict[str, Any]:
    async with studio.make(tool, arguments) as result:
        return result.as_dict()


def words(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in {"prompt", "negative_prompt"}}


ALONE = [
    pytest.param(
        "ark",
        {**CAT, "model": "5.0-lite", "ratio": "9:16", "output_format": "png", "web_search": True, "seed": 7},
        {
            "model": "doubao-seedream-5-0-260128",
            "size": "1440x2560",
            "response_format": "url",
            "watermark": False,
            "seed": 7,
            "output_format": "png",
            "tools": [{"type": "web_search"}],
        },
        "0.22 CNY",
        id="lite: png, web search, seed",
    ),
    pytest.param(
        "ark",
        {**KEYWORDS, "model": "4.0", "size": "1280x720", "optimize_prompt": "fast"},
        {
            "model": "doubao-seedream-4-0-250828",
            "size": "1280x720",
            "response_format": "b64_json",
            "watermark": False,
            "optimize_prompt_options": {"mode": "fast"},
        },
        "0.2 CNY",
        id="4.0: fast",
    ),
    pytest.param(
        "ark",
        {**CAT, "model": "5.0-pro", "size": "1K", "optimize_prompt": "fast", "watermark": True},
        {
            "model": "doubao-seedream-5-0-pro-260628",
            "size": "1K",
            "response_format": "url",
            "watermark": True,
            "optimize_prompt_options": {"mode": "fast"},
        },
        "0.3 CNY",
        id="pro: fast, first price tier",
    ),
    pytest.param(
        "byteplus",
        {**CAT, "model": "5.5", "size": "1K", "background": "transparent", "output_format": "png"},
        {
            "model": "dola-seedream-5-5-261028",
            "size": "1K",
            "response_format": "url",
            "watermark": False,
            "output_format": "png",
            "background": "transparent",
        },
        "0.02 USD",
        id="5.5: transparent from words",
    ),
    pytest.param(
        "byteplus",
        {**CAT, "model": "5.0-flash", "ratio": "1:1"},
        {
            "model": "dola-seedream-5-0-flash-260915",
            "size": "1920x1920",
            "response_format": "url",
            "watermark": False,
        },
        "0.018 USD",
        id="flash: nothing superfluous",
    ),
]


@pytest.mark.parametrize(("backend", "arguments", "body", "cost"), ALONE)
async def test_what_a_model_alone_has_is_sent_and_nothing_else(
    environ: dict[str, str], backend: str, arguments: dict[str, Any], body: dict[str, Any], cost: str
) -> None:
    async with called(environ, backend) as (studio, carrier):
        facts = await made(studio, **arguments)
    assert [words(one) for one in sent(carrier)] == [body]
    assert f"{facts['cost']['amount']} {facts['cost']['currency']}" == cost
    assert facts["cost"]["amount"] == f"{carrier.app.state.request_log.amount.normalize():f}"


@pytest.mark.parametrize("model", ["5.0-pro", "5.0-flash", "5.5"])
async def test_models_without_sets_make_several_pictures_by_several_calls_that_say_nothing_of_sets_or_streams(
    environ: dict[str, str], model: str
) -> None:
    async with called(environ, "byteplus") as (studio, carrier):
        facts = await made(studio, **CAT, model=model, size="1K", count=3)
        with pytest.raises(InvalidRequest) as refused:
            await made(studio, prompt="一组3张图：猫", model=model, count=3, related=True)
    bodies = sent(carrier)
    assert (len(facts["pictures"]), len(bodies), refused.value.field) == (3, 3, "related")
    assert {key for body in bodies for key in body} == {"model", "prompt", "size", "response_format", "watermark"}


async def test_a_web_search_says_how_often_it_looked(environ: dict[str, str]) -> None:
    async with called(environ, "ark") as (studio, _):
        facts = await made(studio, prompt="今天上海天气的信息图，简洁版式", web_search=True)
    assert facts["web_searches"] == 1


async def test_a_transparent_background_is_transparent_on_the_disk(environ: dict[str, str]) -> None:
    async with called(environ, "byteplus", paint="scene") as (studio, _):
        facts = await made(studio, **CAT, model="5.5", size="1K", background="transparent", output_format="png")
    with Image.open(facts["pictures"][0]["path"]) as image:
        assert (image.format, image.mode, image.getchannel("A").getextrema()[0]) == ("PNG", "RGBA", 0)


async def test_a_model_that_only_keeps_a_background_wants_one_that_is_transparent_already(
    environ: dict[str, str], tmp_path: Path
) -> None:
    arguments = {"prompt": "把杯子改成蓝色", "model": "5.0-pro", "background": "transparent", "output_format": "png"}
    async with called(environ, "ark") as (studio, carrier):
        with pytest.raises(InvalidRequest) as refused:
            await made(studio, "edit_image", **arguments, images=[picture(tmp_path, "opaque.png")])
        assert carrier.app.state.request_log.posts == 0
        facts = await made(studio, "edit_image", **arguments, images=[picture(tmp_path, "clear.png", "RGBA")])
    assert (refused.value.field, len(facts["pictures"])) == ("images", 1)
    assert "5.5" in str(refused.value)


@pytest.mark.slow
async def test_layers_are_saved_with_a_manifest_of_their_order_and_places(
    environ: dict[str, str], tmp_path: Path
) -> None:
    arguments = {"model": "5.0-pro", "layers": True, "size": "1K", "save_as": "poster"}
    async with called(environ, "byteplus", scale=1.0) as (studio, carrier):
        facts = await made(studio, "edit_image", **arguments, images=[picture(tmp_path, "poster-in.png")])
        (entry,) = await studio.payments.entries()
    manifest = json.loads(Path(facts["layers_manifest"]).read_text(encoding="utf-8"))
    layers = manifest["layers"]
    assert words(sent(carrier)[0]) == {
        "model": "dola-seedream-5-0-pro-260628",
        "image": "data:image/png;base64,i",
        "size": "1K",
        "response_format": "url",
        "watermark": False,
        "layer_decomposition": True,
    }
    assert [layer["z_index"] for layer in layers] == [0, 1, 2, 3]
    assert [layer["path"] for layer in layers] == ["poster-1.jpg", "poster-2.png", "poster-3.png", "poster-4.png"]
    assert [layer["box"] is None for layer in layers] == [True, False, False, False]
    for layer in layers[1:]:
        left, top, right, bottom = layer["box"]
        assert (right - left, bottom - top) == (layer["width"], layer["height"])
        with Image.open(Path(facts["layers_manifest"]).with_name(layer["path"])) as image:
            assert image.size == (layer["width"], layer["height"])
    # Each layer is billed, at half the price.
    assert facts["cost"]["pictures"] == 4
    assert facts["cost"]["amount"] == f"{carrier.app.state.request_log.amount.normalize():f}" == "0.09"
    assert (entry.state, entry.billed_images, f"{entry.booked.normalize():f}") == ("delivered", 4, "0.09")


@pytest.mark.parametrize(
    ("prompt", "model", "wrong"),
    [
        pytest.param("把 <bbox>179 283 796 986</bbox> 换成红风筝", "5.0-pro", "", id="box"),
        pytest.param("在 <point>0 999</point> 加一只鸟", "5.0-flash", "", id="point at the edge"),
        pytest.param("在 <point>10 1000</point> 加一只鸟", "5.0-pro", "<point>10 1000</point>", id="beyond 999"),
        pytest.param("换掉 <bbox>800 283 796 986</bbox>", "5.0-pro", "<bbox>800 283 796 986</bbox>", id="turned round"),
        pytest.param("换掉 <bbox>1 2 3</bbox>", "5.0-pro", "<bbox>1 2 3</bbox>", id="three numbers"),
        pytest.param("换掉 <bbox>1 2 3 4", "5.0-pro", "<bbox>", id="not closed"),
        pytest.param("换掉 <bbox>1 2 3 4</bbox>", "5.0-lite", "<bbox>", id="a model that knows no marks"),
    ],
)
async def test_edit_marks_are_sent_as_they_are_or_refused_before_paying(
    environ: dict[str, str], tmp_path: Path, prompt: str, model: str, wrong: str
) -> None:
    arguments = {"prompt": prompt, "model": model, "images": [picture(tmp_path, "in.png")]}
    async with called(environ, "ark") as (studio, carrier):
        if wrong:
            with pytest.raises(PromptRejected) as refused:
                await made(studio, "edit_image", **arguments)
            assert wrong in str(refused.value)
            assert carrier.app.state.request_log.posts == 0
        else:
            await made(studio, "edit_image", **arguments)
            assert prompt[prompt.index("<") : prompt.rindex(">") + 1] in sent(carrier)[0]["prompt"]


async def test_references_leave_in_order_as_data_uris_whatever_they_came_as(
    environ: dict[str, str], tmp_path: Path
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (640, 640), "red").save(out, "JPEG")
    uri = "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
    async with called(environ, "ark") as (studio, carrier):
        first = await made(studio, **CAT)
        images = [first["pictures"][0]["id"], picture(tmp_path, "in.png"), uri]
        facts = await made(studio, "edit_image", prompt="把图1的猫放进图2，用图3的颜色", images=images)
    heads = ["data:image/jpeg;base64,", "data:image/png;base64,i", "data:image/jpeg;base64,"]
    assert [cut(image) for image in sent(carrier)[1]["image"]] == heads
    assert facts["references"] == [images[0], images[1], "data URI"]


def heic(path: Path) -> str:
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0" * 64)
    return str(path)


@pytest.mark.skipif(HEIF, reason="pillow-heif is installed")
async def test_a_heic_reference_says_what_to_install(environ: dict[str, str], tmp_path: Path) -> None:
    async with called(environ, "ark") as (studio, carrier):
        with pytest.raises(PictureError) as refused:
            await made(studio, "edit_image", prompt="把猫换成狗", images=[heic(tmp_path / "in.heic")])
    assert "pip install 'seedframe[heif]'" in str(refused.value)
    assert carrier.app.state.request_log.posts == 0


@pytest.mark.slow
@pytest.mark.skipif(not HEIF, reason="pillow-heif is not installed")
async def test_a_heic_reference_is_converted_and_that_is_told(environ: dict[str, str], tmp_path: Path) -> None:
    import pillow_heif

    path = tmp_path / "in.heic"
    pillow_heif.from_pillow(Image.new("RGB", (640, 640), "teal")).save(path)
    async with called(environ, "ark") as (studio, carrier):
        facts = await made(studio, "edit_image", prompt="把猫换成狗", images=[str(path)])
    assert sent(carrier)[0]["image"] == "data:image/jpeg;base64,"
    assert any("heic" in warning for warning in facts["warnings"])


async def test_uniall_takes_the_count_as_n_and_the_size_as_numbers(environ: dict[str, str]) -> None:
    async with called(environ, "uniall") as (studio, carrier):
        facts = await made(studio, **CAT, model="5.0-lite", ratio="16:9", count=3, seed=7)
    assert [words(body) for body in sent(carrier)] == [
        {
            "model": "seedream-5.0-lite",
            "custom_size": {"width": 2560, "height": 1440},
            "n": 3,
            "timeout_seconds": 680,
        }
    ]
    assert paths(carrier) == ["/v1/images/generations"]
    assert (facts["status"], len(facts["pictures"])) == ("wrong_size", 3), "the emulator was told to shrink them"
    assert facts["cost"]["amount"] is None
    assert any("seed" in warning for warning in facts["warnings"])


async def test_uniall_edits_on_a_path_of_its_own_with_one_image_field_of_addresses(environ: dict[str, str]) -> None:
    async with called(environ, "uniall") as (studio, carrier):
        await made(
            studio,
            "edit_image",
            prompt="把图1的猫放进图2",
            model="4.5",
            images=[REMOTE, REMOTE],
            ratio="1:1",
            as_is=True,
        )
        await made(
            studio,
            "edit_image",
            prompt="turn the cat into a dog, soft light",
            model="4.0",
            images=[REMOTE],
            ratio="1:1",
        )
    assert paths(carrier) == ["/v1/images/edits"] * 2
    assert [words(body) for body in sent(carrier)] == [
        {
            "model": "seedream-4.5",
            "custom_size": {"width": 1920, "height": 1920},
            "image": [REMOTE, REMOTE],
            "timeout_seconds": 600,
        },
        {
            "model": "seedream-4.0",
            "custom_size": {"width": 1920, "height": 1920},
            "image": REMOTE,
            "timeout_seconds": 600,
        },
    ]


async def test_uniall_takes_no_file_and_says_so_before_paying(environ: dict[str, str], tmp_path: Path) -> None:
    async with called(environ, "uniall") as (studio, carrier):
        with pytest.raises(InvalidRequest) as refused:
            await made(studio, "edit_image", prompt="把猫换成狗", images=[picture(tmp_path, "in.png")])
    assert (refused.value.field, refused.value.allowed) == ("images", "https://…")
    assert carrier.app.state.request_log.posts == 0


@pytest.mark.parametrize(
    ("backend", "made_of"), [("ark", "doubao-seedream-4-5-251128"), ("byteplus", "seedream-4-5-251128")]
)
async def test_a_backend_uses_its_own_ids_host_and_currency(
    environ: dict[str, str], backend: str, made_of: str
) -> None:
    async with called(environ, backend) as (studio, carrier):
        facts = await made(studio, **KEYWORDS, model="4.5", ratio="1:1")
    assert (sent(carrier)[0]["model"], paths(carrier)) == (made_of, ["/api/v3/images/generations"])
    assert facts["cost"]["currency"] == {"ark": "CNY", "byteplus": "USD"}[backend]


async def test_an_endpoint_id_is_the_model_it_is_bound_to(environ: dict[str, str]) -> None:
    endpoint = "ep-20260101000000-abcde"
    bound = {"SEEDFRAME_ENDPOINTS": f"{endpoint}=4.5"}
    async with called(environ, "ark", bound, endpoints={endpoint: "4.5"}) as (studio, carrier):
        facts = await made(studio, **KEYWORDS, model=endpoint, ratio="1:1")
    assert (sent(carrier)[0]["model"], facts["model"], facts["model_id"]) == (endpoint, "4.5", endpoint)


@pytest.mark.parametrize("model", ["ep-20260101000000-zzzzz", "doubao-seedream-9-9-271231", "dall-e-3"])
async def test_an_unknown_id_is_refused_with_the_list(environ: dict[str, str], model: str) -> None:
    async with called(environ, "ark") as (studio, carrier):
        with pytest.raises(SeedreamError) as refused:
            await made(studio, **CAT, model=model)
    assert carrier.app.state.request_log.posts == 0
    assert all(
        name in str(refused.value)
        for name in (["SEEDFRAME_ENDPOINTS"] if model.startswith("ep-") else ["5.0-lite", "4.5"])
    )


async def test_a_model_a_backend_does_not_sell_is_refused(environ: dict[str, str]) -> None:
    async with called(environ, "ark") as (studio, carrier):
        with pytest.raises(SeedreamError) as refused:
            await made(studio, **CAT, model="5.5")
    assert ("byteplus" in str(refused.value), carrier.app.state.request_log.posts) == (True, 0)


async def test_the_catalogue_of_a_service_is_listed_with_its_own_ids(environ: dict[str, str]) -> None:
    settings = Settings.read({**environ, **KEYS["byteplus"], "SEEDFRAME_BACKEND": "byteplus"})
    from seedframe.catalog import catalog

    async with connected(settings, catalog().backend("byteplus"), transport=transport(profile="byteplus")) as client:
        listing = await client.models()
    assert "dola-seedream-5-5-261028" in [model["id"] for model in listing["data"]]
