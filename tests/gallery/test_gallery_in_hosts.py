"""The gallery inside an MCP host: a page the host can frame, records it can read, and text where there is no frame."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.client import advertise
from PIL import Image

from browsers import Chromium
from conftest import OpenStudio
from seedframe.mcp_server.app import build_server
from seedframe.mcp_server.gallery_view import EXTENSION, PAGE, PAGE_TYPE, RECORDS
from seedframe.settings import Settings

pytestmark = pytest.mark.anyio

PROMPT = "一盏纸灯笼挂在雨夜的屋檐下，暖光映在湿石板上"


Host = Callable[[], AbstractAsyncContextManager[Client]]


@pytest.fixture
def host(open_studio: OpenStudio, environ: dict[str, str]) -> Host:
    """A host that shows MCP Apps, connected to the server in this process."""

    @asynccontextmanager
    async def connected() -> AsyncIterator[Client]:
        server = build_server(open_studio, "en", Settings.read(environ))
        async with Client(server, extensions=[advertise(EXTENSION, {"mimeTypes": [PAGE_TYPE]})]) as client:
            yield client

    return connected


async def made(client: Client) -> dict[str, Any]:
    result = await client.call_tool("generate_image", {"prompt": PROMPT, "ratio": "4:3"})
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def test_the_picture_tools_name_a_page_that_a_host_can_read(host: Host):
    async with host() as client:
        tools = {tool.name: tool.meta for tool in (await client.list_tools()).tools}
        page = (await client.read_resource(PAGE)).contents[0]
        listed = {str(resource.uri): resource.mime_type for resource in (await client.list_resources()).resources}

        assert EXTENSION in (client.server_capabilities.extensions or {})
        assert [name for name, meta in tools.items() if (meta or {}).get("ui") == {"resourceUri": PAGE}] == [
            "generate_image",
            "edit_image",
        ]
        assert listed[PAGE] == page.mime_type == PAGE_TYPE
        assert listed[RECORDS] == "application/json"
        assert page.text.startswith("<!doctype html>")
        assert page.meta == {"ui": {"prefersBorder": True, "csp": {"connectDomains": [], "resourceDomains": []}}}


async def test_what_was_made_is_read_as_records_and_small_pictures(host: Host):
    async with host() as client:
        await made(client)
        records = json.loads((await client.read_resource(RECORDS)).contents[0].text)
        [picture] = records["pictures"]
        small = (await client.read_resource(f"{RECORDS}/{picture['id']}")).contents[0]

    assert records["total"] == 1
    assert (picture["prompt"], picture["model"], picture["price"], picture["currency"]) == (
        PROMPT,
        "5.0-lite",
        "0.22",
        "CNY",
    )
    with Image.open(io.BytesIO(base64.b64decode(small.blob))) as image:
        assert max(image.size) <= 480


async def test_the_result_itself_says_everything_without_the_page(host: Host):
    async with host() as client:
        result = await made(client)

    assert [block["type"] for block in result["content"]] == ["text", "image", "resource_link"]
    assert "structuredContent" not in result


@pytest.mark.parametrize("id", ["nothing", "../../etc/passwd", "%2e%2e%2fsecret", ""])
async def test_ids_that_were_not_given_out_lead_nowhere(host: Host, id: str):
    async with host() as client:
        with pytest.raises(MCPError, match="Resource not found"):
            await client.read_resource(f"{RECORDS}/{id}")


POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'none'; base-uri 'self'; frame-src 'none'"
)
HOST_PAGE = """<!doctype html><body><script>
window.heard = [];
window.boot = (html, policy, result, abilities) => {
  const frame = document.createElement('iframe');
  frame.sandbox = 'allow-scripts';
  frame.style = 'width:760px;border:0';
  frame.srcdoc = html.replace('<head>', '<head><meta http-equiv="Content-Security-Policy" content="' + policy + '">');
  window.say = (message) => frame.contentWindow.postMessage({ jsonrpc: '2.0', ...message }, '*');
  addEventListener('message', async (event) => {
    if (event.source !== frame.contentWindow) return;
    const message = event.data;
    heard.push(message);
    if (message.method === 'ui/initialize') say({ id: message.id, result: {
      protocolVersion: '2026-01-26', hostInfo: { name: 'test', version: '1' }, hostCapabilities: abilities,
      hostContext: { theme: 'dark', locale: 'zh-CN', displayMode: 'inline' } } });
    else if (message.method === 'ui/notifications/initialized') {
      say({ method: 'ui/notifications/tool-input', params: { arguments: {} } });
      say({ method: 'ui/notifications/tool-result', params: result });
    } else if (message.method === 'resources/read') {
      say({ id: message.id, result: await window.readResource(message.params.uri) });
    }
    else if (message.method === 'ui/notifications/size-changed') frame.style.height = message.params.height + 'px';
  });
  document.body.append(frame);
};
</script></body>"""


@pytest.mark.slow
@pytest.mark.parametrize("abilities", [{}, {"serverResources": {}}])
async def test_the_page_shows_the_result_under_the_policy_of_a_host(
    host: Host, browser: Chromium, abilities: dict[str, Any]
):
    async with host() as client:
        await made(client)
        result = await made(client)
        page_text = (await client.read_resource(PAGE)).contents[0].text

        async def read_resource(uri: str) -> dict[str, Any]:
            return (await client.read_resource(uri)).model_dump(mode="json", by_alias=True, exclude_none=True)

        async with browser.page() as (page, trouble):
            await page.expose_function("readResource", read_resource)
            await page.set_content(HOST_PAGE)
            await page.evaluate("(given) => boot(...given)", [page_text, POLICY, result, abilities])
            frame = page.frame_locator("iframe")
            pictures = 2 if abilities else 1
            await frame.locator("figure img.ready").nth(pictures - 1).wait_for()
            shown = {
                "pictures": await frame.locator("figure").count(),
                "language": await frame.locator("html").get_attribute("lang"),
                "theme": await frame.locator("html").get_attribute("data-theme"),
            }
            await frame.locator("figure .open").first.click()
            prompt = await frame.locator("aside .prompt p").inner_text()
            call = await frame.locator(".variation pre").inner_text()
            await page.evaluate("say({ id: 99, method: 'ui/resource-teardown', params: { reason: 'test' } })")
            await page.wait_for_function("heard.some((message) => message.id === 99 && message.result)")

    assert shown == {"pictures": pictures, "language": "zh", "theme": "dark"}
    assert prompt == PROMPT
    assert call.startswith("generate_image {")
    assert trouble == []
