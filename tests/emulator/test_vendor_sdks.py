"""The vendor's own SDKs, and OpenAI's, take the emulator for the service; its bills show what their retries cost.

They live in an environment of their own (`.cache/strangers`, made once, some minutes): nothing of ours is inside.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from seedframe.emulator import emulator, running
from vendor_sdks import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def walked(python: Path, sdk: str, profile: str) -> dict[str, Any]:
    with running(emulator(profile=profile, paint="instant", keys=["test-key"])) as base:
        script = ROOT / "tests" / "strangers" / f"with_{sdk}.py"
        done = subprocess.run(
            [python, script, base], capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("sdk", "profile", "ark", "cut"),
    [
        pytest.param("volcengine", "ark", "Ark", ["RemoteProtocolError", None], id="volcengine-python-sdk"),
        pytest.param("byteplus", "byteplus", "Ark", ["RemoteProtocolError", None], id="byteplus-python-sdk-v2"),
        pytest.param("arkruntime", "ark", "Ark", ["RemoteProtocolError", None], id="arkruntime"),
        pytest.param("openai", "ark", "", ["APIConnectionError", None], id="openai"),
    ],
)
def test_an_official_sdk_walks_the_whole_journey(
    python: Path, sdk: str, profile: str, ark: str, cut: list[str | None]
) -> None:
    api_error = "ArkAPIError" if ark else "APIError"
    moderated = "OutputImageSensitiveContentDetected"
    paid_twice = {"posts": 2, "billed": 2, "ids": 2}

    met = walked(python, sdk, profile)

    assert met == {
        "picture": {
            "head": "ffd8ff",
            "inline": "ffd8ff",
            "size": "1920x1920",
            "created": True,
            "usage": {"generated_images": 1, "output_tokens": 14400, "total_tokens": 14400},
        },
        "group": {"urls": [True, False, True], "code": moderated},
        "stream": {"kinds": ["partial_succeeded"] * 3 + ["completed"], "images": 3, "error": None},
        # The SDKs throw at the failed slot and lose the billed picture behind it.
        "failed-slot": {"kinds": ["partial_succeeded"], "images": None, "error": [api_error, moderated]},
        "cut": {"kinds": ["partial_succeeded"], "images": None, "error": cut},
        # A stream answered with plain JSON is no events and no error to them.
        "json-to-stream": {"kinds": [], "images": None, "error": None},
        "errors": {
            "size-too-small": [f"{ark}BadRequestError", "InvalidParameter", 400],
            "key-unknown": [f"{ark}AuthenticationError", "AuthenticationError", 401],
            "access-denied": [f"{ark}PermissionDeniedError", "AccessDenied", 403],
            "model-not-open": [f"{ark}NotFoundError", "ModelNotOpen", 404],
            "rate-ipm": [f"{ark}RateLimitError", "ModelAccountIpmRateLimitExceeded", 429],
            "internal": [f"{ark}InternalServerError", "InternalServiceError", 500],
            "error-200": moderated,
        },
        # One request, two bills: none of them knows idempotency.
        "lost": {"internal": paid_twice, "drop": paid_twice, "hang": paid_twice},
    }
