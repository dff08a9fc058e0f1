"""The vendor's own SDKs, and OpenAI's, take the gateway for the service; their own repetitions cost nothing there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from children import system
from seedframe.emulator import emulator, running
from vendor_sdks import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@contextmanager
def gateway(environ: dict[str, str], backend: str, service: str) -> Iterator[str]:
    """`seedframe gateway` in front of a service; gives its address."""
    name = {"ark": "ARK_API", "byteplus": "BYTEPLUS_API"}[backend]
    own = {"SEEDFRAME_BACKEND": backend, f"{name}_KEY": "test-key", f"{name}_BASE": service, "SEEDFRAME_TIMEOUT": "3"}
    command = [sys.executable, "-m", "seedframe", "gateway", "--port", "0"]
    variables = {**system(), **environ, **own}
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield "http://" + process.stderr.readline().partition("//")[2].partition("/")[0]
        finally:
            process.terminate()


def walked(python: Path, sdk: str, environ: dict[str, str], backend: str) -> dict[str, Any]:
    script = ROOT / "tests" / "strangers" / f"with_{sdk}.py"
    app = emulator(profile=backend, paint="instant", keys=["test-key"])
    with running(app) as service, gateway(environ, backend, service) as base:
        done = subprocess.run(
            [python, script, base, service], capture_output=True, text=True, encoding="utf-8", timeout=240, check=False
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("sdk", "backend"),
    [
        pytest.param("volcengine", "ark", id="volcengine-python-sdk"),
        pytest.param("byteplus", "byteplus", id="byteplus-python-sdk-v2"),
        pytest.param("arkruntime", "ark", id="arkruntime"),
        pytest.param("openai", "ark", id="openai"),
    ],
)
def test_an_official_sdk_is_served_and_its_retries_are_not_paid(
    python: Path, environ: dict[str, str], sdk: str, backend: str
) -> None:
    moderated = "OutputImageSensitiveContentDetected"
    unknown = {"posts": 1, "billed": 1, "met": "InternalServiceError"}

    met = walked(python, sdk, environ, backend)

    assert met == {
        "pictures": {
            "head": "ffd8ff",
            "inline": "ffd8ff",
            "size": "1920x1920",
            "usage": {"generated_images": 1, "output_tokens": 14400, "total_tokens": 14400},
        },
        "group": {"urls": [True, False, True], "code": moderated},
        "stream": {"kinds": ["completed", *["partial_succeeded"] * 3], "images": 3, "error": None},
        "errors": {
            "access-denied": ["AccessDenied", 403, 0],
            "model-not-open": ["ModelNotOpen", 404, 0],
            "internal": ["InternalServiceError", 500, 0],
            "input-text-sensitive": ["InputTextSensitiveContentDetected", 400, 0],
        },
        # Without the gateway each of these is two POSTs and two bills.
        "lost": {"internal": unknown, "drop": unknown, "hang": unknown},
        "slow": {"head": "ffd8ff", "posts": 1, "billed": 1},
    }


def examples(language: str) -> list[str]:
    """The page's copy-paste starts in one language."""
    page = (ROOT / "references" / "gateway.md").read_text(encoding="utf-8")
    return [block for block in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL) if "8790" in block]


@pytest.mark.parametrize("example", examples("python"), ids=["openai", "volcengine"])
def test_an_example_of_the_page_prints_the_address_of_a_picture(
    python: Path, environ: dict[str, str], tmp_path: Path, example: str
) -> None:
    Image.new("RGB", (640, 360), "teal").save(tmp_path / "lighthouse.jpg")
    app = emulator(profile="ark", paint="instant", keys=["test-key"])
    with running(app) as service, gateway(environ, "ark", service) as base:
        code = example.replace("http://127.0.0.1:8790", base)
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)

    assert (done.returncode, done.stdout[:22]) == (0, "http://127.0.0.1:" + done.stdout[17:22]), done.stderr
    assert app.state.request_log.posts == example.count("client.images.")


def test_the_pages_curl_gets_two_pictures(environ: dict[str, str]) -> None:
    (command,) = [block for block in examples("sh") if block.startswith("curl")]
    app = emulator(profile="ark", paint="instant", keys=["test-key"])
    with running(app) as service, gateway(environ, "ark", service) as base:
        whole = command.replace("http://127.0.0.1:8790", base).replace("curl ", "curl -sS --noproxy '*' ")
        done = subprocess.run(["sh", "-c", whole], capture_output=True, text=True, timeout=60)

    assert [slot["size"] for slot in json.loads(done.stdout)["data"]] == ["1440x2560"] * 2, done.stderr
