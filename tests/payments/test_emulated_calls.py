"""An emulator in a backend's place: its calls are marked as emulated and never burden the real budget."""

from __future__ import annotations

import asyncio
import json

import pytest
from click.testing import CliRunner
from starlette.applications import Starlette

from asking import Heard, asked
from canned import Answer, Canned, inline
from conftest import OpenStudio
from seedframe.cli import program
from seedframe.emulator import emulator, running
from seedframe.settings import Settings

CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}


def variables(base: str, path: str = "") -> dict[str, str]:
    return {"SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": "key-of-a-test", "ARK_API_BASE": base + path}


async def made_at(open_studio: OpenStudio, base: str, path: str = "", **more: str) -> Heard:
    return await asked(open_studio, "generate_image", CAT, transport=None, **variables(base, path), **more)


def service(*script: object) -> Starlette:
    return emulator(profile="ark", paint="instant", script=script)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("path", ["", "/api/v3"])
async def test_a_call_to_an_emulator_by_the_backends_address_is_recorded_as_emulated(
    open_studio: OpenStudio, environ: dict[str, str], path: str
) -> None:
    with running(service()) as base:
        heard = await made_at(open_studio, base, path, SEEDFRAME_BUDGET="0.22")
        async with open_studio() as studio:
            (entry,) = await studio.payments.entries()
        settings = Settings.read({**environ, **variables(base)})
        costs = await asyncio.to_thread(CliRunner().invoke, program("en"), ["costs"], obj=settings)

    assert (heard.facts["status"], heard.facts["emulated"], entry.backend) == ("done", True, "emulator")
    assert "(emulated: nothing was charged)" in heard.text
    assert heard.facts["pictures"][0]["trust"]["eligible"] is False
    assert "ark " not in costs.stdout
    assert "nothing was charged" in costs.stdout


@pytest.mark.slow
@pytest.mark.anyio
async def test_an_emulated_call_without_an_answer_holds_nothing_of_the_real_budget(open_studio: OpenStudio) -> None:
    with running(service("drop-before-answer")) as base:
        heard = await made_at(open_studio, base)
    async with open_studio() as studio:
        (cost,) = await studio.payments.costs()

    assert heard.facts["billed"] == "unknown"
    assert (cost.backend, cost.unknown) == ("emulator", 1)


@pytest.mark.slow
@pytest.mark.anyio
async def test_what_was_rehearsed_is_not_handed_over_for_the_real_call(open_studio: OpenStudio) -> None:
    with running(service("drop-before-answer")) as base:
        previewed = await made_at(open_studio, base)
    real = Canned(Answer.says({"data": [{"b64_json": inline()}]}))
    heard = await asked(
        open_studio, "generate_image", CAT, transport=real, SEEDFRAME_BACKEND="ark", ARK_API_KEY="key-of-a-test"
    )

    assert previewed.facts["billed"] == "unknown"
    assert (heard.facts["status"], heard.facts["emulated"], len(real.posts)) == ("done", False, 1)


@pytest.mark.anyio
async def test_a_service_that_is_no_emulator_is_charged_as_ever(open_studio: OpenStudio) -> None:
    real = Canned(Answer.says({"data": [{"b64_json": inline()}]}))
    address = "http://127.0.0.1:9"
    heard = await asked(open_studio, "generate_image", CAT, transport=real, **variables(address))
    async with open_studio() as studio:
        (entry,) = await studio.payments.entries()

    assert (heard.facts["emulated"], entry.backend, str(entry.booked)) == (False, "ark", "0.22")
    assert [json.loads(post.content)["model"] for post in real.posts] == ["doubao-seedream-5-0-260128"]
