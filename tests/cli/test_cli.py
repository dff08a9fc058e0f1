"""The command line as people and agents without MCP use it, against an emulator on a socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from starlette.applications import Starlette

from children import system
from commands import ALLEY, walked
from known_models import KNOWN
from seedframe import __version__
from seedframe.catalog import catalog
from seedframe.cli import program
from seedframe.emulator import emulator, running
from seedframe.messages import Language
from seedframe.settings import Settings

CHANGE = "把图1中的油纸伞换成红色的纸灯笼，保持人物、小巷和光线不变。"
COMMANDS = {
    "generate",
    "edit",
    "style",
    "crop",
    "inspect",
    "models",
    "schema",
    "doctor",
    "emulate",
    "serve",
    "demo",
    "journal",
    "costs",
    "fetch",
}


@dataclass(frozen=True)
class Shell:
    """Commands typed one after another in one home."""

    environ: dict[str, str]
    service: Starlette

    def __call__(self, *words: str, typed: str | None = None, **variables: str) -> Result:
        settings = Settings.read({**self.environ, **variables})
        return CliRunner().invoke(program(settings.language), list(words), obj=settings, input=typed)

    def json(self, *words: str, **variables: str) -> Any:
        """What a command prints with `--json`: exactly one document."""
        done = self(*words, "--json", **variables)
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def socket_service() -> Iterator[tuple[Starlette, str]]:
    """One emulator on a socket for all commands of this file."""
    service = emulator(paint="instant")
    with running(service) as base:
        yield service, base


@pytest.fixture
def shell(environ: dict[str, str], socket_service: tuple[Starlette, str]) -> Shell:
    """A fresh home before a service without a past."""
    service, base = socket_service
    service.state.service.reset()
    return Shell({**environ, "SEEDFRAME_EMULATOR_BASE": base}, service)


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.fixture
def alley(shell: Shell) -> Any:
    """A picture made before."""
    return shell.json("generate", ALLEY, "--ratio", "9:16", "--save-as", "alley")


def test_the_commands_are_these():
    assert {path[0] for path, _ in walked(program("en")) if path} >= COMMANDS


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_command_has_help_in_the_users_language(language: Language):
    commands = dict(walked(program(language)))

    assert [path for path, command in commands.items() if not command.help] == []
    chinese = {path: any("一" <= letter <= "鿿" for letter in command.help or "") for path, command in commands.items()}
    assert {path for path, found in chinese.items() if found} == (set(commands) if language == "zh" else set())


@pytest.mark.slow
def test_every_command_that_answers_can_answer_in_json():
    talking = {path for path, command in walked(program("en")) if not isinstance(command, click.Group)}
    silent = {path for path in talking if not any("--json" in p.opts for p in dict(walked(program("en")))[path].params)}

    endless = {("serve",), ("gateway",), ("emulate",), ("demo",), ("completion",), ("gallery",)}
    assert silent <= {*endless, ("adapter", "drama-skills")}, "they run until stopped, print a script, or speak JSON"


@pytest.mark.slow
def test_help_of_every_command_works(shell: Shell):
    for path, _ in walked(program("en")):
        done = shell(*path, "--help")
        assert (done.exit_code, done.stderr) == (0, "")
        assert done.stdout.startswith("Usage: ")


def test_a_picture_is_told_in_two_lines_and_progress_goes_to_stderr(shell: Shell, tmp_path: Path):
    done = shell("generate", ALLEY, "--ratio", "9:16", "--save-as", "alley")

    path = tmp_path / "pictures" / "alley.jpg"
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "Made 1 picture(s) with Seedream 5.0-lite, 0.22 CNY. (emulated: nothing was charged)",
        f"full-size file: {path} (1440x2560, the service's own bytes)",
    ]
    assert done.stderr.splitlines() == [
        "request sent; the service draws, for at most 600 s",
        "picture 1 is ready; it is being downloaded, for at most 120 s",
        f"picture 1 saved: {path}",
    ]
    assert size_of(path) == (1440, 2560)


def test_the_same_picture_for_a_machine_is_one_json_document(shell: Shell, tmp_path: Path):
    facts = shell.json("generate", ALLEY, "--ratio", "9:16", "--save-as", "film/alley", "--seed", "7")

    assert {name: facts[name] for name in ("status", "tool", "model", "prompt", "seed", "emulated")} == {
        "status": "done",
        "tool": "generate_image",
        "model": "5.0-lite",
        "prompt": ALLEY,
        "seed": 7,
        "emulated": True,
    }
    assert [picture["path"] for picture in facts["pictures"]] == [str(tmp_path / "pictures" / "film" / "alley.jpg")]


@pytest.mark.slow
def test_an_edit_takes_pictures_in_the_order_they_are_typed(shell: Shell, alley: Any, tmp_path: Path):
    other = tmp_path / "other.png"
    Image.linear_gradient("L").resize((300, 400)).convert("RGB").save(other)
    (made,) = alley["pictures"]
    facts = shell.json("edit", CHANGE, "--image", made["id"], "--image", str(other), "--ratio", "9:16")

    sent = shell.service.state.request_log.entries[-1].body["image"]
    assert facts["references"] == [made["id"], str(other)]
    assert [image.partition(";")[0] for image in sent] == ["data:image/jpeg", "data:image/png"]


def test_a_brief_comes_from_a_file_from_stdin_or_from_the_words_themselves(shell: Shell, tmp_path: Path):
    brief = {"subject": "一只红色的狐狸", "setting": "雪地", "lighting": "清晨的逆光"}
    text = json.dumps(brief, ensure_ascii=False)
    file = tmp_path / "brief.json"
    file.write_text(text, encoding="utf-8")
    dry = ("generate", "--ratio", "1:1", "--dry-run", "--json", "--brief")
    answer = [shell(*dry, str(file)), shell(*dry, "-", typed=text), shell(*dry, text)]

    prompts = [json.loads(done.stdout)["prompt"] for done in answer]
    assert prompts[0] == prompts[1] == prompts[2]
    assert "红色的狐狸" in prompts[0]


def test_a_dry_run_sends_nothing(shell: Shell):
    done = shell("generate", ALLEY, "--ratio", "9:16", "--dry-run")

    first, *rest = done.stdout.splitlines()
    assert first == "Dry run: 1440x2560 would be asked for, at a cost of at most 0.22 CNY. Nothing was sent."
    assert ALLEY in rest
    assert shell.service.state.request_log.posts == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["generate", ALLEY, "--ratio", "20:1"], "16:1"),
        (["generate", ALLEY, "--model", "4.6"], "Known models"),
        (["generate"], "prompt or a brief"),
        (["generate", ALLEY, "--brief", "nowhere.json"], "no readable file"),
        (["generate", "--brief", "{oops}"], "line 1, column 2"),
        (["edit", CHANGE, "--image", "nowhere.png"], "no file"),
        (["edit", CHANGE], "images"),
        (["style"], "prompt or a brief"),
        (["crop", "nowhere.png"], "no readable file"),
        (["schema", "paint_house"], "generate_image"),
        (["schema", "--model", "4.6"], "Known models"),
        (["journal", "show", "nothing"], "no entry nothing"),
        (["journal", "settle", "nothing", "--billed"], "no entry nothing"),
        (["--backend", "nobody", "models", "--remote"], "emulator"),
        (["emulate", "--profile", "nobody"], "emulator"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_mistake_ends_with_2_and_a_sentence_on_stderr(words: list[str], says: str, shell: Shell):
    done = shell(*words)

    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert shell.service.state.request_log.posts == 0


@pytest.mark.parametrize("words", [["crop", "nowhere.png", "--ratio", "9:16"], ["inspect", "nowhere.png"]])
def test_a_picture_that_is_not_there_is_named(words: list[str], shell: Shell):
    done = shell(*words)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "nowhere.png" in done.stderr


def test_with_json_an_error_is_a_document_too(shell: Shell):
    done = shell("generate", ALLEY, "--ratio", "20:1", "--json")

    assert (done.exit_code, done.stderr) == (2, "")
    assert json.loads(done.stdout) == {
        "error": "InvalidRequest",
        "field": "ratio",
        "got": "20:1",
        "allowed": "1:16..16:1",
        "message": "Seedream generation failed: 20:1 is outside the ratios that can be asked for: 1:16 to 16:1. "
        "The nearest legal ratio is 16:1.",
    }


@pytest.mark.parametrize(
    ("script", "variables", "code", "kind"),
    [
        pytest.param(["access-denied"], {}, 1, "ApiError", id="refused"),
        pytest.param([], {"SEEDFRAME_BUDGET": "0.10 CNY"}, 4, "BudgetExceeded", id="over budget"),
        pytest.param([], {"SEEDFRAME_CONFIRM_ABOVE": "0.10 CNY"}, 4, "ConfirmationNeeded", id="not confirmed"),
        pytest.param(["drop-before-answer"], {}, 5, "OutcomeUnknown", id="lost"),
        pytest.param([], {"SEEDFRAME_BACKEND": "ark"}, 2, "NotConfigured", id="no key"),
    ],
)
def test_the_exit_code_tells_what_stands_in_the_way(
    script: list[str], variables: dict[str, str], code: int, kind: str, shell: Shell
):
    shell.service.state.service.script.load(script)
    done = shell("generate", ALLEY, "--ratio", "9:16", "--json", **variables)

    assert (done.exit_code, json.loads(done.stdout)["error"]) == (code, kind)


def test_a_set_that_came_short_ends_with_3(shell: Shell):
    shell.service.state.service.script.load(["slot-error: 1"])
    arguments = [
        "生成一组共3张图：春、夏、秋的同一条小巷，水彩风格，光线柔和。",
        "--count",
        "3",
        "--related",
        "--ratio",
        "9:16",
    ]
    done = shell("generate", *arguments)

    assert done.exit_code == 3
    assert "missing picture 2" in done.stdout


def test_after_a_lost_answer_the_same_wish_needs_a_word_and_the_journal_tells_why(shell: Shell):
    shell.service.state.service.script.load(["drop-before-answer"])
    lost = shell.json("generate", ALLEY, "--ratio", "9:16")
    again = shell("generate", ALLEY, "--ratio", "9:16")
    entry = shell.json("journal", "show", lost["entry"])
    explained = shell("journal", "show", lost["entry"])
    settled = shell.json("journal", "settle", lost["entry"], "--not-billed")
    paid = shell("generate", ALLEY, "--ratio", "9:16")

    assert (again.exit_code, paid.exit_code) == (5, 0)
    assert "--fresh" in again.stderr or "fresh: true" in again.stderr
    assert (entry["state"], settled["state"]) == ("unknown", "failed")
    assert "nobody knows how it ended" in explained.stdout
    assert shell.service.state.request_log.posts == 2


def test_the_books_list_and_sum_what_was_paid(shell: Shell, alley: Any):
    (entry,) = shell.json("journal", "list")
    (row,) = shell.json("costs")
    lines = shell("journal", "list").stdout, shell("costs").stdout

    assert (entry["id"], entry["state"], entry["booked"], entry["model"]) == (
        alley["id"],
        "delivered",
        "0.22",
        "5.0-lite",
    )
    assert {name: row[name] for name in ("backend", "model", "images", "booked", "currency")} == {
        "backend": "emulator",
        "model": "5.0-lite",
        "images": 1,
        "booked": "0.22",
        "currency": "CNY",
    }
    assert all("0.22 CNY" in line for line in lines)
    assert Decimal(row["reserved"]) == 0
    assert shell.json("costs", "--until", "2020-01-01") == []


@pytest.mark.slow
def test_words_are_checked_for_free(shell: Shell):
    answer, facts = shell("style", ALLEY, "--ratio", "9:16"), shell.json("style", ALLEY, "--ratio", "9:16")

    assert (answer.exit_code, answer.stdout) == (0, f"{ALLEY}\n")
    assert (facts["prompt"], facts["size"], facts["findings"]) == (ALLEY, "1440x2560", [])


def test_a_local_picture_is_cut_beside_itself_and_described(shell: Shell, tmp_path: Path):
    source = tmp_path / "square.png"
    Image.linear_gradient("L").resize((400, 400)).convert("RGB").save(source)
    before = source.read_bytes()
    facts = shell.json("crop", str(source), "--ratio", "9:16")
    answer = shell("crop", str(source), "--ratio", "9:16", "--anchor", "left", "-o", str(tmp_path / "left.png"))
    described = shell.json("inspect", facts["path"])

    assert (facts["size"], facts["crop"]) == ("225x400", [87, 0, 312, 400])
    assert answer.stdout == f"{tmp_path / 'left.png'}\n"
    assert (described["width"], described["height"], described["format"]) == (225, 400, "png")
    assert "nearest_ratio: 9:16" in shell("inspect", facts["path"]).stdout
    assert source.read_bytes() == before


def test_a_crop_never_overwrites(shell: Shell, tmp_path: Path):
    source, target = tmp_path / "square.png", tmp_path / "cut.png"
    Image.linear_gradient("L").resize((400, 400)).convert("RGB").save(source)
    target.write_bytes(b"mine")
    facts = shell.json("crop", str(source), "--ratio", "9:16", "-o", str(target))

    assert (target.read_bytes(), facts["path"]) == (b"mine", str(tmp_path / "cut-2.png"))


def test_the_models_are_listed_from_the_data_and_the_catalogue_from_the_service(shell: Shell):
    known = shell.json("models")
    listed = shell.json("models", "--remote")
    answer = shell("models", "--remote")

    assert [row["model"] for row in known] == [model.name for model in catalog().models]
    assert [row["model"] for row in known if row["model"] in KNOWN] == list(KNOWN)
    assert [line.split()[0] for line in shell("models").stdout.splitlines()] == [row["model"] for row in known]
    assert "doubao-seedream-4-5-251128" in [entry["id"] for entry in listed["data"]]
    assert "does not mean that your account may use it" in answer.stdout


def test_schemas_are_printed_as_advertised_or_strict(shell: Shell):
    advertised = shell.json("schema", "edit_image")
    strict = shell.json("schema", "edit_image", "--model", "4.5")

    assert (advertised["name"], advertised["inputSchema"]["required"]) == ("edit_image", ["images"])
    assert strict["title"] == "edit_image for Seedream 4.5 on built-in emulator (no key, no cost)"
    assert strict["properties"]["images"]["maxItems"] == 14
    assert json.loads(shell("schema").stdout)["name"] == "generate_image"


@pytest.mark.slow
def test_the_doctor_asks_every_model_without_paying_and_shows_the_settings(shell: Shell):
    found = shell.json("doctor")
    answer = shell("doctor")

    request_log = shell.service.state.request_log
    assert [condition["good"] for condition in found] == [True] * len(found)
    assert {c["name"] for c in found} >= {"key", "base", "folder", "model 5.0-lite", "model 4.5", "model 4.0"}
    assert {entry.body["size"] for entry in request_log.entries if entry.body} == {"1x1"}
    assert request_log.images == 0
    assert "SEEDFRAME_OUTPUT_DIR" in answer.stdout
    assert answer.exit_code == 0


@pytest.mark.slow
def test_the_doctor_tells_a_model_that_is_not_activated(environ: dict[str, str]):
    with running(emulator(paint="instant", not_activated=["5.0-lite"])) as base:
        shell = Shell({**environ, "SEEDFRAME_EMULATOR_BASE": base}, emulator())
        done = shell("doctor", "--json")

    (lite,) = [condition for condition in json.loads(done.stdout) if condition["name"] == "model 5.0-lite"]
    assert (done.exit_code, lite["good"]) == (1, False)
    assert "has not activated the model" in lite["message"]


@pytest.mark.slow
def test_the_doctor_says_which_key_is_missing_and_never_shows_one(shell: Shell):
    without = shell("doctor", SEEDFRAME_BACKEND="ark")
    key = "0123456789abcdef-secret"
    with_key = shell("doctor", SEEDFRAME_BACKEND="ark", ARK_API_KEY=key, ARK_API_BASE="http://127.0.0.1:9")

    assert without.exit_code == 1
    assert "!!  ARK_API_KEY is not set" in without.stdout
    assert "ARK_API_KEY is set" in with_key.stdout
    assert key not in with_key.output


def test_backend_on_the_command_line_wins(shell: Shell):
    done = shell("--backend", "uniall", "generate", ALLEY, "--dry-run", "--ratio", "9:16", "--json")

    assert json.loads(done.stdout)["backend"] == "uniall"


def test_the_users_language_is_used_for_results_and_errors(shell: Shell):
    made = shell("generate", ALLEY, "--ratio", "9:16", SEEDFRAME_LANG="zh")
    wrong = shell("generate", ALLEY, "--ratio", "20:1", SEEDFRAME_LANG="zh")

    assert "Made" not in made.stdout
    assert wrong.stderr.startswith("Seedream 出图失败")


def run(*words: str, environ: dict[str, str], **options: Any) -> subprocess.CompletedProcess[str]:
    """The program itself, as a shell starts it."""
    kept = system()
    return subprocess.run(
        [sys.executable, "-m", "seedframe", *words],
        env={**kept, "LANG": "C.UTF-8", "PYTHONWARNDEFAULTENCODING": "1", **environ},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        **options,
    )


@pytest.mark.slow
def test_the_program_tells_its_version(environ: dict[str, str]):
    done = run("--version", environ=environ)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"seedframe {__version__}\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(("language", "says"), [("en", "expected"), ("zh", "应为")])
def test_a_setting_that_cannot_be_read_is_named_in_the_users_language(
    language: str, says: str, environ: dict[str, str]
):
    done = run("models", environ={**environ, "SEEDFRAME_LANG": language, "SEEDFRAME_TIMEOUT": "soon"})

    assert (done.returncode, done.stdout) == (2, "")
    assert "SEEDFRAME_TIMEOUT" in done.stderr
    assert says in done.stderr


@pytest.mark.slow
def test_words_in_a_broken_encoding_are_refused(environ: dict[str, str]):
    done = run("generate", os.fsdecode(b"caf\xe9 at night, neon"), "--model", "4.5", environ=environ)

    assert (done.returncode, done.stdout) == (2, "")
    assert "UTF-8" in done.stderr


@pytest.mark.slow
def test_the_demo_makes_three_pictures_and_says_what_they_would_have_cost(environ: dict[str, str], tmp_path: Path):
    done = run("demo", "--output", str(tmp_path / "demo"), environ=environ)

    made = sorted((tmp_path / "demo").glob("*.jpg"))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in made] == ["edited.jpg", "keyframe-4.5.jpg", "keyframe.jpg"]
    assert {size_of(path) for path in made} == {(1440, 2560)}
    assert "these three would have cost 0.69 CNY. Nothing was charged." in done.stdout


@pytest.mark.slow
def test_the_demo_fails_loudly(environ: dict[str, str], tmp_path: Path):
    (tmp_path / "demo").write_text("a file where the folder should be", encoding="utf-8")
    done = run("demo", "--output", str(tmp_path / "demo"), environ=environ)

    assert done.returncode == 1
    assert "Seedream generation failed" in done.stderr


@pytest.mark.slow
def test_the_emulator_runs_as_a_program_until_it_is_stopped(environ: dict[str, str]):
    kept = system()
    command = [sys.executable, "-m", "seedframe", "emulate", "--port", "0", "--profile", "ark"]
    process = subprocess.Popen(command, env={**kept, **environ}, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()

    assert "ARK_API_BASE=http://127.0.0.1:" in line
