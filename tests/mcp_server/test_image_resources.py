"""What was made is there as resources: listed with a notice, read with a view, found by the beginning of its id."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import mcp.types as t
import pytest
from mcp import Client, MCPError
from mcp.types import ResourceListChangedNotification
from PIL import Image

from http_host import report, served
from seedframe.mcp_server.app import build_server
from seedframe.studio.pipeline import Studio
from stdio_host import ALLEY, machine

pytestmark = pytest.mark.anyio

OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]
CALL = {"prompt": ALLEY, "ratio": "9:16", "save_as": "alley"}
TEMPLATE = "seedframe://images/{id}"
OFFERED = ("references/{page}", "prompts/{page}", "gallery/{id}", "images/{id}")
LISTEN = {"notifications": {"resourcesListChanged": True}}


@asynccontextmanager
async def connected(open_studio: OpenStudio, **variables: str) -> AsyncIterator[Client]:
    async with Client(build_server(lambda: open_studio(**variables), "en", announces=True)) as client:
        yield client


async def made(client: Client, **more: str) -> str:
    """The address of a new picture."""
    _, facts = report(await client.call_tool("generate_image", {**CALL, **more}))
    return "seedframe://images/" + facts["pictures"][0]["id"].removeprefix("seedframe:")


async def pictures(client: Client) -> list[str]:
    listed = (await client.list_resources()).resources
    return [str(resource.uri) for resource in listed if str(resource.uri).startswith("seedframe://images/")]


async def test_a_picture_is_listed_once_made_newest_first(open_studio: OpenStudio):
    async with connected(open_studio) as client:
        before = await pictures(client)
        first, second = await made(client), await made(client, ratio="1:1")
        after = await pictures(client)

    assert (before, after) == ([], [second, first])


async def test_reading_it_gives_its_facts_and_a_view(open_studio: OpenStudio):
    async with connected(open_studio) as client:
        uri = await made(client)
        facts, view = (await client.read_resource(uri)).contents

    told = json.loads(facts.text)
    shown = Image.open(io.BytesIO(base64.b64decode(view.blob)))
    assert (told["name"], told["width"], told["height"], told["prompt"]) == ("alley.jpg", 1440, 2560, ALLEY)
    assert (view.mime_type, shown.size) == ("image/jpeg", (576, 1024))


async def test_a_model_that_takes_no_pictures_reads_the_facts_alone(open_studio: OpenStudio):
    async with connected(open_studio, SEEDFRAME_PREVIEW="none") as client:
        contents = (await client.read_resource(await made(client))).contents

    assert [content.mime_type for content in contents] == ["application/json"]


@pytest.mark.parametrize("id", ["", "nobody", "../../etc/passwd"])
async def test_an_id_that_was_not_given_out_leads_nowhere(id: str, open_studio: OpenStudio):
    async with connected(open_studio) as client:
        await made(client)
        with pytest.raises(MCPError) as caught:
            await client.read_resource(f"seedframe://images/{id}")

    assert caught.value.code == -32602


@pytest.mark.parametrize(
    ("template", "argument", "begun", "found"),
    [
        ("seedframe://references/{page}", "page", "mode", ["models"]),
        ("seedframe://prompts/{page}", "page", "style_v5", ["style_v5_zh"]),
        ("seedframe://references/{page}", "other", "", []),
        ("seedframe://nothing/{page}", "page", "", []),
        (TEMPLATE, "id", "nobody", []),
    ],
)
async def test_templates_complete(template: str, argument: str, begun: str, found: list[str], open_studio: OpenStudio):
    reference = t.ResourceTemplateReference(type="ref/resource", uri=template)
    async with connected(open_studio) as client:
        offered = {str(one.uri_template) for one in (await client.list_resource_templates()).resource_templates}
        completed = await client.complete(reference, {"name": argument, "value": begun})

    assert completed.completion.values == found
    assert offered == {f"seedframe://{place}" for place in OFFERED}


async def test_ids_complete_over_everything_in_the_folder(open_studio: OpenStudio):
    reference = t.ResourceTemplateReference(type="ref/resource", uri=TEMPLATE)
    async with connected(open_studio) as client:
        uri = await made(client)
    async with connected(open_studio) as client:
        listed = await pictures(client)
        completed = await client.complete(reference, {"name": "id", "value": uri.rpartition("/")[2][:3]})

    assert listed == [], "another connection made it"
    assert completed.completion.values == [uri.rpartition("/")[2]]


async def test_a_host_of_the_older_era_hears_that_the_list_has_changed(open_studio: OpenStudio):
    heard: list[Any] = []

    async def hear(message: Any) -> None:
        heard.append(message)

    server = build_server(open_studio, "en", announces=True)
    async with Client(server, mode="legacy", message_handler=hear) as client:
        await made(client)

    assert [type(message) for message in heard] == [ResourceListChangedNotification]


@pytest.mark.slow
def test_a_host_on_stdio_hears_of_a_change_and_sees_the_list_grow(era: str, environ: dict[str, str], started: Any):
    host = started(era, environ)
    can = host.greet()["result"]["capabilities"]["resources"]
    if era == "2026-07-28":
        host.send("subscriptions/listen", LISTEN)
    facts = machine(host.ask("tools/call", {"name": "generate_image", "arguments": CALL}))
    changed = {"notifications/resources/list_changed"}
    while not changed & {note.get("method") for note in host.notes}:
        host.notes.append(host.hear())
    listed = [resource["uri"] for resource in host.ask("resources/list")["result"]["resources"]]
    code, _, _ = host.leave()

    assert can["listChanged"] is True
    assert listed[-1] == "seedframe://images/" + facts["pictures"][0]["id"].removeprefix("seedframe:")
    assert code == 0


@pytest.mark.slow
async def test_what_one_caller_made_over_http_is_no_resource(tmp_path: Path):
    with served(tmp_path, "ann") as remote:
        async with remote.client("ann") as client:
            await client.call_tool("generate_image", CALL)
            listed = await pictures(client)
            offered = {str(one.uri_template) for one in (await client.list_resource_templates()).resource_templates}

    assert (listed, TEMPLATE in offered) == ([], False)
