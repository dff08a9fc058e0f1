"""The emulator answers like the service: over the in-process transport, and once more over a real socket."""

from __future__ import annotations

import asyncio
import base64
import inspect
import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from PIL import Image

from seedframe.catalog import ApiErrorRow, api_errors, catalog
from seedframe.emulator import emulator, running, transport
from seedframe.emulator.app import Choices
from seedframe.errors import InvalidRequest

LITE = "doubao-seedream-5-0-260128"
V45 = "doubao-seedream-4-5-251128"
V40 = "doubao-seedream-4-0-250828"
PRO = "doubao-seedream-5-0-pro-260628"
FLASH = "doubao-seedream-5-0-flash-260915"
V55 = "dola-seedream-5-5-261028"
GENERATE = "/api/v3/images/generations"
LEAST = "1920x1920"
START = 1_795_000_000.0


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def client(**options: object) -> AsyncIterator[httpx.AsyncClient]:
    options.setdefault("paint", "instant")
    carrier = transport(**options)
    async with httpx.AsyncClient(transport=carrier, base_url="http://emulator.invalid", timeout=20) as opened:
        yield opened


async def generate(http: httpx.AsyncClient, **body: object) -> httpx.Response:
    return await http.post(GENERATE, json={"model": V45, "prompt": "a cat", "size": LEAST, **body})


async def request_log(http: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await http.get("/_emulator/ledger")).json())


def picture(
    size: tuple[int, int] = (64, 64), format: str = "PNG", mode: str = "RGB", colour: str | tuple[int, int, int] = "red"
) -> str:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, format)
    return f"data:image/{format.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


async def collect(reply: httpx.Response, into: list[bytes]) -> None:
    async for chunk in reply.aiter_bytes():
        into.append(chunk)  # noqa: PERF401 - what came before the cut must stay


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


@pytest.mark.anyio
async def test_a_reply_has_exactly_the_recorded_keys_headers_and_newline() -> None:
    async with client() as http:
        reply = await generate(http, size="1440x2560")

    body = reply.json()
    url = body["data"][0].pop("url")
    assert reply.status_code == 200
    assert body == {
        "model": V45,
        "created": body["created"],
        "data": [{"size": "1440x2560"}],
        "usage": {"generated_images": 1, "output_tokens": 14400, "total_tokens": 14400},
    }
    assert reply.text.endswith("}\n")
    assert re.fullmatch(r"02\d{13}[0-9a-f]{38}", reply.headers["x-request-id"])
    assert f"{reply.headers['x-request-id']}_0.jpeg?X-Tos-Algorithm=" in url
    assert "&X-Tos-Expires=86400&" in url
    assert re.fullmatch(r"unknown-\d{14}-[a-z]{8}", reply.headers["x-client-request-id"])
    assert reply.headers["server"] == "istio-envoy"
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert reply.headers["x-emulated"] == "true"


@pytest.mark.anyio
async def test_a_client_request_id_is_echoed() -> None:
    async with client() as http:
        reply = await http.post(GENERATE, json={}, headers={"x-client-request-id": "20261120abc"})

    assert reply.headers["x-client-request-id"] == "20261120abc"


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "format", "size"),
    [
        pytest.param({"size": "1440x2560"}, "JPEG", (1440, 2560), id="4.5-jpeg"),
        pytest.param({"model": LITE, "size": "3000x1230", "output_format": "png"}, "PNG", (3000, 1230), id="lite-png"),
        pytest.param({"model": V55, "size": "1K"}, "PNG", (1024, 1024), id="5.5-is-png-by-default"),
        pytest.param({"model": PRO, "size": "1.5k", "prompt": "poster 16:9"}, "JPEG", (2048, 1152), id="pro-preset"),
    ],
)
async def test_pictures_are_real_files_of_exactly_the_said_size(
    body: dict[str, Any], format: str, size: tuple[int, int]
) -> None:
    async with client(paint="scene") as http:
        inline = (await generate(http, **body, response_format="b64_json")).json()["data"][0]
        linked = (await generate(http, **body)).json()["data"][0]
        content = (await http.get(linked["url"])).content

    first = opened(base64.b64decode(inline["b64_json"]))
    assert (first.format, first.size) == (format, size)
    assert inline["size"] == linked["size"] == f"{size[0]}x{size[1]}"
    assert opened(content).size == size


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_jpeg_carries_a_manifest_whose_thumbnail_has_its_own_frame_header() -> None:
    async with client(paint="scene") as http:
        inline = (await generate(http, size="1440x2560", response_format="b64_json")).json()["data"][0]["b64_json"]

    content = base64.b64decode(inline)
    naive = content.index(b"\xff\xc0")
    assert b"c2pa" in content[:2000]
    assert content[naive + 5 : naive + 9] == (1024).to_bytes(2) * 2
    assert opened(content).size == (1440, 2560)


@pytest.mark.slow
@pytest.mark.anyio
async def test_the_same_seed_gives_the_same_picture_and_no_seed_another() -> None:
    async with client(paint="scene") as http:
        texts = [
            (await generate(http, response_format="b64_json", **seed)).json()["data"][0]["b64_json"]
            for seed in ({"seed": 7}, {"seed": 7}, {"seed": -1})
        ]

    assert texts[0] == texts[1] != texts[2]


@pytest.mark.anyio
async def test_nulls_are_absent_and_unknown_keys_are_ignored_but_written_down() -> None:
    nulls = dict.fromkeys(("output_format", "guidance_scale", "tools", "stream", "image", "optimize_prompt"))
    async with client() as http:
        reply = await generate(http, **nulls, n=4, negative_prompt="x")
        books = await request_log(http)

    assert len(reply.json()["data"]) == 1
    assert books["requests"][0]["unknown"] == ["n", "negative_prompt"]
    assert books["bills"]["images"] == 1


@pytest.mark.anyio
async def test_unknown_keys_can_be_refused_to_catch_superfluous_ones() -> None:
    async with client(strict_unknown=True) as http:
        assert (await generate(http, n=4)).status_code == 400
        assert (await generate(http)).status_code == 200


REFUSED = [
    pytest.param({"model": None}, 400, "MissingParameter", "missing one or multiple", "model", id="no-model"),
    pytest.param(
        {"model": "doubao-seedream-4-5"}, 404, "InvalidEndpointOrModel.NotFound", "4-5 does not", "", id="undated"
    ),
    pytest.param({"prompt": ""}, 400, "MissingParameter", "", "prompt", id="no-prompt"),
    pytest.param(
        {"prompt": ["a"]}, 400, "InvalidParameter", "`prompt` specified in the request is not valid.", "", id="list"
    ),
    pytest.param({"size": "1080x1920"}, 400, "InvalidParameter", "at least 3686400 pixels", "", id="small"),
    pytest.param(
        {"model": V40, "size": "900x900"}, 400, "InvalidParameter", "at least 921600 pixels", "", id="4.0-small"
    ),
    pytest.param({"size": "5000x5000"}, 400, "InvalidParameter", "at most 16777216 pixels", "", id="large"),
    pytest.param({"size": "9000x500"}, 400, "InvalidParameter", "between 1/16 and 16", "", id="ratio"),
    pytest.param({"size": "0x0"}, 400, "InvalidParameter", "invalid width", "", id="zero"),
    pytest.param({"size": "-1x-1"}, 400, "InvalidParameter", "invalid width", "", id="negative"),
    pytest.param({"size": "2048*2048"}, 400, "InvalidParameter", "'WIDTHxHEIGHT', '1k', '2k', or '4k'", "", id="star"),
    pytest.param(
        {"size": "1K"}, 400, "InvalidParameter", "not supported for model doubao-seedream-4-5", "", id="4.5-1k"
    ),
    pytest.param({"model": LITE, "size": "1K"}, 400, "InvalidParameter", "'2k', '3k', or '4k'", "", id="lite-1k"),
    pytest.param(
        {"output_format": "png"},
        400,
        "InvalidParameter",
        "not supported by the current model",
        "output_format",
        id="format",
    ),
    pytest.param({"guidance_scale": 0}, 400, "InvalidParameter", "not supported by", "guidance_scale", id="guidance"),
    pytest.param(
        {"model": PRO, "sequential_image_generation": "disabled"},
        400,
        "InvalidParameter",
        "`sequential_image_generation` specified in the request are not valid",
        "sequential_image_generation",
        id="pro-group",
    ),
    pytest.param(
        {"model": PRO, "stream": False}, 400, "InvalidParameter", "not supported by", "stream", id="pro-stream"
    ),
    pytest.param(
        {"model": LITE, "output_format": "webp"},
        400,
        "InvalidParameter",
        "must be one of: jpeg, png",
        "output_format",
        id="webp",
    ),
    pytest.param(
        {"model": LITE, "optimize_prompt_options": {"mode": "fast"}},
        400,
        "InvalidParameter",
        "optimize_prompt_options.mode must be 'standard'",
        "optimize_prompt_options",
        id="fast",
    ),
    pytest.param({"model": LITE, "tools": [{"type": "x"}]}, 400, "InvalidParameter", "web_search", "", id="tools"),
    pytest.param(
        {"seed": 1.5}, 400, "InvalidParameter", "`seed` specified in the request is not valid.", "", id="seed"
    ),
    pytest.param(
        {"image": ["https://a/b.png"] * 15}, 400, "InvalidParameter", "cannot exceed 14", "image", id="references"
    ),
    pytest.param({"image": "asset://x"}, 400, "InvalidParameter", "invalid url specified", "image", id="asset"),
    pytest.param(
        {"image": "data:image/PNG;base64,AAAA"}, 400, "InvalidImageURL.InvalidFormat", "", "image", id="upper-case"
    ),
    pytest.param({"image": "data:image/png;base64,"}, 400, "InvalidImageURL.EmptyURL", "", "image", id="empty"),
    pytest.param(
        {"image": "data:image/png;base64,AAA"}, 400, "InvalidImageURL.InvalidFormat", "", "image", id="padding"
    ),
    pytest.param(
        {"image": "data:image/png;base64,AAAA"}, 400, "InvalidParameter.UnsupportedImageFormat", "", "image", id="junk"
    ),
    pytest.param(
        {"image": picture().replace("png", "jpeg")},
        400,
        "InvalidParameter.UnsupportedImageFormat",
        "",
        "image",
        id="mime",
    ),
    pytest.param({"image": picture((10, 40))}, 400, "InvalidParameter", "side must be greater than 14", "", id="thin"),
    pytest.param({"image": picture((1000, 20))}, 400, "InvalidParameter", "between 1/16 and 16", "", id="long"),
    pytest.param(
        {"model": PRO, "background": "transparent"},
        400,
        "InvalidParameter",
        "exactly one input image",
        "background",
        id="bg",
    ),
    pytest.param(
        {"model": PRO, "background": "transparent", "image": picture(), "size": "1K"},
        400,
        "InvalidParameter",
        "must be png when background is transparent",
        "output_format",
        id="bg-jpeg",
    ),
    pytest.param(
        {"model": PRO, "background": "transparent", "image": picture(), "size": "1K", "output_format": "png"},
        400,
        "InvalidParameter",
        "at least one transparent pixel",
        "image",
        id="bg-opaque",
    ),
    pytest.param(
        {"model": PRO, "layer_decomposition": True}, 400, "InvalidParameter", "exactly one input", "", id="layers"
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("body", "status", "code", "words", "param"), REFUSED)
async def test_what_the_service_refuses_is_refused_in_its_words_and_costs_nothing(
    body: dict[str, Any], status: int, code: str, words: str, param: str
) -> None:
    async with client() as http:
        reply = await generate(http, **body)
        books = await request_log(http)

    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (status, code, param)
    assert words in error["message"]
    assert error["message"].endswith(f". Request id: {reply.headers['x-request-id']}")
    assert set(error) == {"code", "message", "param", "type"}
    assert books["bills"]["images"] == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("style", "param", "type"), [("captured", "", ""), ("blank", "", ""), ("named", "size", "BadRequest")]
)
async def test_both_styles_of_param_and_type_can_be_had(style: str, param: str, type: str) -> None:
    async with client(style=style) as http:
        error = (await generate(http, size="1x1")).json()["error"]

    assert (error["param"], error["type"]) == (param, type)


@pytest.mark.anyio
async def test_the_free_probe_tells_an_activated_model_from_a_missing_one() -> None:
    async with client(not_activated=["4.5"]) as http:
        missing = await generate(http, size="1x1")
        usable = await generate(http, model=V40, size="1x1")

    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "ModelNotOpen")
    assert missing.json()["error"]["type"] == "Not Found"
    assert usable.status_code == 400


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("header", "words"),
    [
        pytest.param(None, "missing or invalid", id="missing"),
        pytest.param("Basic abc", "missing or invalid", id="not-bearer"),
        pytest.param("Bearer a b", "format is incorrect", id="malformed"),
        pytest.param("Bearer nobody", "doesn't exist", id="unknown"),
    ],
)
async def test_real_profiles_want_a_key(header: str | None, words: str) -> None:
    headers = {"authorization": header} if header else {}
    async with client(profile="byteplus", keys=["good-key"]) as http:
        bad = await http.post(GENERATE, json={}, headers=headers)
        good = await http.post(GENERATE, json={}, headers={"authorization": "Bearer good-key"})

    assert bad.status_code == 401
    assert bad.json()["error"]["code"] == "AuthenticationError"
    assert words in bad.json()["error"]["message"]
    assert good.status_code == 400


@pytest.mark.anyio
async def test_a_profile_knows_only_its_own_ids_and_the_emulator_knows_all() -> None:
    async with client(profile="byteplus") as http:
        foreign = await http.post(GENERATE, json={"model": V45}, headers={"authorization": "Bearer k"})
    async with client() as http:
        ids = {entry["id"] for entry in (await http.get("/api/v3/models")).json()["data"]}

    assert foreign.status_code == 404
    assert ids == {name for model in catalog().models for name in model.ids_on(catalog().backend("emulator"))}


@pytest.mark.anyio
async def test_an_endpoint_id_stands_for_the_model_it_is_bound_to() -> None:
    async with client(endpoints={"ep-1": "4.5"}) as http:
        reply = await generate(http, model="ep-1")
        unbound = await generate(http, model="ep-2")

    assert reply.json()["model"] == V45
    assert unbound.status_code == 404


@pytest.mark.anyio
async def test_ark_has_no_edits_path_and_says_so_without_a_body() -> None:
    async with client() as http:
        reply = await http.post("/api/v3/images/edits", json={})

    assert (reply.status_code, reply.content, reply.headers["server"]) == (404, b"", "istio-envoy")


@pytest.mark.anyio
async def test_a_body_that_is_no_json_object_is_refused() -> None:
    async with client() as http:
        replies = [await http.post(GENERATE, content=content) for content in (b"[]", b"{", b"--boundary")]

    assert [reply.json()["error"]["code"] for reply in replies] == ["InvalidParameter"] * 3


@pytest.mark.slow
@pytest.mark.anyio
async def test_references_show_up_in_the_picture() -> None:
    async with client(paint="scene") as http:
        body = {"response_format": "b64_json", "seed": 3, "watermark": False}
        plain = (await generate(http, **body)).json()["data"][0]["b64_json"]
        given = (await generate(http, **body, image=[picture(colour=(255, 0, 255)), "https://a/b.png"])).json()

    red, _, _ = (band.histogram() for band in opened(base64.b64decode(given["data"][0]["b64_json"])).split())
    before, _, _ = (band.histogram() for band in opened(base64.b64decode(plain)).split())
    assert sum(red[250:]) > sum(before[250:]) + 5000


@pytest.mark.anyio
async def test_a_preset_takes_its_shape_from_the_prompt_and_otherwise_as_configured() -> None:
    async with client(preset_shape="3:2", follow_reference=True) as http:
        said = (await generate(http, size="2k", prompt="竖版海报")).json()["data"][0]["size"]
        silent = (await generate(http, size="2K")).json()["data"][0]["size"]
        followed = (await generate(http, size="2K", image=picture((160, 90)))).json()["data"][0]["size"]

    assert (said, silent, followed) == ("1600x2848", "2496x1664", "2848x1600")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("prompt", "most", "references", "made"),
    [
        pytest.param("生成3张四季的图", 5, 0, 3, id="the-prompt-says-three"),
        pytest.param("a set of 6 images", 4, 0, 4, id="max-images-is-a-ceiling"),
        pytest.param("a cat", 4, 0, 1, id="no-group-is-meant"),
        pytest.param("12张图", 15, 10, 5, id="references-count-too"),
    ],
)
async def test_a_group_has_as_many_pictures_as_the_model_decides(
    prompt: str, most: int, references: int, made: int
) -> None:
    async with client() as http:
        reply = await generate(
            http,
            prompt=prompt,
            sequential_image_generation="auto",
            sequential_image_generation_options={"max_images": most},
            image=["https://a/b.png"] * references or None,
        )

    assert len(reply.json()["data"]) == made
    assert reply.json()["usage"]["generated_images"] == made


@pytest.mark.anyio
async def test_a_failed_slot_is_not_billed_and_a_500_ends_the_group() -> None:
    group = {"prompt": "4张图", "sequential_image_generation": "auto"}
    async with client(script=[{"name": "slot-error", "index": 1}, "stop-after 2"]) as http:
        failed = (await generate(http, **group)).json()
        stopped = (await generate(http, **group)).json()
        books = await request_log(http)

    assert [sorted(entry) for entry in failed["data"]] == [["size", "url"], ["error"], ["size", "url"], ["size", "url"]]
    assert failed["data"][1]["error"]["code"] == "OutputImageSensitiveContentDetected"
    assert (failed["usage"]["generated_images"], stopped["usage"]["generated_images"]) == (3, 2)
    assert len(stopped["data"]) == 2
    assert books["bills"]["images"] == 5


@pytest.mark.anyio
async def test_layers_come_as_a_base_and_transparent_pictures_with_boxes() -> None:
    async with client(paint="scene", profile="byteplus") as http:
        reply = await http.post(
            GENERATE,
            headers={"authorization": "Bearer k"},
            json={
                "model": "dola-seedream-5-0-pro-260628",
                "image": picture((1500, 1920), "JPEG"),
                "layer_decomposition": True,
                "size": "1K",
            },
        )
        base, layer, *_ = reply.json()["data"]
        content = opened((await http.get(layer["url"])).content)
        bill = http._transport.app.state.request_log.charges[0]

    left, top, right, bottom = layer["bounding_box"]["absolute"]
    assert (base["size"], base["z_index"], base["output_format"]) == ("912x1168", 0, "jpeg")
    assert "bounding_box" not in base
    assert (layer["z_index"], layer["output_format"], content.mode) == (1, "png", "RGBA")
    assert content.size == (right - left, bottom - top)
    assert reply.json()["usage"]["input_images"] == 1
    assert (bill.images, str(bill.amount)) == (4, "0.0900")


@pytest.mark.anyio
async def test_web_search_is_told_in_the_reply() -> None:
    async with client() as http:
        tools = [{"type": "web_search"}]
        used = (await generate(http, model=LITE, prompt="今天上海天气", tools=tools)).json()
        unused = (await generate(http, model=LITE, tools=tools)).json()

    assert used["tools"] == tools
    assert (used["usage"]["tool_usage"], unused["usage"]["tool_usage"]) == ({"web_search": 1}, {"web_search": 0})


@pytest.mark.anyio
async def test_a_transparent_background_is_transparent() -> None:
    async with client(paint="scene") as http:
        body = {"model": V55, "size": "1K", "background": "transparent", "prompt": "white mug"}
        entry = (await generate(http, **body, response_format="b64_json")).json()["data"][0]

    cut_out = opened(base64.b64decode(entry["b64_json"]))
    assert entry["background"] == "transparent"
    assert cut_out.getpixel((1023, 0))[3] == 0
    assert cut_out.getpixel((420, 700))[3] == 255


STREAM = {
    "prompt": "3张图",
    "stream": True,
    "sequential_image_generation": "auto",
    "sequential_image_generation_options": {"max_images": 3},
}


@pytest.mark.anyio
async def test_a_stream_has_the_three_event_types_and_counts_failed_slots() -> None:
    async with client(script=[{"name": "slot-error", "index": 1}]) as http:
        reply = await generate(http, **STREAM)

    described = events(reply.text)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert [(event["type"].split(".")[1], event.get("image_index")) for event in described] == [
        ("partial_succeeded", 0),
        ("partial_failed", 1),
        ("partial_succeeded", 2),
        ("completed", None),
    ]
    assert re.findall(r"^event: (.+)$", reply.text, re.MULTILINE) == [event["type"] for event in described]
    assert described[-1]["usage"] == {"generated_images": 2, "output_tokens": 28800, "total_tokens": 28800}
    assert reply.text.endswith("data: [DONE]\n\n")


@pytest.mark.anyio
async def test_streams_can_be_cut_lack_their_end_fail_or_be_plain_json() -> None:
    script = ["cut-stream 1", "no-completed", "error-frame 1", "json-to-stream"]
    async with client(script=script) as http:
        received: list[bytes] = []
        async with http.stream("POST", GENERATE, json={"model": V45, "size": LEAST, **STREAM}) as reply:
            with pytest.raises(httpx.RemoteProtocolError):
                await collect(reply, received)
        endless, broken, plain = [await generate(http, **STREAM) for _ in range(3)]
        books = await request_log(http)

    assert b"".join(received).count(b"\n\n") == 1
    assert "completed" not in endless.text
    assert events(broken.text)[-1]["error"]["code"] == "InternalServiceError"
    assert len(plain.json()["data"]) == 3
    assert books["bills"]["images"] == 12


@pytest.mark.anyio
async def test_a_parameter_error_answers_a_stream_request_with_plain_json() -> None:
    async with client() as http:
        reply = await generate(http, **STREAM, output_format="png")

    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "output_format")


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("row", api_errors(), ids=lambda row: row.name)
async def test_every_row_of_the_error_table_can_be_scripted_by_name(row: ApiErrorRow) -> None:
    async with client(script=[row.name]) as http:
        reply = await generate(http)
        after = await generate(http)

        books = await request_log(http)

    assert (reply.status_code, reply.json()["error"]["code"]) == (row.status, row.code)
    assert books["bills"]["images"] == 1
    assert "{" not in reply.json()["error"]["message"]
    assert after.status_code == 200


@pytest.mark.anyio
async def test_a_dropped_connection_is_billed_unless_the_script_says_otherwise() -> None:
    async with client() as http:
        await http.post("/_emulator/script", json=["drop-before-answer", "drop-before-answer false", "drop-mid-answer"])
        for _ in range(3):
            with pytest.raises(httpx.RemoteProtocolError):
                await generate(http)
        books = await request_log(http)

    assert (books["posts"], books["bills"]["images"], books["bills"]["amount"]) == (3, 2, "0.50")
    assert [request["outcome"] for request in books["requests"]] == ["dropped", "dropped", "cut"]


@pytest.mark.anyio
async def test_a_hanging_call_runs_into_the_callers_timeout_and_is_billed() -> None:
    async with client(script=["hang"]) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(GENERATE, json={"model": V45, "prompt": "x", "size": LEAST}, timeout=0.05)
        books = await request_log(http)

    assert books["bills"]["images"] == 1


@pytest.mark.anyio
async def test_latency_is_waited_with_the_sleep_that_was_handed_in() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with client(script=["latency 12.5"], sleep=sleep) as http:
        assert (await generate(http)).status_code == 200

    assert waited == [12.5]


@pytest.mark.anyio
async def test_envelopes_can_be_unwrapped_nested_on_200_empty_or_html() -> None:
    script = ["unwrapped", {"name": "nested", "error": "rate-ipm"}, "error-200", "empty-data", "html-200", "html-502"]
    async with client(script=script) as http:
        unwrapped, nested, on_200, empty, html, bad_gateway = [await generate(http) for _ in script]

    assert unwrapped.json()["code"] == "InvalidParameter"
    assert json.loads(nested.json()["message"])["error"]["code"] == "ModelAccountIpmRateLimitExceeded"
    assert (on_200.status_code, list(on_200.json())) == (200, ["error"])
    assert (empty.json()["data"], empty.json()["usage"]["generated_images"]) == ([], 0)
    assert (html.status_code, html.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert bad_gateway.status_code == 502


@pytest.mark.anyio
async def test_one_post_can_have_several_faults_and_a_script_can_say_always() -> None:
    async with client() as http:
        await http.post(
            "/_emulator/script", json={"script": [None, ["rate-ipm", "retry-after: 7"]], "always": "internal"}
        )
        replies = [await generate(http) for _ in range(4)]

    assert [reply.status_code for reply in replies] == [200, 429, 500, 500]
    assert [reply.headers.get("retry-after") for reply in replies] == [None, "7", None, None]


@pytest.mark.anyio
async def test_a_url_timeout_names_the_url() -> None:
    async with client(script=["url-timeout"]) as http:
        reply = await generate(http, image="https://slow.example/x.png")
        books = await request_log(http)

    assert books["bills"]["images"] == 0
    assert reply.json()["error"]["message"].startswith("Timeout while downloading url=https://slow.example/x.png. Req")


@pytest.mark.anyio
async def test_a_gzip_answer_is_packed_only_for_callers_who_take_it() -> None:
    async with client(script=["gzip", "gzip"]) as http:
        packed = await generate(http)
        plain = await http.post(GENERATE, json={}, headers={"accept-encoding": "identity"})

    assert (packed.headers["content-encoding"], packed.json()["model"]) == ("gzip", V45)
    assert "content-encoding" not in plain.headers


@pytest.mark.anyio
@pytest.mark.parametrize("damage", ["junk-picture", "truncated-picture", "truncated-base64"])
async def test_damaged_inline_pictures_do_not_decode(damage: str) -> None:
    async with client(script=[damage]) as http:
        text = (await generate(http, response_format="b64_json")).json()["data"][0]["b64_json"]

    with pytest.raises((OSError, ValueError)):
        opened(base64.b64decode(text, validate=True))


@pytest.mark.slow
@pytest.mark.anyio
async def test_pictures_can_have_another_size_format_or_far_too_many_pixels() -> None:
    async with client(script=["wrong-size 512x512", "wrong-format", "pixel-bomb"]) as http:
        entries = [(await generate(http)).json()["data"][0] for _ in range(3)]
        contents = [(await http.get(entry["url"])).content for entry in entries]

    assert (entries[0]["size"], opened(contents[0]).size) == (LEAST, (512, 512))
    assert opened(contents[1]).format == "PNG"
    assert contents[2][16:24] == (30_000).to_bytes(4) * 2
    assert len(contents[2]) < 1_000_000


@pytest.mark.anyio
async def test_a_download_can_be_missing_or_cut() -> None:
    async with client(script=["download-404", "download-cut"]) as http:
        missing, cut = [(await generate(http)).json()["data"][0]["url"] for _ in range(2)]
        assert (await http.get(missing)).status_code == 404
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(cut)


@pytest.mark.anyio
async def test_a_fault_nobody_knows_is_refused_with_the_list() -> None:
    with pytest.raises(InvalidRequest, match="rate-ipm"):
        emulator(script=["no-such-fault"])
    with pytest.raises(InvalidRequest, match="seconds"):
        emulator(script=[{"name": "latency", "minutes": 1}])
    async with client() as http:
        reply = await http.post("/_emulator/script", json=["no-such-fault"])

    assert (reply.status_code, "no-such-fault" in reply.json()["error"]) == (400, True)


@pytest.mark.anyio
async def test_a_result_url_needs_its_whole_query_and_lives_a_day() -> None:
    clock = Hand()
    async with client(clock=clock) as http:
        url = (await generate(http)).json()["data"][0]["url"]
        statuses = [(await http.get(target)).status_code for target in (url, url.rpartition("&")[0], url.split("?")[0])]
        await http.post("/_emulator/clock", json={"advance": 86_399})
        last = (await http.get(url)).status_code
        clock.now += 1
        late = (await http.get(url)).status_code

    assert statuses == [200, 403, 403]
    assert (last, late) == (200, 403)


@pytest.mark.anyio
async def test_the_sliding_minute_answers_429_and_frees_itself() -> None:
    clock = Hand()
    async with client(clock=clock, ipm=2) as http:
        first = [(await generate(http)).status_code for _ in range(3)]
        other = (await generate(http, model=V40)).status_code
        clock.now += 60
        later = await generate(http)

    assert first == [200, 200, 429]
    assert (other, later.status_code) == (200, 200)
    assert "retry-after" not in later.headers


@pytest.mark.anyio
async def test_layer_mode_reserves_seventeen_images() -> None:
    async with client(ipm=20) as http:
        body = {"model": FLASH, "image": picture((800, 800)), "layer_decomposition": True, "size": "1K"}
        statuses = [(await generate(http, **body)).status_code for _ in range(2)]

    assert statuses == [200, 429]


@pytest.mark.anyio
async def test_many_calls_at_once_are_all_answered_and_all_in_the_books() -> None:
    async with client(ipm=10_000) as http:
        replies = await asyncio.gather(*(generate(http) for _ in range(100)))
        books = await request_log(http)

    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.headers["x-request-id"] for reply in replies}) == 100
    assert (books["posts"], books["bills"]["images"], books["bills"]["amount"]) == (100, 100, "25.00")


@pytest.mark.anyio
async def test_reset_clears_books_script_and_results() -> None:
    async with client(always="internal") as http:
        await generate(http)
        await http.post("/_emulator/reset")
        assert (await request_log(http))["posts"] == 0
        assert (await generate(http)).status_code == 200


@asynccontextmanager
async def gateway(**options: object) -> AsyncIterator[httpx.AsyncClient]:
    async with client(profile="uniall", **options) as http:
        http.headers["authorization"] = "Bearer sk-test"
        yield http


@pytest.mark.anyio
@pytest.mark.parametrize(
    "images",
    [
        {"image": "https://a/1.png"},
        {"image_url": {"url": "https://a/1.png"}},
        {"image_urls": ["https://a/1.png", "https://a/2.png"]},
        {"images": [{"image_url": "https://a/1.png"}, "https://a/2.png"]},
    ],
    ids=lambda body: next(iter(body)),
)
async def test_the_gateway_edits_with_any_of_its_four_image_fields(images: dict[str, Any]) -> None:
    async with gateway() as http:
        body = {"model": "seedream-4.5", "prompt": "x", "num_images": 2, "custom_size": {"width": 2560, "height": 1440}}
        reply = await http.post("/v1/images/edits", json={**body, **images})
        content = (await http.get(reply.json()["data"][1]["url"])).content

    assert sorted(reply.json()) == ["created", "data"]
    assert [list(entry) for entry in reply.json()["data"]] == [["url"], ["url"]]
    assert opened(content).size == (2560, 1440)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param({"n": 7}, "between 1 and 6", id="too-many"),
        pytest.param({"n": 1, "num_images": 1}, "either n or num_images", id="both-counts"),
        pytest.param({"custom_size": {"width": 5504, "height": 3040}}, "at most 4096", id="side"),
        pytest.param({"custom_size": {"width": 100, "height": 100}}, "at least 3686400", id="area"),
        pytest.param({"image": picture()}, "invalid url specified", id="inline"),
        pytest.param({"image": ["https://a/1.png"] * 11}, "cannot exceed 10", id="references"),
        pytest.param({"image": ["https://a/1.png"] * 10, "n": 6}, "cannot exceed 15", id="together"),
    ],
)
async def test_the_gateway_refuses_in_an_assumed_shape(body: dict[str, Any], words: str) -> None:
    async with gateway() as http:
        reply = await http.post("/v1/images/generations", json={"model": "seedream-4.5", "prompt": "x", **body})

    assert reply.status_code == 400
    assert words in reply.json()["error"]["message"]
    assert reply.headers["x-emulated-assumed"] == "error-shape"


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with running(emulator(paint="instant", fetch="loopback")) as url:
        yield url


@pytest.mark.anyio
async def test_over_a_socket_a_picture_is_made_and_downloaded(base: str) -> None:
    async with httpx.AsyncClient(base_url=base) as http:
        reply = await generate(http)
        url = reply.json()["data"][0]["url"]
        content = (await http.get(url)).content

    assert url.startswith(base)
    assert reply.headers.get_list("server") == ["istio-envoy"]
    assert len(reply.headers.get_list("date")) == 1
    assert opened(content).size == (1920, 1920)


@pytest.mark.anyio
async def test_over_a_socket_connections_really_break(base: str) -> None:
    async with httpx.AsyncClient(base_url=base) as http:
        await http.post(
            "/_emulator/script", json=["drop-before-answer", "drop-mid-answer", "cut-stream 1", "download-cut"]
        )
        for body in ({}, {}, STREAM):
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await generate(http, **body)
        url = (await generate(http)).json()["data"][0]["url"]
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await http.get(url)
        assert (await generate(http)).status_code == 200


@pytest.mark.slow
@pytest.mark.anyio
async def test_over_a_socket_a_hang_lasts_until_the_caller_leaves(base: str) -> None:
    async with httpx.AsyncClient(base_url=base) as http:
        await http.post("/_emulator/script", json=["hang"])
        with pytest.raises(httpx.ReadTimeout):
            await http.post(GENERATE, json={"model": V45, "prompt": "x", "size": LEAST}, timeout=0.2)
        assert (await generate(http)).status_code == 200


@pytest.mark.slow
@pytest.mark.anyio
async def test_references_on_this_machine_are_fetched_and_judged(base: str) -> None:
    async with httpx.AsyncClient(base_url=base) as http:
        url = (await generate(http)).json()["data"][0]["url"]
        good = await generate(http, image=url)
        expired = await generate(http, image=url[:-1])

    assert good.status_code == 200
    assert expired.json()["error"]["message"].startswith("Timeout while downloading url=")


@pytest.mark.anyio
async def test_a_scripted_shape_wins_over_what_the_prompt_says():
    async with client(script=["preset-shape 3:2"]) as http:
        reply = await generate(http, size="2K", prompt="poster, 9:16")

    assert reply.json()["data"][0]["size"] == "2496x1664"


def test_whoever_passes_options_on_knows_all_of_them():
    assert set(Choices.__annotations__) == set(inspect.signature(emulator).parameters)
