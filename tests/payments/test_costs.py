"""What a picture costs is said before, asked where a person wants to be asked, and written down without any secret."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from click.testing import CliRunner, Result
from mcp import Client
from PIL import Image

from canned import Answer, Canned
from conftest import OpenStudio
from seedframe.catalog import Price
from seedframe.cli import program
from seedframe.emulator import InProcess, scripted, transport
from seedframe.errors import ConfirmationNeeded, SeedreamError
from seedframe.mcp_server.app import build_server
from seedframe.messages import Message
from seedframe.payments import Payments
from seedframe.redaction import Redacting
from seedframe.settings import Settings
from seedframe.studio import render
from seedframe.studio.pipeline import Studio
from seedframe.studio.types import Result as Made

CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}
KEY = "ark-key-7f3a9c51d2e84b60"


async def made(studio: Studio, tool: str = "generate_image", **arguments: Any) -> dict[str, Any]:
    async with studio.make(tool, arguments) as result:
        return result.as_dict()


@pytest.mark.anyio
async def test_a_dry_run_tells_prompt_size_price_and_the_exact_body_and_sends_nothing(
    open_studio: OpenStudio, service: InProcess
) -> None:
    async with open_studio() as studio:
        facts = await made(studio, **CAT, count=3, dry_run=True)
        assert await studio.payments.entries() == ()
    prompt = facts["prompt"]
    assert facts["payload"] == {
        "model": "doubao-seedream-5-0-260128",
        "prompt": prompt,
        "size": "1920x1920",
        "response_format": "url",
        "watermark": False,
    }
    assert facts["cost"] == {"amount": "0.66", "currency": "CNY", "pictures": 3, "listed": "2026-11-20"}
    assert (facts["status"], facts["calls"], facts["frame"]["asked"]) == ("dry_run", 3, "1920x1920")
    assert CAT["prompt"].split("，")[0] in prompt
    assert (service.app.state.request_log.posts, list(studio.settings.output_dir.glob("*"))) == (0, [])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("arguments", "images", "cost"),
    [
        pytest.param({"model": "5.0-lite", "count": 4}, 0, "0.88", id="four pictures"),
        pytest.param({"model": "5.0-pro", "size": "1K"}, 0, "0.3", id="small tier"),
        pytest.param({"model": "5.0-pro", "size": "2K"}, 0, "0.6", id="large tier"),
        pytest.param({"model": "5.0-pro", "size": "1K"}, 3, "0.34", id="input pictures after the first"),
        pytest.param({"model": "5.0-lite"}, 3, "0.22", id="input pictures free"),
    ],
)
async def test_a_price_knows_tiers_and_input_pictures(
    open_studio: OpenStudio, tmp_path: Path, arguments: dict[str, Any], images: int, cost: str
) -> None:
    path = tmp_path / "in.png"
    Image.new("RGB", (640, 640), "teal").save(path)
    carrier = transport(paint="instant", profile="ark")
    more = {"images": [str(path)] * images} if images else {}
    tool = "edit_image" if images else "generate_image"
    prompt = "把图1、图2和图3的猫放在一起" if images else CAT["prompt"]
    variables = {"SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": KEY}
    async with open_studio(transport=carrier, **variables) as studio:
        before = await made(studio, tool, prompt=prompt, **arguments, **more, dry_run=True)
        after = await made(studio, tool, prompt=prompt, **arguments, **more)
    assert (before["cost"]["amount"], after["cost"]["amount"]) == (cost, cost)
    assert carrier.app.state.request_log.amount == Decimal(cost)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("limit", "asks"),
    [("0.21", True), ("0.22", False), ("0.22 CNY", False), ("5 USD", True), ("0", True)],
)
async def test_above_the_limit_consent_is_needed_and_can_be_given(
    open_studio: OpenStudio, service: InProcess, limit: str, asks: bool
) -> None:
    async with open_studio(SEEDFRAME_CONFIRM_ABOVE=limit) as studio:
        if asks:
            with pytest.raises(ConfirmationNeeded) as refused:
                await made(studio, **CAT)
            assert "confirm_cost: true" in str(refused.value)
            assert (service.app.state.request_log.posts, await studio.payments.entries()) == (0, ())
        assert (await made(studio, **CAT, confirm_cost=asks))["status"] == "done"


@pytest.mark.anyio
async def test_a_price_nobody_publishes_needs_consent_too(open_studio: OpenStudio) -> None:
    gateway = {"SEEDFRAME_BACKEND": "uniall", "UNIALL_API_KEY": KEY, "UNIALL_API_BASE": "https://gateway.invalid"}
    carrier = transport(paint="instant", profile="uniall")
    async with open_studio(transport=carrier, SEEDFRAME_CONFIRM_ABOVE="9", **gateway) as studio:
        with pytest.raises(ConfirmationNeeded):
            await made(studio, **CAT)
        assert (await made(studio, **CAT, confirm_cost=True))["cost"]["amount"] is None


@pytest.mark.anyio
async def test_what_is_paid_already_is_handed_over_without_asking_again(open_studio: OpenStudio) -> None:
    async with open_studio(SEEDFRAME_CONFIRM_ABOVE="0.10") as studio:
        with pytest.raises(ZeroDivisionError):
            async with studio.make("generate_image", {**CAT, "confirm_cost": True}):
                raise ZeroDivisionError("the host is gone")
        assert (await made(studio, **CAT))["replayed"] is True
        with pytest.raises(ConfirmationNeeded):
            await made(studio, **CAT)


@asynccontextmanager
async def hosted(
    environ: dict[str, str], service: InProcess, answer: t.ElicitResult | None, mode: Any, asked: list[str]
) -> AsyncIterator[Client]:
    """An MCP host whose user answers questions about money like this; None: a host that cannot ask."""

    async def elicit(_context: Any, params: Any) -> t.ElicitResult:
        assert answer is not None
        asked.append(params.message)
        return answer

    settings = Settings.read({**environ, "SEEDFRAME_CONFIRM_ABOVE": "0.10"})
    server = build_server(lambda: Studio.open(settings, transport=service), "en")
    async with Client(server, mode=mode, elicitation_callback=elicit if answer else None) as host:
        yield host


def text(result: t.CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, t.TextContent))


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize(
    ("answer", "paid"),
    [
        pytest.param(t.ElicitResult(action="accept", content={"pay": True}), 1, id="yes"),
        pytest.param(t.ElicitResult(action="accept", content={"pay": False}), 0, id="no"),
        pytest.param(t.ElicitResult(action="decline"), 0, id="declined"),
        pytest.param(t.ElicitResult(action="cancel"), 0, id="headless"),
        pytest.param(None, 0, id="cannot ask"),
    ],
)
async def test_a_host_that_can_ask_asks_its_user_before_paying(
    environ: dict[str, str], service: InProcess, answer: t.ElicitResult | None, paid: int, mode: str
) -> None:
    asked: list[str] = []
    async with hosted(environ, service, answer, mode, asked) as host:
        result = await host.call_tool("generate_image", CAT)
    assert (service.app.state.request_log.posts, result.is_error) == (paid, not paid)
    assert len(asked) == (answer is not None)
    assert all("0.22 CNY" in question for question in asked)
    if not paid:
        assert json.loads(text(result).rpartition("\n")[2])["error"] == "ConfirmationNeeded"


async def unknown_entry(path: Path) -> str:
    """What a lost answer leaves in the journal."""
    async with await Payments.open(path) as journal:
        price = Price(Decimal("0.25"), "CNY")
        claim = await journal.claim("f" * 64, request={}, backend="ark", model="4.5", price=price, images=1)
        await journal.sent(claim.entry.id)
        await journal.unknown(claim.entry.id, {"kind": "OutcomeUnknown", "message": "gone"})
        return claim.entry.id


def command(settings: Settings, *words: str) -> Result:
    return CliRunner().invoke(program("en"), list(words), obj=settings)


@pytest.mark.slow
def test_the_books_list_explain_settle_and_sum_what_was_paid(environ: dict[str, str]) -> None:
    settings = Settings.read(environ)
    assert command(settings, "generate", CAT["prompt"], "--size", "2K", "--json").exit_code == 0
    lost = asyncio.run(unknown_entry(settings.journal))

    listed = json.loads(command(settings, "journal", "list", "--json").stdout)
    assert [(entry["state"], entry["model"], entry["backend"]) for entry in listed] == [
        ("unknown", "4.5", "ark"),
        ("delivered", "5.0-lite", "emulator"),
    ]
    sums = json.loads(command(settings, "costs", "--json").stdout)
    assert [{name: row[name] for name in ("backend", "model", "images", "unknown")} for row in sums] == [
        {"backend": "ark", "model": "4.5", "images": 1, "unknown": 1},
        {"backend": "emulator", "model": "5.0-lite", "images": 1, "unknown": 0},
    ]
    assert [(Decimal(row["booked"]), Decimal(row["reserved"])) for row in sums] == [
        (Decimal(0), Decimal("0.25")),
        (Decimal("0.22"), Decimal(0)),
    ]
    shown = command(settings, "journal", "show", lost)
    assert '"state": "unknown"' in shown.stdout
    settled = json.loads(command(settings, "journal", "settle", lost, "--not-billed", "--json").stdout)
    assert (settled["state"], Decimal(settled["reserved"]), Decimal(settled["booked"])) == ("failed", 0, 0)
    again = command(settings, "journal", "settle", lost, "--billed")
    assert (again.exit_code, "there is no open question about its money" in again.stderr) == (2, True)
    nobody = command(settings, "journal", "show", "nobody")
    assert (nobody.exit_code, "nobody" in nobody.stderr) == (2, True)
    assert [row["backend"] for row in json.loads(command(settings, "costs", "--json").stdout)] == ["emulator"]


def test_the_services_own_list_of_models_says_that_it_is_no_entitlement(environ: dict[str, str]) -> None:
    listed = command(Settings.read(environ), "models", "--remote")
    assert listed.exit_code == 0
    assert "doubao-seedream-5-0-260128" in listed.stdout.splitlines()
    assert listed.stdout.splitlines()[-1] == Message("cli.not-an-entitlement").text()


@pytest.mark.slow
def test_a_command_line_above_the_limit_leaves_with_its_own_code(environ: dict[str, str]) -> None:
    settings = Settings.read({**environ, "SEEDFRAME_CONFIRM_ABOVE": "0.10"})
    refused = command(settings, "generate", CAT["prompt"], "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["error"]) == (4, "ConfirmationNeeded")
    assert command(settings, "generate", CAT["prompt"], "--confirm-cost", "--json").exit_code == 0


@pytest.mark.anyio
async def test_a_sidecar_tells_the_whole_story_of_its_picture(open_studio: OpenStudio) -> None:
    carrier = transport(paint="instant", profile="ark")
    arguments = {"prompt": CAT["prompt"], "size": "2048x2048", "frame": "1152x2048", "seed": 7, "save_as": "cat"}
    async with open_studio(transport=carrier, SEEDFRAME_BACKEND="ark", ARK_API_KEY=KEY) as studio:
        facts = await made(studio, **arguments)
    picture = facts["pictures"][0]
    record = json.loads(Path(f"{picture['path']}.json").read_text(encoding="utf-8"))
    (bill,) = carrier.app.state.request_log.charges
    assert record["picture"] == picture
    assert (picture["width"], picture["height"], picture["received"]) == (1152, 2048, "2048x2048")
    assert len(picture["crop"]) == 4
    assert Path(picture["original"]).exists()
    assert record["size"] == {"asked": "2048x2048", "received": "2048x2048", "saved": "1152x2048"}
    assert record["request"] == {
        "model": "doubao-seedream-5-0-260128",
        "prompt": facts["prompt"],
        "size": "2048x2048",
        "response_format": "url",
        "watermark": False,
        "seed": 7,
    }
    assert record["request_ids"] == [bill.request_id]
    assert record["cost"] == {"amount": "0.22", "currency": "CNY", "pictures": 1, "listed": "2026-11-20"}
    assert {"seedframe", "created", "expires", "warnings", "findings", "tool", "emulated"} <= record.keys()
    assert [record[name] for name in ("id", "model", "model_id", "backend", "prompt", "seed", "warnings")] == [
        facts[name] for name in ("id", "model", "model_id", "backend", "prompt", "seed", "warnings")
    ]


def secrets_in(text: str) -> list[str]:
    """Keys, signatures and pictures as text."""
    return re.findall(rf"{KEY}|X-Tos-\w+=(?!\[)|Bearer [\w-]{{8,}}|[A-Za-z0-9+/]{{300,}}", text)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("how", ["url", "b64_json"])
async def test_neither_files_nor_journal_nor_log_nor_words_hold_a_secret(
    open_studio: OpenStudio, environ: dict[str, str], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    out = io.BytesIO()
    Image.effect_noise((640, 640), 90).convert("RGB").save(out, "JPEG")
    uri = "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
    script = scripted(None, "key-unknown", "drop-before-answer", "html-200", "junk-picture", "download-404", "internal")
    carrier = transport(paint="instant", profile="ark", script=script)
    variables = {"SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": KEY, "SEEDFRAME_RESPONSE_FORMAT": how}
    said: list[str] = []
    caplog.set_level(logging.DEBUG)
    caplog.handler.addFilter(Redacting([KEY]))
    async with open_studio(transport=carrier, **variables) as studio:
        for number in range(7):
            try:
                facts = await made(studio, "edit_image", prompt=f"把猫换成第{number}只狗", images=[uri])
                said += [render.sentence(Made.from_dict(facts), "en"), render.machine_text(facts)]
            except SeedreamError as error:
                said += [str(error), repr(error), render.machine_text(render.error_facts(error))]
        entries = await studio.payments.entries()
    files = [path for path in Path(environ["SEEDFRAME_OUTPUT_DIR"]).parent.rglob("*") if path.is_file()]
    record = Path(environ["SEEDFRAME_JOURNAL"]).name
    # The payment record alone keeps signed addresses, of pictures that are paid and not yet brought.
    texts = [
        re.sub(r"X-Tos-", "", text) if path.name.startswith(record) else text
        for path in files
        if path.suffix not in {".jpg", ".png"} and (text := path.read_bytes().decode("latin-1"))
    ]
    assert [len(entries), len(said) > 14, len(texts) > 1] == [7, True, True]
    assert [secrets_in(text) for text in (*texts, *said, caplog.text)] == [[]] * (len(texts) + len(said) + 1)
    # The same search finds them where they do travel.
    assert secrets_in(uri + f"Authorization: Bearer {KEY}") != []


@pytest.mark.anyio
async def test_a_key_that_a_gateway_repeats_in_its_error_is_blotted_out(open_studio: OpenStudio) -> None:
    service = Canned(Answer.says({"error": {"code": "AuthenticationError", "message": f"bad key {KEY}"}}, 401))
    async with open_studio(transport=service, SEEDFRAME_BACKEND="ark", ARK_API_KEY=KEY) as studio:
        with pytest.raises(SeedreamError) as caught:
            await made(studio, **CAT)
        entries = await studio.payments.entries()
    assert KEY not in str(caught.value) + json.dumps(caught.value.facts) + repr(entries)
    assert service.posts[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.anyio
async def test_a_key_that_slipped_into_the_words_is_neither_kept_nor_told(
    open_studio: OpenStudio, environ: dict[str, str]
) -> None:
    carrier = transport(paint="instant", profile="ark", scale=0.1)
    async with open_studio(transport=carrier, SEEDFRAME_BACKEND="ark", ARK_API_KEY=KEY) as studio:
        facts = await made(studio, prompt=f"一只猫坐在窗台上，午后阳光洒进房间 {KEY}", save_as="cat")
        entries = await studio.payments.entries()
    record = (Path(environ["SEEDFRAME_OUTPUT_DIR"]) / "cat.jpg.json").read_text(encoding="utf-8")
    assert secrets_in(render.machine_text(facts) + record + repr(entries)) == []
    assert "[redacted]" in facts["prompt"]
