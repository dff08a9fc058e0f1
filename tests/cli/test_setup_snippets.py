"""What `setup` prints for each host starts this very program there, wherever it is; its errors are for machines too."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from seedframe.cli.layout import columns
from seedframe.cli.setup_commands import host_snippet, in_uv_cache
from seedframe.front.first_answers import first_answers
from seedframe.front.kept_answers import answers_file, read_answers
from seedframe.package_data import data_json
from stdio_host import bare

HOSTS = data_json("host_setup.json")["hosts"]
INSTALLED = {
    "a command": ["/usr/bin/seedframe"],
    "a folder with a space": ["/Users/an li/bin/seedframe"],
    "a module": ["/usr/bin/python3", "-m", "seedframe"],
}


def started_by(snippet: str) -> list[str]:
    """The words a host would start, from its line or from its configuration."""
    place, _, document = snippet.partition(":\n")
    if not document:
        words = shlex.split(place)
        return words[words.index("seedframe") + 1 :] if "--" not in words else words[words.index("--") + 1 :]
    (server,) = entries(json.loads(document))
    command = server["command"]
    return list(command) if isinstance(command, list) else [command, *server["args"]]


def entries(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "command" in document:
        yield document
    for inner in document.values():
        if isinstance(inner, dict):
            yield from entries(inner)


@pytest.mark.parametrize("words", INSTALLED.values(), ids=INSTALLED)
@pytest.mark.parametrize("host", HOSTS, ids=[host["title"] for host in HOSTS])
def test_every_host_starts_exactly_this_program(host: dict[str, Any], words: list[str]):
    assert started_by(host_snippet(host, words)) == [*words, "serve"]


def test_a_program_in_the_cache_of_uv_is_not_one_to_give_to_a_host():
    assert in_uv_cache("/root/.cache/uv/archive-v0/C-6Z3ByFVy8LODKB/bin/seedframe")
    assert not in_uv_cache("/root/.local/bin/seedframe")


def seedframe(*words: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seedframe", *words]
    return subprocess.run(
        command, env=bare(environ), stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=60
    )


@pytest.mark.slow
def test_setup_without_a_key_says_so_to_machines(environ: dict[str, str]):
    done = seedframe("--backend", "ark", "setup", "--json", environ=environ)

    assert done.returncode == 2
    assert json.loads(done.stdout) == {
        "error": "NotConfigured",
        "message": "No key was given; nothing was kept.",
        "setting": "ARK_API_KEY",
    }


@pytest.mark.slow
def test_the_doctor_fits_a_terminal_of_80_columns_and_says_what_to_do_about_a_key(environ: dict[str, str]):
    usual = {
        name: value for name, value in environ.items() if name not in {"SEEDFRAME_INPUT_ROOTS", "SEEDFRAME_BACKEND"}
    }
    done = seedframe("doctor", environ=usual)

    assert "ARK_API_KEY is not set; `seedframe setup` asks for it" in done.stdout
    wide = [line for line in done.stdout.splitlines() if columns(line) > 80]
    assert [line for line in wide if " " in line.strip()] == []
    assert "SEEDFRAME_INPUT_ROOTS=\n" in done.stdout


@pytest.mark.slow
def test_what_setup_keeps_for_the_first_host_is_what_the_server_answers(environ: dict[str, str]):
    done = seedframe("setup", environ=environ)

    assert done.returncode == 0, done.stderr
    assert read_answers(answers_file(bare(environ))) == first_answers(bare(environ)) != {}
