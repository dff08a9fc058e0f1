"""Programs that speak Ark's or OpenAI's image API get pictures through the gateway: paid once, of the right shape."""

from __future__ import annotations

import asyncio
import base64
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from children import system
from gatewaying import served
from seedframe.emulator import InProcess, transport

pytestmark = pytest.mark.anyio

LITE = "doubao-seedream-5-0-260128"
FOUR_FIVE = "doubao-seedream-4-5-251128"
WORDS = "a cat, 4k, masterpiece"
"""Words the lint has much to say about."""


def picture(width: int = 64, height: int = 64, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(out, kind)
    return out.getvalue()


def data_uri(content: bytes, head: str = "data:image/png;base64,") -> str:
    return head + base64.b64encode(content).decode()


def sent(service: InProcess) -> list[dict[str, Any]]:
    """The bodies the service got."""
    return [dict(entry.body) for entry in service.app.state.request_log.entries if entry.method == "POST"]


def posts(service: InProcess) -> int:
    return int(service.app.state.request_log.posts)


class Held(httpx.AsyncBaseTransport):
    """A service whose answers wait until they are let go; `reached` says that a POST has come."""

    def __init__(self, service: InProcess) -> None:
        self.service, self.reached, self.free = service, asyncio.Event(), asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.reached.set()
            await self.free.wait()
        return await self.service.handle_async_request(request)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "size"),
    [
        pytest.param({"size": "1024x1024"}, "1920x1920", id="an SDK's default, too small for the model"),
        pytest.param({"width": 720, "height": 1280}, "1440x2560", id="width and height, which Ark ignores"),
        pytest.param({"custom_size": {"width": 1280, "height": 720}}, "2560x1440", id="UniAll's custom_size"),
        pytest.param({"size": "1920*1080"}, "2560x1440", id="with an asterisk"),
        pytest.param({"aspect_ratio": "9:16"}, "1440x2560", id="a ratio, which Ark ignores"),
        pytest.param({"size": "2K", "aspect_ratio": "16:9"}, "2816x1584", id="a preset and a ratio"),
        pytest.param({"size": "1K"}, "2K", id="a preset of another model"),
        pytest.param({"size": "8K"}, "4K", id="a preset of no model"),
        pytest.param({"size": "1600x2848", "aspect_ratio": "1:1"}, "1600x2848", id="pixels win over a ratio"),
        pytest.param({"size": "auto"}, None, id="OpenAI's auto"),
        pytest.param({"aspect_ratio": "auto"}, None, id="a ratio left to the model"),
        pytest.param({}, None, id="nothing"),
    ],
)
async def test_the_shape_is_sent_as_the_service_reads_it(
    environ: dict[str, str], service: InProcess, asked: dict[str, Any], size: str | None
) -> None:
    async with served(environ, service) as door:
        answer = await door.ask({"model": LITE, "prompt": "x", **asked})

    assert answer.status_code == 200, answer.text
    assert sent(service)[0].get("size") == size


@pytest.mark.slow
async def test_a_prompt_leaves_as_it_came_unless_styling_is_asked_for(
    environ: dict[str, str], service: InProcess
) -> None:
    brief = {"subject": "一只橘猫"}
    async with served(environ, service) as door:
        plain = await door.ask({"model": LITE, "prompt": f" {WORDS}\n", "negative_prompt": "blur"})
        related = {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 3}}
        group = await door.ask({"model": LITE, "prompt": WORDS, **related})
        styled = await door.ask({"model": LITE, "prompt": "海边的灯塔", **related}, X_Seedframe_Style="1")
        briefed = await door.ask({"model": LITE, "prompt": "窗台上", "brief": brief})

    assert [answer.status_code for answer in (plain, group, styled, briefed)] == [200] * 4
    bodies = sent(service)
    assert [body["prompt"] for body in bodies[:2]] == [f" {WORDS}\n", WORDS]
    assert "negative_prompt" not in bodies[0]
    assert bodies[2]["prompt"].startswith("海边的灯塔。")
    assert "橘猫" in bodies[3]["prompt"]


@pytest.mark.slow
async def test_the_setting_styles_every_prompt(environ: dict[str, str], service: InProcess) -> None:
    related = {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 3}}
    async with served({**environ, "SEEDFRAME_GATEWAY_STYLE": "1"}, service) as door:
        await door.ask({"model": LITE, "prompt": "海边的灯塔", **related})

    assert sent(service)[0]["prompt"].startswith("海边的灯塔。")


@pytest.mark.slow
async def test_an_answer_has_exactly_arks_shape(environ: dict[str, str], service: InProcess) -> None:
    body = {"model": LITE, "prompt": "x", "size": "2048x2048"}
    async with served(environ, service) as door:
        through = await door.ask({**body, "image": None, "seed": None, "stream": None, "tools": None})
        async with httpx.AsyncClient(transport=service, base_url="http://emulator.invalid") as http:
            direct = (await http.post("/api/v3/images/generations", json=body)).json()

    told = through.json()
    assert {**told, "created": 0, "data": []} == {**direct, "created": 0, "data": []}
    assert [sorted(slot) for slot in told["data"]] == [["size", "url"]]
    assert told["data"][0]["url"].startswith("http://emulator.invalid/tos/"), "the service's own address"
    assert through.content.endswith(b"}\n")
    assert through.headers["x-request-id"].startswith("02")
    assert through.headers["x-seedframe-cost"] == "0.22 CNY"


@pytest.mark.slow
async def test_what_was_cut_is_served_by_the_gateway_under_an_address_only_its_caller_knows(
    environ: dict[str, str], service: InProcess
) -> None:
    async with served(environ, service) as door:
        answer = await door.ask({"model": LITE, "prompt": "x", "size": "1920x1920", "frame": "900x1600"})
        (slot,) = answer.json()["data"]
        got = await door.http.get(slot["url"])
        address = httpx.URL(slot["url"])
        parts = address.path.split("/")
        altered = ["/".join([*parts[:3], "0" * 64, *parts[4:]]), "/".join([*parts[:2], "9999999999", *parts[3:]])]
        refused = [
            (await door.http.get(door.base + path)).status_code for path in (*altered, "/files/", "/files/a/b/c/d")
        ]

    assert slot["size"] == "900x1600"
    assert slot["url"].startswith(door.base + "/files/")
    assert Image.open(io.BytesIO(got.content)).size == (900, 1600)
    assert got.headers["content-type"] == "image/jpeg"
    assert refused == [404] * 4
    assert environ["SEEDFRAME_OUTPUT_DIR"].encode() not in base64.urlsafe_b64decode(parts[4] + "==")


@pytest.mark.slow
async def test_n_pictures_are_n_pictures(environ: dict[str, str], service: InProcess) -> None:
    async with served(environ, service) as door:
        answer = await door.ask({"model": FOUR_FIVE, "prompt": "x", "n": 2, "response_format": "b64_json"})

    kinds = [base64.b64decode(slot["b64_json"])[:3] for slot in answer.json()["data"]]
    assert kinds == [b"\xff\xd8\xff"] * 2
    assert answer.json()["usage"]["generated_images"] == 2
    assert posts(service) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "field",
    [
        pytest.param({"image": data_uri(picture(), "data:image/PNG;base64,")}, id="capital letters"),
        pytest.param({"image": data_uri(picture(kind="JPEG"))}, id="a JPEG that is called PNG"),
        pytest.param({"image": [data_uri(picture())]}, id="a list"),
        pytest.param({"images": [{"image_url": {"url": data_uri(picture())}}]}, id="objects"),
        pytest.param({"image_urls": [{"url": data_uri(picture())}]}, id="UniAll's image_urls"),
        pytest.param({"reference_images": [data_uri(picture())]}, id="a name Ark drops"),
        pytest.param({"image": base64.b64encode(picture(kind="JPEG")).decode()}, id="bare base64"),
        pytest.param({"image": data_uri(picture(kind="BMP"), "data:application/octet-stream;base64,")}, id="a bitmap"),
    ],
)
async def test_references_arrive_in_every_usual_spelling(
    environ: dict[str, str], service: InProcess, field: dict[str, Any]
) -> None:
    async with served(environ, service) as door:
        answer = await door.ask({"model": LITE, "prompt": "换成夜晚", "size": "2K", **field})

    assert answer.status_code == 200, answer.text
    assert isinstance(sent(service)[0]["image"], str)
    assert not list(Path(environ["SEEDFRAME_OUTPUT_DIR"]).glob(".seedframe/gateway-*")), "nothing is left behind"


@pytest.mark.slow
async def test_a_form_with_files_is_an_edit(environ: dict[str, str], service: InProcess) -> None:
    files = [("image[]", (f"{name}.png", picture(), "image/png")) for name in "ab"]
    fields = {"model": LITE, "prompt": "图1坐在图2旁边", "size": "1024x1024", "n": "1", "response_format": "b64_json"}
    async with served(environ, service) as door:
        answer = await door.http.post(f"{door.base}/v1/images/edits", data=fields, files=files)
        masked = await door.http.post(
            f"{door.base}/v1/images/edits", data=fields, files=[*files, ("mask", ("m.png", picture(), "image/png"))]
        )

    assert answer.status_code == 200, answer.text
    assert len(sent(service)[0]["image"]) == 2
    assert (masked.status_code, masked.json()["error"]["param"]) == (400, "mask")


@pytest.mark.slow
async def test_a_picture_the_gateway_handed_out_is_taken_back_as_a_reference(
    environ: dict[str, str], service: InProcess
) -> None:
    async with served(environ, service, own_files=True) as door:
        first = await door.ask({"model": LITE, "prompt": "x"})
        url = first.json()["data"][0]["url"]
        second = await door.ask({"model": LITE, "prompt": "换成夜晚", "image": url})
        strange = await door.ask({"model": LITE, "prompt": "换成夜晚", "image": f"{door.base}/healthz"})

    assert second.status_code == 200, second.text
    assert strange.status_code == 400, "other addresses of this machine are not fetched"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "status", "code", "param", "says"),
    [
        (
            {"prompt": "x", "model": "gpt-image-2"},
            404,
            "InvalidEndpointOrModel.NotFound",
            "model",
            "SEEDFRAME_ENDPOINTS",
        ),
        ({"prompt": "x", "image": "/etc/passwd"}, 400, "InvalidParameter", "image", "Paths of this machine"),
        ({"prompt": "x", "image": "latest"}, 400, "InvalidParameter", "image", "Paths of this machine"),
        ({"prompt": "x", "image": "asset://abc"}, 400, "InvalidParameter", "image", "Seedance"),
        ({"prompt": "x", "image": 7}, 400, "InvalidParameter", "image", "data URI"),
        ({"prompt": "x", "image": "data:image/png;base64,@@"}, 400, "InvalidParameter", "image", "damaged"),
        ({"prompt": "x", "width": 100}, 400, "InvalidParameter", "width", "both"),
        ({"prompt": "x", "size": "banana"}, 400, "InvalidParameter", "size", "2K"),
        ({"prompt": "x", "n": 99}, 400, "InvalidParameter", "n", "at most"),
        ({"prompt": "x", "model": FOUR_FIVE, "output_format": "png"}, 400, "InvalidParameter", "output_format", "jpeg"),
        ({"prompt": ""}, 400, "InvalidParameter", "prompt", "prompt"),
    ],
)
async def test_a_refusal_names_the_field_in_arks_envelope(
    environ: dict[str, str],
    service: InProcess,
    body: dict[str, Any],
    status: int,
    code: str,
    param: str,
    says: str,
) -> None:
    async with served(environ, service) as door:
        answer = await door.ask(body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert says in error["message"]
    assert answer.headers["x-should-retry"] == "false"
    assert posts(service) == 0


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(environ: dict[str, str], service: InProcess, content: bytes) -> None:
    async with served(environ, service) as door:
        answer = await door.http.post(door.base + "/api/v3/images/generations", content=content)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidParameter")


@pytest.mark.slow
@pytest.mark.parametrize("option", [{"sequential_image_generation": "disabled"}, {"layer_decomposition": False}])
async def test_what_newer_models_refuse_to_hear_is_not_repeated_to_them(
    environ: dict[str, str], service: InProcess, option: dict[str, Any]
) -> None:
    async with served(environ, service) as door:
        answer = await door.ask({"model": "doubao-seedream-5-0-pro-260628", "prompt": "x", **option})

    assert answer.status_code == 200
    assert set(sent(service)[0]) == {"model", "prompt", "response_format", "watermark"}
    assert answer.json()["usage"]["input_images"] == 0


@pytest.mark.slow
async def test_a_stream_is_arks(environ: dict[str, str], service: InProcess) -> None:
    related = {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": 2}}
    async with served(environ, service) as door:
        answer = await door.ask({"model": LITE, "prompt": "两张图", "stream": True, "size": "2048x2048", **related})
        single = await door.ask({"model": "doubao-seedream-5-0-pro-260628", "prompt": "x", "stream": True})
        refused = await door.ask({"model": LITE, "prompt": "", "stream": True})

    names = [line for line in answer.text.splitlines() if line.startswith("event: ")]
    assert answer.headers["content-type"] == "text/event-stream"
    assert names == ["event: image_generation.partial_succeeded"] * 2 + ["event: image_generation.completed"]
    assert '"usage":{"generated_images":2,"output_tokens":32768,"total_tokens":32768}' in answer.text
    assert single.text.count("event: ") == 2, "a model that cannot stream is streamed from here"
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt")


@pytest.mark.slow
async def test_a_caller_who_leaves_and_asks_again_shares_the_call_it_began(
    environ: dict[str, str], service: InProcess
) -> None:
    held, body = Held(service), {"model": LITE, "prompt": "x"}
    async with served(environ, held) as door:
        impatient = asyncio.create_task(door.ask(body))
        await held.reached.wait()
        impatient.cancel()
        await asyncio.wait([impatient])
        again = asyncio.create_task(door.ask(body))
        held.free.set()
        answer = await again

    assert (answer.status_code, answer.headers["x-seedframe-replayed"]) == (200, "1")
    assert posts(service) == 1


@pytest.mark.slow
async def test_a_caller_who_left_before_the_end_finds_its_picture_later(
    environ: dict[str, str], service: InProcess
) -> None:
    held, body = Held(service), {"model": LITE, "prompt": "x"}
    async with served(environ, held) as door:
        impatient = asyncio.create_task(door.ask(body))
        await held.reached.wait()
        impatient.cancel()
        await asyncio.wait([impatient])
        held.free.set()
        while not list(Path(environ["SEEDFRAME_OUTPUT_DIR"]).glob("*.jpg.json")):
            await asyncio.to_thread(lambda: None)
        answer = await door.ask(body)
        got = await door.http.get(answer.json()["data"][0]["url"])

    assert (answer.status_code, answer.headers["x-seedframe-replayed"]) == (200, "1")
    assert got.content[:3] == b"\xff\xd8\xff"
    assert posts(service) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "calls"),
    [
        pytest.param({}, {}, 2, id="asking again asks for another picture"),
        pytest.param({"x-stainless-retry-count": "0"}, {"x-stainless-retry-count": "1"}, 1, id="an SDK's own retry"),
        pytest.param({"idempotency-key": "a"}, {"idempotency-key": "a"}, 1, id="the same key"),
        pytest.param({"idempotency-key": "a"}, {"idempotency-key": "b"}, 2, id="another key"),
    ],
)
async def test_a_repetition_that_says_so_is_not_paid_twice(
    environ: dict[str, str], service: InProcess, first: dict[str, str], second: dict[str, str], calls: int
) -> None:
    body = {"model": LITE, "prompt": "x"}
    async with served(environ, service) as door:
        answers = [await door.ask(body, **headers) for headers in (first, second)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert posts(service) == calls


@pytest.mark.slow
async def test_identical_requests_at_once_are_one_call(environ: dict[str, str], service: InProcess) -> None:
    async with served(environ, service) as door:
        answers = await asyncio.gather(*(door.ask({"model": LITE, "prompt": "x"}) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {200}
    assert posts(service) == 1


@pytest.mark.slow
async def test_sixty_four_callers_at_once_all_get_their_own_picture(environ: dict[str, str]) -> None:
    service = transport(paint="instant", scale=0.1, ipm=100_000)
    async with served({**environ, "SEEDFRAME_IPM": "100000"}, service) as door:
        answers = await asyncio.gather(*(door.ask({"model": LITE, "prompt": f"cat {n}"}) for n in range(64)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["x-seedframe-entry"] for answer in answers}) == 64
    assert posts(service) == 64


@pytest.mark.slow
async def test_the_budget_holds_for_all_callers(environ: dict[str, str], service: InProcess) -> None:
    async with served({**environ, "SEEDFRAME_BUDGET": "0.50 CNY"}, service) as door:
        answers = await asyncio.gather(*(door.ask({"model": LITE, "prompt": f"cat {n}"}) for n in range(4)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]
    assert posts(service) == 2


def ark(environ: dict[str, str], **variables: str) -> dict[str, str]:
    return {**environ, "SEEDFRAME_BACKEND": "ark", "ARK_API_BASE": "http://emulator.invalid", **variables}


@pytest.mark.slow
async def test_callers_bring_their_own_key_where_none_is_set(environ: dict[str, str]) -> None:
    service = transport(profile="ark", paint="instant", keys=["alice", "bob"])
    async with served(ark(environ), service) as door:
        body = {"model": LITE, "prompt": "x"}
        statuses = [
            (await door.ask(body, authorization=f"Bearer {key}")).status_code for key in ("alice", "bob", "eve")
        ]
        none = await door.http.post(door.base + "/api/v3/images/generations", json=body)

    assert statuses == [200, 200, 401]
    assert (none.status_code, none.json()["error"]["code"]) == (401, "AuthenticationError")
    assert posts(service) == 3, "each caller's account pays for its own picture"


@pytest.mark.slow
async def test_the_installations_key_serves_all_where_it_is_set(environ: dict[str, str]) -> None:
    service = transport(profile="ark", paint="instant", keys=["ours"])
    async with served(ark(environ, ARK_API_KEY="ours"), service) as door:
        answer = await door.ask({"model": LITE, "prompt": "x"}, authorization="Bearer anything")

    assert answer.status_code == 200, answer.text


@pytest.mark.slow
async def test_a_token_is_asked_for_where_one_is_set(environ: dict[str, str], service: InProcess) -> None:
    async with served({**environ, "SEEDFRAME_GATEWAY_TOKEN": "s3cret"}, service) as door:
        body = {"model": LITE, "prompt": "x"}
        statuses = [
            (await door.ask(body, authorization=f"Bearer {given}")).status_code
            for given in ("s3cret", "other", "s3cre")
        ]
        pages = [(await door.http.get(door.base + path)).status_code for path in ("/metrics", "/v1/models", "/healthz")]

    assert statuses == [200, 401, 401]
    assert pages == [401, 401, 200]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "host.docker.internal:8790"}, 200),
        ({"host": "pictures.lan"}, 200),
    ],
)
async def test_web_pages_and_rebound_names_are_refused(
    environ: dict[str, str], service: InProcess, headers: dict[str, str], status: int
) -> None:
    async with served({**environ, "SEEDFRAME_GATEWAY_HOSTS": "pictures.lan"}, service) as door:
        answer = await door.http.get(door.base + "/healthz", headers=headers)

    assert answer.status_code == status


@pytest.mark.slow
async def test_health_models_and_metrics_are_told(environ: dict[str, str], service: InProcess) -> None:
    async with served({**environ, "SEEDFRAME_ENDPOINTS": "ep-20260101000000-abcde=4.5"}, service) as door:
        await door.ask({"model": LITE, "prompt": "x"})
        await door.ask({"model": LITE, "prompt": ""})
        async with asyncio.timeout(10):  # a request ends once its delivery is recorded, after its answer was sent
            while (health := (await door.http.get(door.base + "/healthz")).json())["in_flight"]:
                pass
        models = (await door.http.get(door.base + "/api/v3/models")).json()
        metrics = (await door.http.get(door.base + "/metrics")).text

    assert health == {"status": "ok", "backend": "emulator", "in_flight": 0}
    assert {LITE, FOUR_FIVE, "ep-20260101000000-abcde"} <= {model["id"] for model in models["data"]}
    path = 'path="/api/v3/images/generations"'
    assert f'seedframe_gateway_requests_total{{code="",{path},status="200"}} 1\n' in metrics
    assert f'seedframe_gateway_requests_total{{code="InvalidParameter",{path},status="400"}} 1\n' in metrics
    assert 'seedframe_gateway_spent_total{currency="CNY"} 0.22\n' in metrics
    assert "seedframe_gateway_request_seconds_count 2\n" in metrics


@pytest.mark.slow
def test_the_command_serves_until_it_is_stopped(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "seedframe", "gateway", "--port", "0"]
    with subprocess.Popen(
        command, env={**system(), **environ, "PATH": ""}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        base = "http://" + process.stderr.readline().partition("http://")[2].partition("/")[0]
        answer = httpx.post(f"{base}/v1/images/generations", json={"prompt": "x"}, trust_env=False, timeout=30)
        process.terminate()
        assert process.wait(20) in {0, -15}

    assert answer.status_code == 200, answer.text
    assert answer.json()["data"][0]["url"].startswith(f"{base}/files/")


@pytest.mark.slow
def test_a_gateway_for_other_machines_needs_a_token(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "seedframe", "gateway", "--host", "0.0.0.0"]
    done = subprocess.run(command, env={**system(), **environ, "PATH": ""}, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "SEEDFRAME_GATEWAY_TOKEN" in done.stderr
