"""Every legal way to write a reply in JSON carries its picture; one that is far from what was asked says so."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from PIL import Image

from asking import Heard, asked
from canned import PICTURE, URL, Answer, Canned, Pieces, inline, jpeg
from conftest import OpenStudio
from sampling import sampled
from seedframe.cli import program
from seedframe.emulator import emulator, running
from seedframe.settings import Settings

CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}
ESCAPED_NAME = "".join(f"\\u{ord(letter):04X}" for letter in "b64_json")


def in_pieces(text: str, size: int) -> Pieces:
    async def pieces() -> AsyncIterator[bytes]:
        content = text.encode()
        for start in range(0, len(content), size):
            yield content[start : start + size]

    return pieces


def with_value(value: str, name: str = "b64_json") -> str:
    return f'{{"data": [{{"size": "1920x1920", "{name}" : \n "{value}"}}], "usage": {{"generated_images": 1}}}}'


SPELLINGS = {
    "slashes escaped": with_value(inline().replace("/", "\\/")),
    "plus, slash and equals as code points": with_value(
        inline().replace("+", "\\u002b").replace("/", "\\u002F").replace("=", "\\u003d")
    ),
    "every character as a code point": with_value("".join(f"\\u{ord(letter):04x}" for letter in inline())),
    "lines of 76": with_value("\\r\\n".join(inline()[start : start + 76] for start in range(0, len(inline()), 76))),
    "blanks": with_value(" ".join(inline()[start : start + 75] for start in range(0, len(inline()), 75))),
    "a data URI with escapes": with_value("\\u0064ata:image\\/jpeg;base64\\u002c" + inline()),
    "the name as code points": with_value(inline(), ESCAPED_NAME),
    "a byte order mark": "\ufeff" + with_value(inline()),
    "an address with escapes": json.dumps({"data": [PICTURE]}).replace("/", "\\/").replace("&", "\\u0026"),
    "an address with blanks around it": json.dumps({"data": [{"url": f" {URL}\n"}]}),
    "usage before data": json.dumps({"usage": {"generated_images": 1}, "data": [PICTURE]}),
    "data twice, the second empty": f'{{"data": [{json.dumps(PICTURE)}], "data": []}}',
    "data twice, the first empty": f'{{"data": null, "data": [{json.dumps(PICTURE)}]}}',
    "url twice, the second null": f'{{"data": [{{"url": {json.dumps(URL)}, "url": null}}]}}',
    "both an address and damaged base64": json.dumps({"data": [{"b64_json": "%%%", "url": URL}]}),
}


@pytest.mark.anyio
@pytest.mark.parametrize("size", [7, 65_536])
@pytest.mark.parametrize("spelling", sampled(SPELLINGS, 6))
async def test_a_picture_arrives_however_its_reply_is_spelled(
    open_studio: OpenStudio, spelling: str, size: int
) -> None:
    service = Canned(Answer(in_pieces(SPELLINGS[spelling], size)))
    heard = await asked(open_studio, "generate_image", CAT, transport=service)

    assert (heard.facts["status"], heard.facts["cost"]["amount"]) == ("done", "0.22"), heard.text
    assert Path(heard.facts["pictures"][0]["path"]).read_bytes() == jpeg()


@pytest.mark.anyio
async def test_a_quote_inside_a_picture_is_damage_and_not_the_end_of_the_reply(open_studio: OpenStudio) -> None:
    service = Canned(Answer(with_value('ab\\"cd').encode()))
    heard = await asked(open_studio, "generate_image", CAT, transport=service)

    assert (heard.is_error, heard.facts["error"], heard.facts["billed"]) == (True, "PictureError", "yes")


class Sized(Canned):
    """Gives every picture in one size."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(Answer.says({"data": [{"url": URL}], "usage": {"generated_images": 1}}))
        out = io.BytesIO()
        Image.new("RGB", (width, height), "teal").save(out, "PNG")
        self._picture = out.getvalue()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, headers={"content-type": "image/png"}, content=self._picture)
        return await super().handle_async_request(request)


async def asked_for_portrait(open_studio: OpenStudio, width: int, height: int, **more: Any) -> Heard:
    arguments = {"prompt": CAT["prompt"], "size": "1440x2560", **more}
    return await asked(open_studio, "generate_image", arguments, transport=Sized(width, height))


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("width", "height", "status"),
    [
        pytest.param(2, 2, "wrong_size", id="two by two"),
        pytest.param(1440, 2500, "wrong_size", id="shape off by more than 2 %"),
        pytest.param(1440, 2540, "done", id="shape off by less"),
        pytest.param(1280, 2276, "wrong_size", id="79 % of the pixels"),
        pytest.param(1296, 2304, "done", id="81 % of the pixels"),
        pytest.param(2160, 3840, "done", id="larger"),
    ],
)
async def test_a_picture_far_from_the_asked_size_is_saved_billed_and_told(
    open_studio: OpenStudio, width: int, height: int, status: str
) -> None:
    heard = await asked_for_portrait(open_studio, width, height)

    (picture,) = heard.facts["pictures"]
    assert (heard.facts["status"], picture.get("wrong_size", False)) == (status, status == "wrong_size")
    assert (heard.is_error, heard.facts["cost"]["amount"], Path(picture["path"]).exists()) == (False, "0.22", True)
    assert ("not of the size that was asked for; the bill stands" in heard.text) is (status == "wrong_size")


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "code"), [("wrong-size 512x512", 3), (None, 0)])
def test_the_exit_code_says_that_the_size_is_wrong(environ: dict[str, str], fault: str | None, code: int) -> None:
    with running(emulator(paint="instant", script=[fault])) as base:
        settings = Settings.read({**environ, "SEEDFRAME_EMULATOR_BASE": base})
        done = CliRunner().invoke(program("en"), ["generate", CAT["prompt"], "--ratio", "9:16"], obj=settings)

    assert done.exit_code == code
    assert ("not of the size that was asked for" in done.stdout) is (code == 3)
