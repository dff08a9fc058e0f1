"""A picture that an edit names and nobody can read: the host opens a page here, and the edit goes on with it."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import mcp.types as t
import pytest
from mcp import Client
from PIL import Image

from browsers import Chromium
from seedframe.emulator import InProcess
from seedframe.limits import limits
from seedframe.mcp_server.app import build_server
from seedframe.mcp_server.upload_page import UploadPage
from seedframe.messages import Language
from seedframe.studio.pipeline import Studio

pytestmark = pytest.mark.anyio

OpenStudio = Callable[..., AbstractAsyncContextManager[Studio]]
PASTED = "/mnt/user-data/uploads/holiday.png"
EDIT = {"prompt": "把猫换成狗，其余不变", "images": [PASTED], "save_as": "after"}


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def photo() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((160, 120), 60).convert("RGB").save(out, "PNG")
    return out.getvalue()


class Person:
    """Who sits before the host: opens the page that is asked for, or does not."""

    def __init__(self, *, agrees: bool = True) -> None:
        self.agrees = agrees
        self.pages: list[str] = []
        self.saw: list[tuple[int, str]] = []
        self._visit: asyncio.Task[None] | None = None

    async def __call__(self, _ctx: Any, params: t.ElicitRequestParams) -> t.ElicitResult:
        if not isinstance(params, t.ElicitRequestURLParams):
            return t.ElicitResult(action="accept", content={"pay": True})
        assert "holiday.png" in params.message
        self.pages.append(params.url)
        if not self.agrees:
            return t.ElicitResult(action="decline")
        self._visit = asyncio.create_task(self._upload(params.url))
        return t.ElicitResult(action="accept")

    async def _upload(self, url: str) -> None:
        async with httpx.AsyncClient() as browser:
            page = await browser.get(url)
            self.saw.append((page.status_code, page.text))
            for body in (b"no picture", photo(), photo()):
                answer = await browser.post(url, content=body)
                self.saw.append((answer.status_code, answer.text))


@asynccontextmanager
async def host(era: str, open_studio: OpenStudio, ask: Person | None, **options: Any) -> AsyncIterator[Client]:
    server = build_server(lambda: open_studio(**options), "en")
    async with Client(server, mode=era, elicitation_callback=ask) as client:
        yield client


def texts(result: t.CallToolResult) -> list[str]:
    return [block.text for block in result.content if isinstance(block, t.TextContent)]


async def test_a_picture_that_nobody_can_read_is_asked_for_and_the_edit_goes_on(
    era: str, open_studio: OpenStudio, service: InProcess, tmp_path: Path
):
    person = Person()
    async with host(era, open_studio, person) as client:
        result = await client.call_tool("edit_image", EDIT)

        said, kept = texts(result)
        again = re.search(r"upload:[0-9a-f]{32}", kept)
        assert again
        second = await client.call_tool("edit_image", {**EDIT, "images": [again[0]], "save_as": "again"})

    assert not result.is_error, said
    assert (tmp_path / "pictures" / "after.jpg").is_file()
    assert not second.is_error, texts(second)
    assert (len(person.pages), service.app.state.request_log.posts) == (1, 2)
    # The third came after the picture was there: either it is told so, or the page has ended already.
    assert [status for status, _ in person.saw][:3] == [200, 415, 201]


@pytest.mark.slow
async def test_the_page_speaks_both_languages_and_lets_nothing_else_run(tmp_path: Path):
    page = UploadPage(PASTED, tmp_path, "zh")
    async with httpx.AsyncClient() as browser:
        shown = await browser.get(page.url)
    await page.close()

    assert [words for words in ("Hand over a picture", "上传图片", PASTED) if words not in shown.text] == []
    assert shown.headers["content-security-policy"].startswith("default-src 'none'; img-src data:; style-src 'sha256-")


@pytest.mark.slow
async def test_who_declines_gets_the_refusal_and_nothing_is_paid(era: str, open_studio: OpenStudio, service: InProcess):
    person = Person(agrees=False)
    async with host(era, open_studio, person) as client:
        result = await client.call_tool("edit_image", EDIT)

    assert result.is_error
    assert "sandbox" in texts(result)[0]
    assert (len(person.pages), service.app.state.request_log.posts) == (1, 0)
    async with httpx.AsyncClient() as browser:
        with pytest.raises(httpx.ConnectError):
            await browser.get(person.pages[0])


async def test_a_host_that_cannot_ask_gets_the_refusal_as_ever(era: str, open_studio: OpenStudio):
    async with host(era, open_studio, None) as client:
        result = await client.call_tool("edit_image", EDIT)

    assert result.is_error
    assert "sandbox" in texts(result)[0]


@pytest.mark.slow
async def test_consent_to_the_price_asks_for_the_picture_only_once(
    era: str, open_studio: OpenStudio, service: InProcess
):
    person = Person()
    async with host(era, open_studio, person, SEEDFRAME_CONFIRM_ABOVE="0.01 CNY") as client:
        result = await client.call_tool("edit_image", EDIT)

    assert not result.is_error, texts(result)
    assert (len(person.pages), service.app.state.request_log.posts) == (1, 1)


async def answer_to_declared(url: str, length: int) -> int:
    """The status for a body that is only announced."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {length}\r\n\r\n".encode())
    status = (await reader.readline()).split()[1]
    writer.close()
    await writer.wait_closed()
    return int(status)


@pytest.mark.slow
async def test_the_page_is_for_this_machine_its_own_origin_one_secret_and_one_picture(tmp_path: Path):
    page = UploadPage("x.png", tmp_path, "zh")
    base = f"http://{urlsplit(page.url).netloc}"
    too_large = await answer_to_declared(page.url, limits().upload_bytes + 1)
    async with httpx.AsyncClient() as browser:
        refused = [
            (await browser.get(f"{base}/")).status_code,
            (await browser.get(f"{base}/guess/")).status_code,
            (await browser.get(page.url, headers={"host": "evil.example"})).status_code,
            (await browser.post(page.url, content=photo(), headers={"origin": "https://evil.example"})).status_code,
        ]
        taken = await browser.post(page.url, content=photo(), headers={"origin": base})
        second = await browser.post(page.url, content=photo())
    picture = await page.wait(1)

    assert (refused, too_large) == ([404, 404, 421, 403], 413)
    assert (taken.status_code, second.status_code) == (201, 410)
    assert taken.json() == {"id": picture}
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == [str(picture).removeprefix("upload:")]


@pytest.mark.slow
@pytest.mark.parametrize(("language", "said"), [("en", "Done."), ("zh", "完成。")])
async def test_in_a_browser_a_file_is_chosen_and_handed_over(
    browser: Chromium, tmp_path: Path, language: Language, said: str
):
    page = UploadPage("IMG_2041.heic", tmp_path, language)
    async with browser.page() as (tab, trouble):
        await tab.goto(page.url)
        chosen = {"name": "a.txt", "mimeType": "text/plain", "buffer": b"words"}
        await tab.set_input_files("input", chosen)
        await tab.wait_for_selector("input:enabled")
        await tab.set_input_files("input", {"name": "a.png", "mimeType": "image/png", "buffer": photo()})
        await tab.wait_for_selector(".drop", state="hidden")
        text = await tab.inner_text(".state")

    assert text.startswith(said)
    assert await page.wait(1)
    assert [line for line in trouble if "415" not in line] == []
