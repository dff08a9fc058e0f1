"""The Agent Plan of Ark: its own path, key and ids, paid in AFP; keys and addresses in the wrong place are noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from conftest import OpenStudio
from seedframe.emulator import emulator, running, transport
from seedframe.errors import BudgetExceeded, InvalidRequest, NotConfigured, SpendingRefused

pytestmark = pytest.mark.anyio

KEY = "ark-0123456789abcdef"
PLAN = {"SEEDFRAME_BACKEND": "agentplan", "ARK_PLAN_API_KEY": KEY}
CAT = {"prompt": "一只猫坐在窗台上，午后阳光", "ratio": "1:1"}
BASE = "http://emulator.invalid"


def plan(**options: Any) -> Any:
    return transport(profile="agentplan", keys=[KEY], paint="instant", **options)


async def made(open_studio: OpenStudio, carrier: Any, arguments: dict[str, Any], **variables: str) -> Any:
    async with (
        open_studio(transport=carrier, **PLAN, **variables) as studio,
        studio.make("generate_image", arguments) as result,
    ):
        return result.as_dict()


async def test_a_picture_of_the_plan_is_paid_in_afp(open_studio: OpenStudio) -> None:
    carrier = plan()
    facts = await made(open_studio, carrier, CAT, ARK_PLAN_API_BASE=BASE)

    (entry,) = [entry for entry in carrier.app.state.request_log.entries if entry.method == "POST"]
    assert (entry.path, entry.body["model"]) == ("/api/plan/v3/images/generations", "doubao-seedream-5.0-lite")
    assert (facts["cost"]["amount"], facts["cost"]["currency"]) == ("99", "AFP")
    assert facts["warnings"] == []


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("5.0-lite", "doubao-seedream-5.0-lite"),
        ("doubao-seedream-5-0-lite-260128", "doubao-seedream-5-0-lite-260128"),
        ("5.0-pro", "doubao-seedream-5.0-pro"),
        ("doubao-seedream-5-0-pro", "doubao-seedream-5-0-pro"),
        ("my-plans-own-id", "my-plans-own-id"),
    ],
)
async def test_the_plans_ids_and_any_bound_one_are_sent(open_studio: OpenStudio, given: str, sent: str) -> None:
    arguments = {**CAT, "model": given, "dry_run": True}
    facts = await made(open_studio, plan(), arguments, SEEDFRAME_ENDPOINTS="my-plans-own-id=5.0-lite")

    assert facts["payload"]["model"] == sent


async def test_a_model_the_plan_does_not_have_is_refused_before_anything_is_sent(open_studio: OpenStudio) -> None:
    carrier = plan()
    with pytest.raises(InvalidRequest, match="4.5"):
        await made(open_studio, carrier, {**CAT, "model": "4.5"})

    assert carrier.app.state.request_log.posts == 0


async def test_a_budget_in_afp_holds(open_studio: OpenStudio) -> None:
    carrier = plan()
    budget = {"SEEDFRAME_BUDGET": "150 AFP", "ARK_PLAN_API_BASE": "https://ark.cn-beijing.volces.com/api/plan/v3"}
    await made(open_studio, carrier, CAT, **budget)
    with pytest.raises(BudgetExceeded, match="AFP"):
        await made(open_studio, carrier, {**CAT, "prompt": "一只狗坐在窗台上，午后阳光"}, **budget)

    assert carrier.app.state.request_log.posts == 1


async def test_a_budget_in_another_currency_and_a_model_without_a_price_are_said(open_studio: OpenStudio) -> None:
    base = {"ARK_PLAN_API_BASE": "https://ark.cn-beijing.volces.com"}
    with pytest.raises(NotConfigured, match="AFP"):
        await made(open_studio, plan(), CAT, SEEDFRAME_BUDGET="10 CNY", **base)
    with pytest.raises(SpendingRefused):
        await made(open_studio, plan(), {**CAT, "model": "5.0-pro"}, SEEDFRAME_BUDGET="500 AFP", **base)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": KEY}, "SEEDFRAME_BACKEND=agentplan"),
        ({"SEEDFRAME_BACKEND": "agentplan", "ARK_PLAN_API_KEY": "0af1-uuid"}, "SEEDFRAME_BACKEND=ark"),
        (
            {"SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": "0af1-uuid", "ARK_API_BASE": f"{BASE}/api/plan/v3"},
            "SEEDFRAME_BACKEND=agentplan",
        ),
        ({**PLAN, "ARK_PLAN_API_BASE": f"{BASE}/api/v3"}, "SEEDFRAME_BACKEND=ark"),
    ],
)
async def test_a_key_or_an_address_in_the_wrong_place_is_noticed(
    open_studio: OpenStudio, variables: dict[str, str], says: str
) -> None:
    async with open_studio(**variables) as studio, studio.make("generate_image", {**CAT, "dry_run": True}) as result:
        (warning,) = result.as_dict()["warnings"]

    assert says in warning
    assert "0af1" not in warning


async def test_what_is_in_its_place_is_not_remarked_upon(open_studio: OpenStudio) -> None:
    right = {"SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": "0af1-uuid", "ARK_API_BASE": f"{BASE}/api/v3"}
    async with open_studio(**right) as studio, studio.make("generate_image", {**CAT, "dry_run": True}) as result:
        assert result.as_dict()["warnings"] == []


@pytest.mark.slow
def test_doctor_looks_at_the_plan_without_a_list_of_models(environ: dict[str, str]) -> None:
    app = emulator(profile="agentplan", keys=[KEY], paint="instant")
    with running(app) as base:
        variables = {**environ, **PLAN, "ARK_PLAN_API_BASE": base}
        command = [sys.executable, "-m", "seedframe", "doctor", "--json"]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    found = {row["name"]: row["good"] for row in json.loads(done.stdout)}

    assert done.returncode == 0, done.stdout + done.stderr
    assert {"key", "base", "folder", "model 5.0-lite", "model 5.0-pro"} <= {
        name for name, good in found.items() if good
    }
    assert not [entry for entry in app.state.request_log.entries if entry.path.endswith("/models")]
    assert app.state.request_log.images == 0
