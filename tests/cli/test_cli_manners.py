"""The command line behaves: letters, options anywhere, help with examples, errors for machines, completion, setup."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from children import system
from commands import ALLEY, walked
from seedframe.cli import program
from seedframe.cli.layout import columns, wrapped
from seedframe.cli.program import as_words
from seedframe.emulator import emulator, running
from seedframe.messages import LANGUAGES, Language
from seedframe.settings import Settings

KEY = "a-key-of-a-person-0123456789"


def run(*words: str, environ: Mapping[str, str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The program itself, as a shell starts it."""
    kept = system()
    return subprocess.run(
        [sys.executable, "-m", "seedframe", *words],
        env={**kept, "LANG": "C.UTF-8", **environ},
        capture_output=True,
        timeout=60,
        **{"stdin": subprocess.DEVNULL, **options},
    )


@pytest.fixture
def base() -> Iterator[str]:
    with running(emulator(paint="instant")) as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "cp936", "ascii"])
def test_letters_leave_as_utf8_whatever_the_console_says(encoding: str, environ: dict[str, str]):
    odd = {**environ, "PYTHONIOENCODING": encoding, "SEEDFRAME_LANG": "zh", "LANG": "C"}
    done = run("generate", ALLEY, "--ratio", "9:16", environ=odd)
    dry = run("generate", ALLEY, "--ratio", "9:16", "--dry-run", environ=odd)

    assert (done.returncode, dry.returncode) == (0, 0), done.stderr
    assert "alley" in done.stdout.decode("utf-8") or "图片" in done.stdout.decode("utf-8")
    assert ALLEY in dry.stdout.decode("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["--backend", "uniall", "models", "--json"],
        ["models", "--backend", "uniall", "--json"],
        ["--json", "models", "--backend=uniall"],
        ["generate", ALLEY, "--dry-run", "--json", "--backend", "uniall", "--ratio", "1:1"],
        ["--json", "--backend=uniall", "generate", ALLEY, "--dry-run", "--ratio", "1:1"],
    ],
    ids=" ".join,
)
def test_global_options_stand_anywhere(words: list[str], environ: dict[str, str]):
    done = run(*words, environ=environ)

    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert isinstance(document, list) or document["backend"] == "uniall"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_help_has_examples_that_can_be_typed(language: Language):
    root = program(language)
    commands = dict(walked(root))
    assert [path for path, command in commands.items() if not command.epilog] == []
    for path, command in commands.items():
        lines = [line.strip() for line in (command.epilog or "").splitlines()[2:]]
        for line in lines:
            if not line.startswith("seedframe "):
                continue
            words = as_words(line.partition(" > ")[0].partition(" < ")[0])
            assert path == () or tuple(words[: len(path)]) == path, line
            parsed(root, words)


def parsed(root: click.Group, words: list[str]) -> None:
    """Options and arguments are understood; nothing is run."""
    context = root.make_context("seedframe", list(words), resilient_parsing=False)
    group: click.Command = root
    while isinstance(group, click.Group):
        name, command, left = group.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        context = command.make_context(name, left, parent=context)
        group = command


@pytest.mark.slow
@pytest.mark.parametrize("words", [["-h"], ["generate", "-h"], ["storyboard", "run", "-h"], ["journal", "-h"]])
def test_h_is_help(words: list[str], environ: dict[str, str]):
    done = run(*words, environ=environ)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Examples:" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["generate", ALLEY, "--shiny", "--json"], "--shiny"),
        (["generate", ALLEY, "--count", "many", "--json"], "count"),
        (["nothing", "--json"], None),
        (["journal", "show", "--json"], "id"),
        (["emulate", "--port", "99999", "--json"], None),
        (["--json", "crop"], "source"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_of_the_command_line_itself_is_json_too(words: list[str], field: str | None, environ: dict[str, str]):
    done = run(*words, environ=environ)

    facts = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (2, b"")
    assert facts["error"] == "InvalidRequest"
    assert facts["message"]
    assert field is None or facts["field"] == field


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["edit", "把背景换成蓝色", "--image", "nowhere.png"],
        ["crop", "nowhere.png", "--ratio", "9:16"],
        ["inspect", "nowhere.png"],
        ["generate", "--brief", "nowhere.json"],
        ["style", "--brief", "nowhere.json"],
        ["storyboard", "plan", "nowhere.json"],
    ],
    ids=" ".join,
)
def test_a_missing_file_has_one_exit_code(words: list[str], environ: dict[str, str]):
    done = run(*words, environ=environ)

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"nowhere" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "failed"),
    [
        (["generate", ALLEY, "--ratio", "20:1"], True),
        (["crop", "nowhere.png", "--ratio", "9:16"], False),
        (["inspect", "nowhere.png"], False),
        (["schema", "paint_house"], False),
        (["storyboard", "plan", "nowhere.json"], False),
        (["style"], False),
        (["journal", "show", "nothing"], False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_generation_failed_only_where_one_was_asked_for(words: list[str], failed: bool, environ: dict[str, str]):
    done = run(*words, environ=environ)

    assert done.returncode == 2
    assert (b"Seedream generation failed" in done.stderr) is failed


@pytest.mark.slow
def test_a_dry_run_says_that_the_budget_would_refuse_it(environ: dict[str, str]):
    words = ["generate", ALLEY, "--ratio", "9:16", "--dry-run"]
    poor = run(*words, environ={**environ, "SEEDFRAME_BUDGET": "0.10 CNY"})
    rich = run(*words, environ={**environ, "SEEDFRAME_BUDGET": "10 CNY"})

    assert (poor.returncode, rich.returncode) == (0, 0)
    assert b"would be refused" in poor.stdout
    assert b"0.10" in poor.stdout
    assert b"would be refused" not in rich.stdout


def completed(words: str, environ: Mapping[str, str]) -> list[str]:
    asked = {"_SEEDFRAME_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = run(environ={**environ, **asked})
    return done.stdout.decode().splitlines()


@pytest.mark.slow
def test_a_shell_completes_commands_models_backends_and_files(environ: dict[str, str]):
    assert "plain,generate" in completed("seedframe gen", environ)
    assert completed("seedframe generate --model 4", environ) == ["plain,4.5", "plain,4.0"]
    assert completed("seedframe --backend by", environ) == ["plain,byteplus"]
    assert completed("seedframe edit --image al", environ) == ["file,al"]
    assert completed("seedframe crop al", environ) == ["file,al"]


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_what_the_shell_reads(shell: str, environ: dict[str, str]):
    done = run("completion", shell, environ=environ)

    assert done.returncode == 0, done.stderr
    assert b"_SEEDFRAME_COMPLETE" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_doctor_fits_80_columns_and_leads_to_the_console(language: Language, environ: dict[str, str], base: str):
    long = {**environ, "SEEDFRAME_LANG": language, "SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": KEY, "ARK_API_BASE": base}
    done = run("doctor", environ=long)

    lines = done.stdout.decode().splitlines()
    wide = [line for line in lines if columns(line) > 80]
    assert [line for line in wide if " " in line.strip().partition(" ")[2] and "=" not in line] == []
    assert environ["SEEDFRAME_JOURNAL"] in done.stdout.decode()
    assert "https://console.volcengine.com/ark" in done.stdout.decode()
    assert KEY not in done.stdout.decode()


def test_lines_break_between_words_and_between_chinese_characters_and_never_in_a_path():
    path = "/a" * 60
    lines = list(wrapped(f"pictures go to {path} 图片保存在这个文件夹里" + "很" * 60, first="ok  ", indent="    "))

    assert path in "".join(line.strip() for line in lines if path in line)
    assert [line for line in lines if columns(line) > 80] == [f"    {path}"]
    assert "".join(lines).count("很") == 60


@pytest.mark.slow
def test_setup_keeps_a_key_privately_checks_without_paying_and_shows_every_host(
    environ: dict[str, str], base: str, tmp_path: Path
):
    bare = {name: value for name, value in environ.items() if name != "SEEDFRAME_BACKEND"}
    done = run("setup", "--backend", "ark", environ={**bare, "ARK_API_BASE": base}, input=KEY.encode(), stdin=None)
    said = (done.stdout + done.stderr).decode()
    kept = tmp_path / "config" / "seedframe" / "settings.json"
    later = run("doctor", "--json", environ={**bare, "ARK_API_BASE": base})

    assert done.returncode == 0, said
    assert KEY not in said
    assert "https://console.volcengine.com/ark" in said
    for line in (
        "claude mcp add --scope user",
        "codex mcp add seedframe",
        "gemini mcp add --scope user",
        "opencode.json",
    ):
        assert line in said
    assert json.loads(kept.read_text())["variables"] == {"SEEDFRAME_BACKEND": "ark", "ARK_API_KEY": KEY}
    assert os.name == "nt" or stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert later.returncode == 0, later.stdout
    assert list((tmp_path / "cache" / "seedframe").glob("answers-*.json")), "the first host is answered at once"


@pytest.mark.slow
def test_setup_without_a_key_keeps_nothing(environ: dict[str, str], tmp_path: Path):
    done = run("setup", "--backend", "ark", environ=environ)

    assert done.returncode == 2
    assert not (tmp_path / "config").exists()


def test_a_variable_that_is_set_wins_over_what_was_kept(environ: dict[str, str], tmp_path: Path):
    from seedframe.stored_settings import store, with_stored

    store(environ, {"SEEDFRAME_BACKEND": "uniall"}, {"ARK_API_KEY": KEY})
    bare = {name: value for name, value in environ.items() if name != "SEEDFRAME_BACKEND"}

    assert with_stored(environ)["SEEDFRAME_BACKEND"] == "emulator"
    assert with_stored(bare)["SEEDFRAME_BACKEND"] == "uniall"
    assert Settings.read(with_stored(bare)).environ["ARK_API_KEY"] == KEY


@pytest.mark.slow
def test_setup_uses_the_keyring_where_there_is_one(environ: dict[str, str], tmp_path: Path, base: str):
    package = tmp_path / "lib" / "keyring"
    package.mkdir(parents=True)
    ring = tmp_path / "ring.json"
    (package / "errors.py").write_text("class KeyringError(Exception): ...\n")
    (package / "__init__.py").write_text(
        "import json, pathlib\n"
        f"RING = pathlib.Path({str(ring)!r})\n"
        "def set_password(service, name, secret): RING.write_text(json.dumps([service, name, secret]))\n"
        "def get_password(service, name): return json.loads(RING.read_text())[2] if RING.exists() else None\n"
    )
    home = {**environ, "PYTHONPATH": str(package.parent), "SEEDFRAME_BACKEND": "ark", "ARK_API_BASE": base}
    done = run("setup", environ=home, input=KEY.encode(), stdin=None)
    kept = (tmp_path / "config" / "seedframe" / "settings.json").read_text()
    later = run("doctor", "--json", environ=home)

    assert done.returncode == 0, done.stderr
    assert json.loads(ring.read_text()) == ["seedframe", "ARK_API_KEY", KEY]
    assert KEY not in kept
    assert later.returncode == 0, later.stdout


@pytest.mark.slow
def test_a_picture_is_inspected_as_before(environ: dict[str, str], tmp_path: Path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")

    assert run("inspect", str(tmp_path / "a.png"), environ=environ).returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        ["fetch", "--all"],
        ["history", "list"],
        ["history", "forget", "--all"],
        ["costs"],
        ["journal", "settle", "d1zwgt9xmkaa", "--not-billed"],
    ],
    ids=" ".join,
)
def test_a_misspelt_database_is_refused_and_is_not_taken_for_this_machine_s_record(
    words: list[str], environ: dict[str, str]
):
    misspelt = "postgress://me:word@db.example/boards"
    done = CliRunner().invoke(program("en"), [*words, "--database", misspelt], obj=Settings.read(environ))

    assert done.exit_code == 2
    assert "db.example/boards is no database address. Give postgresql://host/name" in " ".join(done.output.split())
    assert "word" not in done.output
