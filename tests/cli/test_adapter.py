"""`seedframe adapter drama-skills` as its production tool starts it: a job on stdin, an answer on stdout, one payment.

The jobs have the exact form of the contract (short-drama-produce/references/adapter-contract.md, 2026-10).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from starlette.applications import Starlette

from seedframe.cli import program
from seedframe.emulator import emulator, running, scripted
from seedframe.settings import Settings

PROMPT = "竖屏中景。一个短发女孩停在巷口，抬头看雨，灯笼的暖光映在积水里。"
BOUND = {
    "slot_id": "REF-AYU",
    "order": 1,
    "path": "输入/阿雨定妆.png",
    "label": "阿雨定妆照",
    "role": "reference_image",
    "may_control": ["身份", "造型"],
    "must_not_control": ["构图"],
}


@dataclass
class Tool:
    """The production tool's side: a project's snapshot, a staging folder, a place for the handle."""

    environ: dict[str, str]
    home: Path
    service: Starlette

    def job(self, **changes: Any) -> dict[str, Any]:
        return {
            "schema_version": "1.0",
            "job_id": "EP001-SHOT001",
            "modality": "image",
            "adapter": "seedream",
            "prompt": PROMPT,
            "source": "剧集/EP001/分镜.md",
            "source_entry": "SHOT-EP001-001",
            "reference_bindings": [],
            "references": [],
            "outputs": ["剧集/EP001/制作成果/images/SHOT-EP001-001-start.png"],
            "parameters": {"ratio": "9:16", "prompt_language": "zh-CN"},
            "overwrite": False,
            "run_id": "20261121T120000-0a1b2c3d",
            "project_root": str(self.home / "inputs"),
            "output_root": str(self.home / "outputs"),
            "handle_path": str(self.home / "handles" / "run.json"),
            **changes,
        }

    def collecting(self, id: str) -> dict[str, Any]:
        left = {name: value for name, value in self.job().items() if name not in {"project_root", "handle_path"}}
        return {**left, "collect_provider_job_id": id}

    def run(self, job: Any, **variables: str) -> Result:
        settings = Settings.read({**self.environ, **variables})
        text = job if isinstance(job, str) else json.dumps(job, ensure_ascii=False)
        return CliRunner().invoke(program("en"), ["adapter", "drama-skills"], obj=settings, input=text.encode())

    @property
    def handle(self) -> str | None:
        path = self.home / "handles" / "run.json"
        return json.loads(path.read_text())["provider_job_id"] if path.exists() else None

    @property
    def posts(self) -> int:
        return int(self.service.state.request_log.posts)


@pytest.fixture
def tool(environ: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Tool]:
    """With `@pytest.mark.parametrize("tool", [...], indirect=True)`: what the service does to the next calls."""
    service = emulator(paint="instant", script=scripted(*getattr(request, "param", ())))
    for name in ("inputs/输入", "outputs"):
        (tmp_path / name).mkdir(parents=True)
    Image.new("RGB", (900, 1600), "teal").save(tmp_path / "inputs" / "输入" / "阿雨定妆.png")
    with running(service) as base:
        yield Tool({**environ, "SEEDFRAME_EMULATOR_BASE": base, "SEEDFRAME_INPUT_ROOTS": ""}, tmp_path, service)


@pytest.fixture
def alone(environ: dict[str, str], tmp_path: Path) -> Tool:
    """With no service at all: whatever is sent fails."""
    return Tool({**environ, "SEEDFRAME_EMULATOR_BASE": "http://127.0.0.1:9"}, tmp_path, Starlette())


@pytest.mark.slow
def test_a_job_gets_its_picture_in_the_staging_folder_under_its_own_format(tool: Tool):
    done = tool.run(tool.job())

    answer = json.loads(done.stdout)
    assert done.exit_code == 0
    assert done.stdout.isascii()
    assert [output["target"] for output in answer["outputs"]] == tool.job()["outputs"]
    source = Path(answer["outputs"][0]["source"])
    assert (source.parent, answer["provider_job_id"]) == (tool.home / "outputs", tool.handle)
    with Image.open(source) as picture:
        assert (picture.format, picture.size) == ("PNG", (1440, 2560))
    assert tool.posts == 1


@pytest.mark.slow
def test_every_target_of_a_job_gets_a_picture_in_its_order(tool: Tool):
    targets = [f"production/{name}" for name in ("a.png", "b.jpg", "c.webp")]
    answer = json.loads(tool.run(tool.job(outputs=targets)).stdout)

    assert [output["target"] for output in answer["outputs"]] == targets
    formats = []
    for output in answer["outputs"]:
        with Image.open(output["source"]) as picture:
            formats.append(picture.format)
    assert formats == ["PNG", "JPEG", "WEBP"]


@pytest.mark.slow
def test_the_confirmed_prompt_is_sent_as_it_is_and_each_reference_with_what_it_may_decide(tool: Tool):
    done = tool.run(tool.job(reference_bindings=[BOUND], references=[BOUND["path"]]))
    assert done.exit_code == 0, done.stderr

    sent = sent_prompt(tool, json.loads(done.stdout)["provider_job_id"])
    assert sent == f"{PROMPT}\n参考图的用途：\n图1《阿雨定妆照》：只决定身份、造型；不得影响构图。"


def sent_prompt(tool: Tool, id: str) -> str:
    settings = Settings.read(tool.environ)
    shown = CliRunner().invoke(program("en"), ["journal", "show", id, "--json"], obj=settings)
    return str(json.loads(shown.stdout)["request"]["prompt"])


def test_collect_gives_a_paid_picture_again_and_pays_nothing(tool: Tool):
    first = json.loads(tool.run(tool.job()).stdout)
    kept = Path(first["outputs"][0]["source"]).read_bytes()
    Path(first["outputs"][0]["source"]).unlink()
    done = tool.run(tool.collecting(first["provider_job_id"]))

    assert json.loads(done.stdout) == first
    assert Path(first["outputs"][0]["source"]).read_bytes() == kept
    assert tool.posts == 1


@pytest.mark.slow
def test_collect_of_a_picture_that_was_changed_since_is_an_error(tool: Tool, tmp_path: Path):
    first = json.loads(tool.run(tool.job()).stdout)
    for path in (tmp_path / "pictures").rglob("*.jpg"):
        path.write_bytes(b"not it")
    done = tool.run(tool.collecting(first["provider_job_id"]))

    assert (done.exit_code, json.loads(done.stdout)["error"]["category"]) == (1, "contract")


@pytest.mark.slow
def test_collect_of_a_payment_nobody_made_is_refused(tool: Tool):
    done = tool.run(tool.collecting("d1zyfnaw6tt3"))
    assert (done.exit_code, json.loads(done.stdout)["error"]["category"], tool.posts) == (2, "invalid_request", 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (
            ["output-image-sensitive"],
            {"category": "invalid_request", "code": "OutputImageSensitiveContentDetected", "http_status": 400},
        ),
        (["key-unknown"], {"category": "authentication", "http_status": 401}),
    ],
    indirect=["tool"],
)
def test_a_refusal_that_billed_nothing_leaves_nothing_to_collect(tool: Tool, expected: dict[str, Any]):
    done = tool.run(tool.job())

    error = json.loads(done.stdout)["error"]
    assert {name: error[name] for name in expected} == expected
    assert error["provider"] == "seedream"
    assert set(error) <= {"provider", "category", "code", "http_status", "request_id", "retryable"}
    assert (done.exit_code, tool.handle, tool.posts) == (1, None, 1)


@pytest.mark.slow
@pytest.mark.parametrize("tool", [["drop-before-answer"]], indirect=True)
def test_a_call_whose_end_is_unknown_keeps_its_handle_and_is_never_repeated(tool: Tool):
    done = tool.run(tool.job())
    again = tool.run(tool.job())
    collected = tool.run(tool.collecting(str(tool.handle)))

    errors = [json.loads(one.stdout)["error"] for one in (done, again, collected)]
    assert [(error["retryable"], error["category"]) for error in errors] == [
        (False, "provider_response"),
        (False, "permission"),
        (False, "provider_response"),
    ]
    assert PROMPT not in done.stdout
    assert tool.posts == 1


@pytest.mark.slow
def test_without_a_key_the_error_says_configuration(tool: Tool):
    done = tool.run(tool.job(), SEEDFRAME_BACKEND="ark")
    assert json.loads(done.stdout) == {
        "error": {"provider": "seedream", "category": "configuration", "code": "NotConfigured", "retryable": False}
    }


@pytest.mark.parametrize(
    "job",
    [
        "no json",
        "[]",
        {},
        {"modality": "video"},
        {"outputs": []},
        {"outputs": ["a.mp4"]},
        {"prompt": ""},
        {"parameters": ["9:16"]},
        {"reference_bindings": [{"order": 1}]},
    ],
    ids=str,
)
def test_what_is_no_image_job_is_refused_before_anything_is_sent(alone: Tool, job: Any):
    done = alone.run(alone.job(**job) if isinstance(job, dict) and job else job)
    assert (done.exit_code, json.loads(done.stdout)["error"]["category"]) == (2, "invalid_request")
