"""The MCP server as hosts of both protocol eras meet it: an in-memory client, the product server, the emulator."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp.types as t
import pytest
from mcp import Client, MCPError
from PIL import Image

from seedframe.emulator import InProcess, transport
from seedframe.mcp_server.app import build_server
from seedframe.messages import Language
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

ERAS = {"auto": "2026-07-28", "legacy": "2025-11-25"}
ALLEY = "雨后的江南小巷，一位撑着油纸伞的少女走过青石板路，灯笼的暖光映在积水里，电影感竖幅画面。"
CHANGE = "把图1中的油纸伞换成红色的纸灯笼，保持人物、小巷和光线不变。"
OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def host(
    era: str, open_studio: OpenStudio, *, language: Language = "en", ask: Any = None, **options: Any
) -> AsyncIterator[Client]:
    """A host connected to the product server; `ask` answers its questions, other options are for the studio."""
    server = build_server(lambda: open_studio(**options), language)
    async with Client(server, mode=era, elicitation_callback=ask) as client:
        yield client


def words(result: t.CallToolResult) -> tuple[str, dict[str, Any]]:
    """The sentences for people and the JSON for machines of the one text block."""
    (text,) = [block.text for block in result.content if isinstance(block, t.TextContent)]
    described, _, machine = text.rpartition("\n")
    return described, json.loads(machine)


def refusal(result: t.CallToolResult) -> tuple[str, dict[str, Any]]:
    assert result.is_error is True
    assert [block.type for block in result.content] == ["text"]
    return words(result)


def previews(result: t.CallToolResult) -> list[Image.Image]:
    blocks = [block for block in result.content if isinstance(block, t.ImageContent)]
    assert {block.mime_type for block in blocks} <= {"image/jpeg"}
    return [Image.open(io.BytesIO(base64.b64decode(block.data))) for block in blocks]


def posts(service: InProcess) -> int:
    return int(service.app.state.request_log.posts)


class Gate:
    """The emulator's way to wait: it reports that a POST has arrived and answers when it is let through."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, _seconds: float) -> None:
        self.arrived.set()
        await self.open.wait()


async def test_each_era_gets_its_own_protocol(era: str, open_studio: OpenStudio):
    async with host(era, open_studio) as client:
        assert client.protocol_version == ERAS[era]
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.title) == ("seedframe", "Seedframe")
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names[:3] == ["generate_image", "edit_image", "style_prompt"]


async def test_the_instructions_carry_the_trigger_words_since_hosts_defer_tools(era: str, open_studio: OpenStudio):
    async with host(era, open_studio) as client:
        described = client.instructions or ""

    wanted = [
        "Seedream",
        "豆包",
        "generate_image",
        "画图",
        "文生图",
        "edit_image",
        "改图",
        "storyboard",
        "9:16",
        "preview",
    ]
    assert [word for word in wanted if word not in described] == []
    assert len(described.encode()) < 2_000


async def test_a_picture_comes_as_words_a_preview_and_a_link(
    era: str, open_studio: OpenStudio, service: InProcess, tmp_path: Path
):
    async with host(era, open_studio) as client:
        result = await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16", "save_as": "film/alley"})

    described, facts = words(result)
    path = tmp_path / "pictures" / "film" / "alley.jpg"
    (picture,) = facts["pictures"]
    assert [block.type for block in result.content] == ["text", "image", "resource_link"]
    assert (result.is_error, result.structured_content) == (False, None)
    assert described.splitlines() == [
        "Made 1 picture(s) with Seedream 5.0-lite, 0.22 CNY. (emulated: nothing was charged)",
        f"full-size file: {path} (1440x2560, the service's own bytes)",
    ]
    assert picture == {
        "id": f"seedframe:{facts['id']}-1",
        "path": str(path),
        "width": 1440,
        "height": 2560,
        "mime": "image/jpeg",
        "bytes": path.stat().st_size,
        "sha256": picture["sha256"],
        "method": "bytes",
        "crop": "untouched",
        "ratio": "9:16",
        "trust": {"eligible": False, "reason": "backend", "expires_at": None},
    }
    assert {name: facts[name] for name in ("status", "tool", "model", "backend", "prompt", "emulated", "cost")} == {
        "status": "done",
        "tool": "generate_image",
        "model": "5.0-lite",
        "backend": "emulator",
        "prompt": ALLEY,
        "emulated": True,
        "cost": {"amount": "0.22", "currency": "CNY", "pictures": 1, "listed": "2026-11-20"},
    }
    assert posts(service) == 1


async def test_the_preview_is_small_and_the_link_is_for_the_user_only(
    era: str, open_studio: OpenStudio, tmp_path: Path
):
    async with host(era, open_studio) as client:
        result = await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16", "save_as": "alley"})

    (preview,) = previews(result)
    (image,) = [block for block in result.content if isinstance(block, t.ImageContent)]
    (link,) = [block for block in result.content if isinstance(block, t.ResourceLink)]
    path = tmp_path / "pictures" / "alley.jpg"
    assert (preview.format, preview.size) == ("JPEG", (360, 640))
    assert len(base64.b64decode(image.data)) <= 100_000
    assert link.model_dump(mode="json", by_alias=True, exclude_none=True) == {
        "type": "resource_link",
        "name": "alley.jpg",
        "uri": path.as_uri(),
        "mimeType": "image/jpeg",
        "size": path.stat().st_size,
        "annotations": {"audience": ["user"]},
    }


@pytest.mark.parametrize(("wanted", "long_sides"), [("none", []), ("small", [640]), ("large", [1568])])
async def test_the_caller_chooses_the_preview(wanted: str, long_sides: list[int], era: str, open_studio: OpenStudio):
    async with host(era, open_studio) as client:
        result = await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16", "preview": wanted})

    assert [max(preview.size) for preview in previews(result)] == long_sides


async def test_an_edit_takes_an_earlier_result_by_its_id_and_by_its_path(
    era: str, open_studio: OpenStudio, service: InProcess
):
    async with host(era, open_studio) as client:
        _, first = words(await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16"}))
        (made,) = first["pictures"]
        result = await client.call_tool(
            "edit_image", {"prompt": CHANGE, "ratio": "9:16", "images": [made["id"], made["path"]]}
        )

    described, facts = words(result)
    sent = service.app.state.request_log.entries[-1].body["image"]
    assert (result.is_error, facts["tool"], facts["status"]) == (False, "edit_image", "done")
    assert facts["references"] == [made["id"], made["path"]]
    assert [image.startswith("data:image/jpeg;base64,") for image in sent] == [True, True]
    assert "base64" not in described + json.dumps(facts)
    assert len(json.dumps(facts)) < 4_000


@pytest.mark.slow
async def test_many_pictures_share_one_contact_strip_within_the_hosts_budget(era: str, open_studio: OpenStudio):
    async with host(era, open_studio) as client:
        result = await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16", "count": 6})

    kinds = [block.type for block in result.content]
    assert kinds == ["text", "image", *["resource_link"] * 6]
    assert len(result.model_dump_json()) < 1_000_000
    assert len(words(result)[1]["pictures"]) == 6


async def test_a_set_that_came_short_says_which_picture_is_missing_and_why(era: str, open_studio: OpenStudio):
    service = transport(paint="instant", script=["slot-error: 1"])
    arguments = {"prompt": "一组三张：春、夏、秋的同一条小巷，水彩风格，光线柔和。", "count": 3, "related": True}
    async with host(era, open_studio, transport=service) as client:
        result = await client.call_tool("generate_image", {**arguments, "ratio": "9:16", "as_is": True, "force": True})

    described, facts = words(result)
    assert (result.is_error, facts["status"], len(facts["pictures"])) == (False, "partial", 2)
    assert [(missing["index"], missing["billed"]) for missing in facts["missing"]] == [(1, "no")]
    assert "missing picture 2" in described
    assert facts["cost"]["pictures"] == 2


@pytest.mark.parametrize(
    ("tool", "arguments", "field", "says"),
    [
        ("generate_image", {"prompt": ALLEY, "model": "4.5", "output_format": "png"}, "output_format", "5.0-lite"),
        ("generate_image", {"prompt": ALLEY, "ratio": "20:1"}, "ratio", "16:1"),
        ("generate_image", {"prompt": ALLEY, "aspect_ratio": "9:16"}, "aspect_ratio", "Did you mean ratio?"),
        ("generate_image", {"prompt": ALLEY, "count": "many"}, "count", "a whole number"),
        ("generate_image", {"prompt": ALLEY, "save_as": "../../etc/cron"}, "save_as", "plain name"),
        ("generate_image", {}, "prompt", "prompt or a brief"),
        ("edit_image", {"prompt": CHANGE}, "images", "images"),
        ("edit_image", {"prompt": CHANGE, "images": ["/etc/passwd"]}, "images", "SEEDFRAME_INPUT_ROOTS"),
        ("edit_image", {"prompt": CHANGE, "images": ["a.png"] * 15}, "images", "at most 14"),
        ("style_prompt", {"prompt": ALLEY, "references": "two"}, "references", "a whole number"),
        ("style_prompt", {"prompt": ALLEY, "negative_prompt": ["blur"]}, "negative_prompt", "text"),
        ("style_prompt", {"promt": ALLEY}, "promt", "Did you mean prompt?"),
        ("generate_image", {"prompt": "half a pair \ud83d"}, "prompt", "UTF-8"),
    ],
)
async def test_a_mistake_comes_back_as_advice_before_anything_is_sent(
    tool: str, arguments: dict[str, Any], field: str, says: str, open_studio: OpenStudio, service: InProcess
):
    async with host("auto", open_studio) as client:
        described, facts = refusal(await client.call_tool(tool, arguments))

    assert described.startswith("Seedream generation failed: ") is (tool != "style_prompt")
    assert says in described
    assert (facts["error"], facts["field"]) == ("InvalidRequest", field)
    assert posts(service) == 0


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        ("model-not-open", "ModelNotOpen", "has not activated the model"),
        ("output-image-sensitive", "OutputImageSensitiveContentDetected", "sensitive"),
        ("account-overdue", "AccountOverdueError", "overdue"),
    ],
)
async def test_a_refusal_of_the_service_comes_back_with_its_code_and_advice(
    fault: str, code: str, says: str, era: str, open_studio: OpenStudio
):
    service = transport(paint="instant", script=[fault])
    async with host(era, open_studio, transport=service) as client:
        described, facts = refusal(await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16"}))

    assert says in described
    assert (facts["error"], facts["code"], facts["billed"]) == ("ApiError", code, "no")


async def test_a_lost_answer_is_said_plainly_and_never_repeated_by_itself(era: str, open_studio: OpenStudio):
    service = transport(paint="instant", always="drop-before-answer")
    arguments = {"prompt": ALLEY, "ratio": "9:16"}
    async with host(era, open_studio, transport=service) as client:
        described, facts = refusal(await client.call_tool("generate_image", arguments))
        again, refused = refusal(await client.call_tool("generate_image", arguments))

    assert facts["error"] == "OutcomeUnknown"
    assert "It may have been billed" in described
    assert refused["error"] == "EarlierOutcomeUnknown"
    assert "fresh" in again
    assert posts(service) == 1


async def test_no_text_of_a_foreign_exception_leaves_the_server(era: str, caplog: pytest.LogCaptureFixture):
    @asynccontextmanager
    async def broken() -> AsyncIterator[Studio]:
        raise RuntimeError("ark-key-1234 at /home/somebody/secret.txt")
        yield

    async with Client(build_server(broken, "en"), mode=era) as client:
        result = await client.call_tool("generate_image", {"prompt": ALLEY})
        alive = await client.list_tools()

    (block,) = result.content
    assert isinstance(block, t.TextContent)
    assert result.is_error is True
    assert "secret" not in block.text
    assert "ark-key" not in block.text
    assert block.text.startswith("Internal error of Seedframe (reference ")
    assert block.text.split("reference ")[1][:8] in caplog.text
    assert len(alive.tools) >= 3


async def test_a_key_the_service_repeats_does_not_reach_the_model(era: str, open_studio: OpenStudio):
    key = "0123456789abcdef-ark-secret"
    arguments = {"prompt": f"{ALLEY} {key}", "ratio": "9:16", "dry_run": True}
    async with host(era, open_studio, SEEDFRAME_BACKEND="ark", ARK_API_KEY=key) as client:
        result = await client.call_tool("generate_image", arguments)

    assert key not in words(result)[1]["payload"]["prompt"]


async def test_an_unknown_tool_is_a_protocol_error(era: str, open_studio: OpenStudio):
    async with host(era, open_studio) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("paint_house", {})

    assert (caught.value.code, caught.value.message) == (-32602, "Unknown tool: paint_house")


async def test_nothing_is_opened_before_the_first_call_and_only_once(era: str, open_studio: OpenStudio):
    opened = 0

    def counting() -> AbstractAsyncContextManager[Studio]:
        nonlocal opened
        opened += 1
        return open_studio()

    async with Client(build_server(counting, "en"), mode=era) as client:
        await client.list_tools()
        await client.list_prompts()
        await client.list_resources()
        before = opened
        async with asyncio.TaskGroup() as calls:
            for _ in range(3):
                calls.create_task(client.call_tool("style_prompt", {"prompt": ALLEY}))

    assert (before, opened) == (0, 1)


async def test_a_dry_run_tells_price_and_payload_and_leaves_no_trace(
    era: str, open_studio: OpenStudio, service: InProcess, tmp_path: Path
):
    async with host(era, open_studio) as client:
        result = await client.call_tool(
            "generate_image", {"prompt": ALLEY, "ratio": "9:16", "count": 2, "dry_run": True}
        )

    described, facts = words(result)
    assert [block.type for block in result.content] == ["text"]
    assert described.splitlines() == [
        "Dry run: 1440x2560 would be asked for, at a cost of at most 0.44 CNY. Nothing was sent.",
        ALLEY,
    ]
    assert (facts["status"], facts["calls"]) == ("dry_run", 2)
    assert facts["payload"] == {
        "model": "doubao-seedream-5-0-260128",
        "prompt": ALLEY,
        "size": "1440x2560",
        "response_format": "url",
        "watermark": False,
    }
    assert (posts(service), (tmp_path / "pictures").exists()) == (0, False)


async def test_a_prompt_is_worded_and_checked_for_free(era: str, open_studio: OpenStudio, service: InProcess):
    async with host(era, open_studio) as client:
        described, facts = words(
            await client.call_tool("style_prompt", {"prompt": ALLEY, "references": "0", "count": "1"})
        )

    assert described == facts["prompt"] == ALLEY
    assert {name: facts[name] for name in ("model", "style", "findings", "needs_host", "size")} == {
        "model": "5.0-lite",
        "style": "natural-zh",
        "findings": [],
        "needs_host": [],
        "size": "2048x2048",
    }
    assert posts(service) == 0


async def test_words_in_another_language_are_sent_and_what_could_be_better_is_said(
    era: str, open_studio: OpenStudio, service: InProcess
):
    async with host(era, open_studio) as client:
        described, facts = words(await client.call_tool("generate_image", {"prompt": ALLEY, "model": "4.5"}))

    assert [finding["code"] for finding in facts["findings"] if finding["severity"] == "warning"] == ["LANG_45"]
    assert "this prompt is in Chinese" in described
    assert "style_prompt" in described
    assert posts(service) == 1


async def test_a_strict_house_refuses_them_before_anything_is_paid(
    era: str, open_studio: OpenStudio, service: InProcess
):
    async with host(era, open_studio, SEEDFRAME_STRICT_PROMPTS="1") as client:
        described, facts = refusal(await client.call_tool("generate_image", {"prompt": ALLEY, "model": "4.5"}))

    assert facts["error"] == "PromptRejected"
    assert "as_is" in described
    assert posts(service) == 0


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_server_speaks_the_users_language(language: Language, open_studio: OpenStudio):
    async with host("auto", open_studio, language=language, SEEDFRAME_LANG=language) as client:
        done, _ = words(await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16"}))
        wrong, _ = refusal(await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "20:1"}))

    assert ("共" in done or "张" in done) is (language == "zh")
    assert ("最接近" in wrong) is (language == "zh")


async def test_progress_only_rises_and_tells_what_was_saved(era: str, open_studio: OpenStudio):
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with host(era, open_studio) as client:
        result = await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16"}, progress_callback=hear)
        await client.list_tools()  # whatever was sent before this answer has arrived

    steps = [progress for progress, _, _ in heard]
    assert steps == sorted(set(steps))
    assert all(progress < 1 == total for progress, total, _ in heard)
    assert [message for _, _, message in heard] == [
        "working, 0 s",
        "request sent; the service draws, for at most 600 s",
        "picture 1 is ready; it is being downloaded, for at most 120 s",
        f"picture 1 saved: {words(result)[1]['pictures'][0]['path']}",
    ]


@pytest.mark.slow
async def test_a_long_call_gives_a_sign_of_life_every_ten_seconds(era: str, open_studio: OpenStudio):
    heard: list[str] = []

    async def hear(_progress: float, _total: float | None, message: str | None) -> None:
        heard.append(str(message))

    service = transport(paint="instant", script=[{"name": "latency", "seconds": 22}])
    async with host(era, open_studio, transport=service) as client:
        await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16"}, progress_callback=hear)

    assert [one for one in heard if one.startswith("working")] == ["working, 0 s", "working, 10 s", "working, 20 s"]


async def test_a_host_that_leaves_finds_its_paid_picture_when_it_comes_back(era: str, open_studio: OpenStudio):
    gate = Gate()
    service = transport(paint="instant", sleep=gate, script=["latency 9"])
    arguments = {"prompt": ALLEY, "ratio": "9:16"}
    async with host(era, open_studio, transport=service) as client:
        leaving = asyncio.create_task(client.call_tool("generate_image", arguments))
        await asyncio.wait_for(gate.arrived.wait(), 10)
        leaving.cancel()
        await asyncio.wait([leaving])
        gate.open.set()
        result = await client.call_tool("generate_image", arguments)

    described, facts = words(result)
    assert leaving.cancelled()
    assert facts["status"] == "done"
    assert facts.get("joined") or facts.get("replayed")
    assert "(shared with an identical call" in described or "(replayed" in described
    assert (posts(service), len(previews(result))) == (1, 1)


async def test_two_hosts_asking_the_same_at_once_pay_once(era: str, open_studio: OpenStudio):
    gate = Gate()
    service = transport(paint="instant", sleep=gate, script=["latency 9"])
    arguments = {"prompt": ALLEY, "ratio": "9:16"}
    async with host(era, open_studio, transport=service) as one, host(era, open_studio, transport=service) as two:
        first = asyncio.create_task(one.call_tool("generate_image", arguments))
        await asyncio.wait_for(gate.arrived.wait(), 10)
        second = asyncio.create_task(two.call_tool("generate_image", arguments))
        gate.open.set()
        paths = [words(result)[1]["pictures"][0]["path"] for result in await asyncio.gather(first, second)]

    assert paths[0] == paths[1]
    assert posts(service) == 1


def answering(action: str, pay: bool | None, heard: list[str]) -> Any:
    async def answer(_context: Any, params: t.ElicitRequestParams) -> t.ElicitResult:
        heard.append(params.message)
        return t.ElicitResult(action=action, content=None if pay is None else {"pay": pay})

    return answer


async def test_above_the_users_limit_the_host_is_asked_before_a_coin_is_spent(
    era: str, open_studio: OpenStudio, service: InProcess
):
    heard: list[str] = []
    ask = answering("accept", True, heard)
    async with host(era, open_studio, ask=ask, SEEDFRAME_CONFIRM_ABOVE="0.10 CNY") as client:
        result = await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16"})

    assert heard == ["This will cost 0.22 CNY. Go ahead?"]
    assert (result.is_error, posts(service)) == (False, 1)


@pytest.mark.parametrize(
    ("action", "pay"),
    [("accept", False), ("decline", None), ("cancel", True), ("accept", None)],
    ids=["no", "declined", "cancelled with a tick", "empty form"],
)
async def test_whatever_is_not_a_yes_spends_nothing(
    action: str, pay: bool | None, era: str, open_studio: OpenStudio, service: InProcess
):
    heard: list[str] = []
    ask = answering(action, pay, heard)
    async with host(era, open_studio, ask=ask, SEEDFRAME_CONFIRM_ABOVE="0.10 CNY") as client:
        described, facts = refusal(await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16"}))

    assert len(heard) == 1
    assert facts["error"] == "ConfirmationNeeded"
    assert "confirm_cost: true" in described
    assert posts(service) == 0


async def test_a_host_that_says_it_can_ask_and_cannot_is_told_how_to_go_on_too(
    open_studio: OpenStudio, service: InProcess
):
    async def fail(_context: Any, _params: t.ElicitRequestParams) -> t.ErrorData:
        return t.ErrorData(code=-32600, message="no window to ask in")

    async with host("legacy", open_studio, ask=fail, SEEDFRAME_CONFIRM_ABOVE="0.10 CNY") as client:
        described, facts = refusal(await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16"}))

    assert (facts["error"], posts(service)) == ("ConfirmationNeeded", 0)
    assert "confirm_cost: true" in described


async def test_a_host_that_cannot_ask_is_told_how_to_go_on(era: str, open_studio: OpenStudio, service: InProcess):
    arguments = {"prompt": ALLEY, "ratio": "9:16"}
    async with host(era, open_studio, SEEDFRAME_CONFIRM_ABOVE="0.10 CNY") as client:
        described, facts = refusal(await client.call_tool("generate_image", arguments))
        before = posts(service)
        result = await client.call_tool("generate_image", {**arguments, "confirm_cost": "true"})

    assert (facts["error"], facts["price"], before) == ("ConfirmationNeeded", "0.22 CNY", 0)
    assert "Ask the user" in described
    assert (result.is_error, posts(service)) == (False, 1)


async def test_the_budget_of_a_day_stops_the_next_picture(era: str, open_studio: OpenStudio, service: InProcess):
    async with host(era, open_studio, SEEDFRAME_BUDGET="0.30 CNY") as client:
        await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16"})
        _, facts = refusal(await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "1:1"}))

    assert facts["error"] == "BudgetExceeded"
    assert posts(service) == 1


async def test_every_page_an_agent_may_need_can_be_read_as_it_is_on_disk(era: str, open_studio: OpenStudio):
    root = Path(__file__).parents[2]
    async with host(era, open_studio) as client:
        everything = (await client.list_resources()).resources
        listed = [resource for resource in everything if "gallery" not in resource.name]
        read = {resource.uri: (await client.read_resource(resource.uri)).contents[0] for resource in listed}
        templates = (await client.list_resource_templates()).resource_templates

    on_disk = {
        f"seedframe://{object_store}/{path.stem}": path.read_text(encoding="utf-8")
        for object_store in ("references", "prompts", "prompts/rules")
        for path in (root / object_store).glob("*.md")
    }
    assert {str(uri): content.text for uri, content in read.items()} == on_disk
    assert {resource.size for resource in listed} == {len(text.encode()) for text in on_disk.values()}
    assert [template.uri_template for template in templates] == [
        "seedframe://references/{page}",
        "seedframe://prompts/{page}",
        "seedframe://gallery/{id}",
        "seedframe://images/{id}",
    ]


@pytest.mark.parametrize(
    "uri", ["seedframe://references/none", "seedframe://references/../README", "file:///etc/passwd"]
)
async def test_a_page_that_is_not_there_is_a_protocol_error(uri: str, era: str, open_studio: OpenStudio):
    async with host(era, open_studio) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)

    assert (caught.value.code, caught.value.data) == (-32602, {"uri": uri})


async def test_every_prompt_can_be_filled(era: str, open_studio: OpenStudio):
    async with host(era, open_studio) as client:
        listed = (await client.list_prompts()).prompts
        for prompt in listed:
            given = {argument.name: f"<{argument.name}>" for argument in prompt.arguments or ()}
            filled = await client.get_prompt(prompt.name, given)
            (message,) = filled.messages
            assert isinstance(message.content, t.TextContent)
            assert message.role == "user"
            assert [value for value in given.values() if value not in message.content.text] == []
            assert filled.description == prompt.description

    assert len(listed) == len(list((Path(__file__).parents[2] / "prompts").glob("*.md")))


async def test_a_prompt_without_what_it_needs_is_a_protocol_error(era: str, open_studio: OpenStudio):
    async with host(era, open_studio) as client:
        with pytest.raises(MCPError) as missing:
            await client.get_prompt("style_v5_zh", {})
        with pytest.raises(MCPError) as unknown:
            await client.get_prompt("no_such_prompt", {})

    assert (missing.value.code, missing.value.message) == (-32602, "Missing required argument: text")
    assert (unknown.value.code, unknown.value.message) == (-32602, "Unknown prompt: no_such_prompt")


@pytest.mark.parametrize(
    ("argument", "begun", "completed"),
    [
        ("model", "4", ["4.5", "4.0"]),
        ("ratio", "9:1", ["9:16"]),
        ("text", "a", []),
    ],
)
async def test_arguments_of_prompts_complete_from_the_data(
    argument: str, begun: str, completed: list[str], era: str, open_studio: OpenStudio
):
    reference = t.PromptReference(type="ref/prompt", name="brief_from_text")
    async with host(era, open_studio) as client:
        found = await client.complete(reference, {"name": argument, "value": begun})

    assert found.completion.values == completed


@pytest.mark.slow
async def test_a_call_cut_short_by_the_hosts_patience_leaves_the_server_answering(era: str, open_studio: OpenStudio):
    gate = Gate()
    service = transport(paint="instant", sleep=gate, always="latency 9")
    async with host(era, open_studio, transport=service) as client:
        with anyio.move_on_after(0.2) as patience:
            await client.call_tool("generate_image", {"prompt": ALLEY, "ratio": "9:16"})
        described, _ = words(await client.call_tool("style_prompt", {"prompt": ALLEY}))
        gate.open.set()

    assert (patience.cancelled_caught, described) == (True, ALLEY)
