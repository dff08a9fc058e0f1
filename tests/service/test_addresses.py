"""Which addresses are called: references and results only on the public internet, however an address is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from canned import Answer, Canned, jpeg
from conftest import OpenStudio
from seedframe.catalog import catalog
from seedframe.errors import InvalidRequest, SeedreamError
from seedframe.service.client import Client
from seedframe.settings import Settings

pytestmark = pytest.mark.anyio

PRIVATE = (
    "127.0.0.1",
    "10.1.2.3",
    "169.254.169.254",
    "192.168.0.1",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "2130706433",
    "0x7f000001",
    "127.1",
    "[::1]",
    "[::]",
    "[::127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::a00:1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::808:808]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[2001:0:7f00:1::]",
    "[fec0::1]",
    "[fe80::1]",
    "[fc00::1]",
    "[ff02::1]",
    "198.18.0.7",
)
PUBLIC = ("8.8.8.8", "[2606:4700::1111]", "[64:ff9b::808:808]", "[::ffff:8.8.8.8]", "[2002:808:808::1]")


class Open(httpx.AsyncBaseTransport):
    """Every address has the picture; `called` are those that were asked."""

    def __init__(self) -> None:
        self.called: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.called.append(request)
        return httpx.Response(200, content=jpeg())


async def fetched(
    tmp_path: Path, url: str, *addresses: str, **variables: str
) -> tuple[list[httpx.Request], str | None]:
    """What was called for a reference, and the refusal."""
    carrier = Open()
    settings = Settings.read({"SEEDFRAME_BACKEND": "emulator", **variables})

    async def resolve(_host: str, _port: int) -> list[str]:
        return list(addresses)

    client = Client(settings, catalog().backend("emulator"), transport=carrier, resolve=resolve)
    try:
        await client.fetch_reference(url, tmp_path / "part", 30_000_000)
    except InvalidRequest as error:
        return carrier.called, str(error)
    finally:
        await client.close()
    assert (tmp_path / "part").read_bytes() == jpeg()
    return carrier.called, None


@pytest.mark.parametrize("host", PRIVATE)
async def test_a_reference_inside_is_refused_in_every_spelling(open_studio: OpenStudio, host: str):
    edit = {"prompt": "把图1中的猫换成一只狗", "ratio": "1:1", "images": [f"https://{host}/a.png"]}
    async with open_studio() as studio:
        with pytest.raises(InvalidRequest, match=r"not a public address|fake-IP|not a readable"):
            async with studio.make("edit_image", edit):
                pass


@pytest.mark.parametrize("host", PRIVATE)
async def test_a_name_that_leads_inside_is_refused_although_it_also_leads_outside(tmp_path: Path, host: str):
    if host[0] not in "[123" or host in {"2130706433", "127.1"}:
        return  # spellings no resolver gives
    called, refusal = await fetched(tmp_path, "https://example.com/a.png", "8.8.8.8", host.strip("[]"))

    assert (called, refusal is not None) == ([], True)


@pytest.mark.parametrize("host", PUBLIC)
async def test_a_public_address_is_called_as_it_was_checked(tmp_path: Path, host: str):
    called, refusal = await fetched(tmp_path, "https://example.com/a.png?x=1", host.strip("[]"))

    assert refusal is None
    assert [str(one.url) for one in called] == [str(httpx.URL(f"https://{host}/a.png?x=1"))]
    assert [one.headers["host"] for one in called] == ["example.com"]
    assert [one.extensions["sni_hostname"] for one in called] == ["example.com"]


@pytest.mark.parametrize("port", [22, 8080, 6379])
async def test_only_the_ports_of_the_web_are_called(tmp_path: Path, port: int):
    called, refusal = await fetched(tmp_path, f"https://example.com:{port}/a.png", "8.8.8.8")

    assert called == []
    assert f"port {port} is not called; allowed: 443, 80" in str(refusal)


async def test_an_address_that_a_proxy_program_made_up_is_explained_and_allowed_by_a_setting(tmp_path: Path):
    url = "https://example.com/a.png"
    called, refusal = await fetched(tmp_path, url, "198.18.0.7")
    assert called == []
    assert "set SEEDFRAME_FAKE_IP=1 to trust it, or set HTTPS_PROXY" in str(refusal)

    for setting in ("1", "198.18.0.0/16,fc00::/18"):
        called, refusal = await fetched(tmp_path, url, "198.18.0.7", SEEDFRAME_FAKE_IP=setting)
        assert (len(called), refusal) == (1, None)


@pytest.mark.parametrize("given", ["10.0.0.0/8", "0.0.0.0/0", "maybe", "::/0"])
def test_the_setting_opens_no_real_network(given: str):
    with pytest.raises(SeedreamError, match=r"198\.18\.0\.0/15"):
        Settings.read({"SEEDFRAME_FAKE_IP": given})


RESULTS = [f"https://{host}/a.jpeg" for host in PRIVATE] + [
    "http://8.8.8.8/a.jpeg",
    "https://8.8.8.8:8443/a.jpeg",
]
NOWHERE = ["file:///etc/passwd", "https://[broken/a.jpeg", "ftp://8.8.8.8/a.jpeg"]
"""What no download can ever bring: the picture is paid and lost."""


class Watched(Canned):
    """Notes what is fetched."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__(*answers)
        self.gets: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and request.url.path != "/_emulator/ledger":
            self.gets.append(str(request.url))
        return await super().handle_async_request(request)


async def made(open_studio: OpenStudio, url: str, base: str) -> tuple[list[str], Any]:
    carrier = Watched(Answer.says({"data": [{"url": url, "size": "1920x1920"}], "usage": {"generated_images": 1}}))
    variables = {"SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": "0123456789", "ARK_API_BASE": base}
    async with open_studio(transport=carrier, **variables) as studio:
        try:
            async with studio.make("generate_image", {"prompt": "一只猫坐在窗台上", "ratio": "1:1"}) as result:
                return carrier.gets, result.as_dict()["status"]
        except SeedreamError as error:
            return carrier.gets, (error.kind, error.facts["billed"])


@pytest.mark.parametrize("url", RESULTS)
async def test_a_result_inside_is_not_fetched_and_told_as_paid(open_studio: OpenStudio, url: str):
    assert await made(open_studio, url, "https://gateway.example.com") == ([], ("Undelivered", "yes"))


@pytest.mark.parametrize("url", NOWHERE)
async def test_an_address_that_leads_nowhere_is_not_followed_and_the_picture_is_told_as_lost(
    open_studio: OpenStudio, url: str
):
    assert await made(open_studio, url, "https://gateway.example.com") == ([], ("PictureError", "yes"))


@pytest.mark.parametrize(
    ("base", "url"),
    [
        pytest.param("https://gateway.example.com", "https://8.8.8.8/a.jpeg", id="public"),
        pytest.param("https://10.0.0.5:8443/v1", "https://10.0.0.5:8443/a.jpeg", id="the host that was called"),
        pytest.param("http://gateway.corp/v1", "http://gateway.corp/a.jpeg", id="the host that was called, by name"),
        pytest.param("http://127.0.0.1:9000", "http://localhost:9001/a.jpeg", id="an emulator's own disk"),
        pytest.param("http://127.0.0.1:9000", "https://10.0.0.1/a.jpeg", id="behind a gateway on this machine"),
    ],
)
async def test_a_result_is_fetched_where_it_may_lie(open_studio: OpenStudio, base: str, url: str):
    gets, status = await made(open_studio, url, base)

    assert (len(gets), status) == (1, "done")
