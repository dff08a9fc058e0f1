"""The compose file starts what there is: our commands with their options, our settings, a store and a database."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from seedframe.catalog import catalog
from seedframe.cli import program
from seedframe.settings import SETTINGS

FILE = Path(__file__).parents[2] / "docs" / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))["services"]
STORES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "DATABASE", "SOURCE"}


def command_of(words: list[str]) -> click.Command:
    """The command that a line names, with every option it has."""
    command: click.Command = program("en")
    for word in words:
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
    return command


def test_the_services_are_a_database_a_store_workers_and_who_directs_them() -> None:
    assert set(SERVICES) == {"database", "store", "worker", "director"}
    assert SERVICES["worker"]["depends_on"] == {
        "database": {"condition": "service_healthy"},
        "store": {"condition": "service_started"},
    }


def test_the_worker_is_started_as_the_command_line_knows_it() -> None:
    words = SERVICES["worker"]["command"]
    command = command_of(words[words.index("seedframe") + 1 :])

    assert command.name == "worker"
    assert {word for word in words if word.startswith("--")} - {"--from"} <= {
        option for parameter in command.params for option in parameter.opts
    }


def test_the_lines_in_its_head_are_commands_of_ours() -> None:
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if "run --rm director" in line]
    words = shlex.split(re.sub(r".* director ", "", lines[0]))
    command = command_of(words)

    assert command.name == "run"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} | {"--database"} <= known


def test_every_variable_of_ours_is_a_setting() -> None:
    keys = {name for backend in catalog().backends for name in backend.key_settings}
    given = {name for service in ("worker", "director") for name in SERVICES[service]["environment"]}

    assert given <= {setting.name for setting in SETTINGS} | keys | STORES
