"""A result is a frozen value; the JSON for callers, sidecars and the payment record is made of it and leads back."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from conftest import OpenStudio
from seedframe.emulator import transport
from seedframe.studio.types import (
    AskedFrame,
    Cost,
    Finding,
    LayerPlace,
    MissingPicture,
    Picture,
    RequestSummary,
    Result,
    Trust,
)

PLAIN = Picture(
    "seedframe:A-1", Path("/p/a.jpg"), 1440, 2560, "image/jpeg", 9, "ab", "bytes", None, "9:16", Trust(False, "model")
)
CUT = dataclasses.replace(
    PLAIN,
    method="crop",
    crop=(0, 8, 64, 72),
    received="64x80",
    moved=2,
    share_cut=0.2,
    ratio_error=0.0,
    original=Path("/p/a.original.jpg"),
    provenance_ended=True,
    wrong_size=True,
    layer=LayerPlace(2, (0.0, 1.5, 3.0, 4.0), "sky"),
    notes=("moved by two pixels",),
    trust=Trust(True, "original", "2026-12-21T08:00:00+00:00"),
)
BARE = RequestSummary("generate_image", "4.5", "id-4-5", "ark", "a lighthouse", AskedFrame("2K", "as given"))
FULL = dataclasses.replace(
    BARE,
    original_prompt="lighthouse",
    brief={"subject": "lighthouse"},
    negative_prompt="fog",
    dropped=("details",),
    frame=AskedFrame("1440x2560", "exactly 9:16", "9:16", "1080x1920"),
    warnings=("a warning",),
    findings=(Finding("LANG", "info", "words are mixed"), Finding("LEN", "warning", "long", "shorten it")),
    references=("one.jpg, 1 MB",),
    seed=7,
)
CNY = Cost(Decimal("0.22"), "CNY", 1, "2026-11-20")
DONE = Result("done", BARE, CNY, id="A", pictures=(PLAIN,), created="2026-11-20T08:00:00+00:00")
RESULTS = {
    "plain": DONE,
    "everything": dataclasses.replace(
        DONE,
        status="partial",
        request=FULL,
        cost=Cost(None, "USD", 3, "2026-11-20", at_most=True),
        emulated=True,
        pictures=(PLAIN, CUT),
        missing=(
            MissingPicture(2, "moderated", "no", "OutputImageSensitiveContentDetected", "say it differently"),
            MissingPicture(3, "not brought", "yes", fetch_until="2026-11-21T08:00:00+01:00"),
        ),
        request_ids=("r-1",),
        web_searches=0,
        layers_manifest=Path("/p/a.layers.json"),
        mark="fetched",
    ),
    "dry run": Result("dry_run", FULL, CNY, calls=2, payload={"model": "m", "prompt": "p"}),
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_the_json_of_a_result_says_leads_back_to_the_same_value(name: str):
    result = RESULTS[name]
    assert Result.from_dict(json.loads(json.dumps(result.as_dict()))) == result


def test_what_says_nothing_is_left_out_of_the_json():
    assert DONE.as_dict() == {
        "status": "done",
        "id": "A",
        "tool": "generate_image",
        "model": "4.5",
        "model_id": "id-4-5",
        "backend": "ark",
        "prompt": "a lighthouse",
        "frame": {"asked": "2K", "why": "as given"},
        "warnings": [],
        "findings": [],
        "emulated": False,
        "pictures": [
            {
                "id": "seedframe:A-1",
                "path": str(Path("/p/a.jpg")),
                "width": 1440,
                "height": 2560,
                "mime": "image/jpeg",
                "bytes": 9,
                "sha256": "ab",
                "method": "bytes",
                "crop": "untouched",
                "ratio": "9:16",
                "trust": {"eligible": False, "reason": "model", "expires_at": None},
            }
        ],
        "missing": [],
        "cost": {"amount": "0.22", "currency": "CNY", "pictures": 1, "listed": "2026-11-20"},
        "request_ids": [],
        "created": "2026-11-20T08:00:00+00:00",
    }


@pytest.mark.parametrize(
    "value", [DONE, BARE, PLAIN, CNY, Finding("A", "info", "b")], ids=lambda one: type(one).__name__
)
def test_no_part_of_a_result_can_be_changed(value: Any):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, "other")


def test_keys_and_signed_addresses_are_taken_out_and_previews_stay():
    key = "ark-key-7f3a9c51d2e84b60"
    heard = dataclasses.replace(
        DONE,
        request=dataclasses.replace(BARE, prompt=f"a lighthouse {key}", warnings=(f"seen: {key}",)),
        previews=(b"small",),
    )
    clean = heard.redacted((key,))
    assert key not in json.dumps(clean.as_dict())
    assert (clean.request.prompt, clean.previews, clean.pictures) == ("a lighthouse [redacted]", (b"small",), (PLAIN,))


@pytest.mark.anyio
async def test_the_payment_record_keeps_the_result_and_hands_the_same_one_over_again(open_studio: OpenStudio):
    async with open_studio(transport=transport(paint="instant")) as studio:
        with pytest.raises(ZeroDivisionError):
            async with studio.make("generate_image", {"prompt": "海边的灯塔", "ratio": "9:16", "seed": 7}) as first:
                raise ZeroDivisionError
        (entry,) = await studio.payments.entries()
        async with studio.make("generate_image", {"prompt": "海边的灯塔", "ratio": "9:16", "seed": 7}) as again:
            pass
        assert entry.result is not None
        assert Result.from_dict(entry.result) == dataclasses.replace(first, previews=())
        assert dataclasses.replace(again, previews=()) == dataclasses.replace(first, previews=(), mark="replayed")
        assert (again.paths, len(again.previews), again.cost.amount) == (first.paths, 1, Decimal("0.22"))
