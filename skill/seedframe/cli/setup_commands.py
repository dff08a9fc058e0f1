"""`setup` and `completion`: set up a fresh installation for its first picture, and the shell's completion.

In: answers typed by a person, or options and a key on stdin. Out: a stored backend and key, the checks of `doctor`,
the commands for each host; a completion script. Never in here: a paid call, a key in any output.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from seedframe.api import in_process_backend
from seedframe.catalog import Backend, catalog
from seedframe.cli.common import fail, json_option, run, say
from seedframe.cli.doctor_command import condition_lines
from seedframe.errors import NotConfigured, StoreError
from seedframe.front.kept_answers import PREFIX, answers_file, config_file, keep_answers
from seedframe.messages import Language, Message
from seedframe.package_data import data_json
from seedframe.settings import Settings
from seedframe.stored_settings import store, with_stored

SHELLS = ("bash", "zsh", "fish")


def commands(language: Language) -> tuple[click.Command, ...]:
    """Both commands with help in one language."""
    shell = click.Argument(["shell"], type=click.Choice(SHELLS))
    return (
        click.Command("setup", callback=_setup, params=[json_option(language)], help=say("setup.setup", language)),
        click.Command("completion", callback=_completion, params=[shell], help=say("setup.completion", language)),
    )


@click.pass_obj
def _setup(settings: Settings, as_json: bool) -> None:
    from seedframe.studio.doctor import examine

    backend = _chosen(settings)
    place = _kept(settings, backend, as_json=as_json)
    fresh = Settings.read(with_stored({**settings.environ, "SEEDFRAME_BACKEND": backend.name}))
    found = run(examine(fresh, in_process_backend(fresh)), fresh, as_json=as_json)
    _warm(fresh)
    good = all(condition.good for condition in found)
    words = _start_words()
    snippets = list(_snippets(words))
    if in_uv_cache(words[0]):
        click.echo(say("uvx.in-cache", settings.language), err=True)
    if as_json:
        facts = {"backend": backend.name, "kept": place, "good": good, "hosts": dict(snippets)}
        click.echo(json.dumps(facts, ensure_ascii=False))
    else:
        click.echo("\n".join(condition_lines(found, settings.language)))
        click.echo("\n" + say("setup.hosts", settings.language))
        for title, text in snippets:
            click.echo(f"\n{title}\n  " + text.replace("\n", "\n  "))
    sys.exit(0 if good else 1)


def _chosen(settings: Settings) -> Backend:
    """The backend named by `--backend` or its variable; else asked for on a terminal."""
    known, service = catalog(), settings.backend
    named = click.get_current_context().find_root().params.get("backend") or os.environ.get("SEEDFRAME_BACKEND")
    if not named and sys.stdin.isatty():
        names = click.Choice([backend.name for backend in known.backends])
        asked = say("setup.ask-backend", settings.language)
        service = str(click.prompt(asked, type=names, default=settings.backend, err=True))
    return known.backend(service)


def _kept(settings: Settings, backend: Backend, *, as_json: bool) -> str:
    """Store the choice and, where the backend needs one, its key; returns where the key is."""
    key = _key(settings, backend, as_json=as_json) if backend.key_settings else {}
    path = config_file(settings.environ)
    try:
        place = store(settings.environ, {"SEEDFRAME_BACKEND": backend.name}, key)
    except OSError as error:
        why = error.strerror or str(error)
        fail(StoreError(Message("setup.not-kept", path=path, why=why)), settings, as_json=as_json)
    kept = "setup.kept-backend" if not key else "setup.kept-keyring" if place == "keyring" else "setup.kept-file"
    click.echo(say(kept, settings.language, path=path), err=True)
    return place


def _key(settings: Settings, backend: Backend, *, as_json: bool) -> dict[str, str]:
    """The key: typed without echo, or the first line of stdin."""
    name = backend.key_settings[0]
    if backend.console:
        click.echo(say("setup.where", settings.language, title=backend.title, console=backend.console), err=True)
    if sys.stdin.isatty():
        given = str(click.prompt(say("setup.ask-key", settings.language, name=name), hide_input=True, err=True))
    else:
        given = sys.stdin.readline()
    if not given.strip():
        fail(NotConfigured(Message("setup.no-key"), facts={"setting": name}), settings, as_json=as_json)
    return {name: given.strip()}


def _warm(settings: Settings) -> None:
    """Prepare the first answers to a host, so that even the first start is fast, with our variables set or not."""
    from seedframe.mcp_server.app import build_server
    from seedframe.mcp_server.spoken_answers import spoken_answers

    bare = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    for environ in (dict(os.environ), bare):
        known = Settings.read(with_stored(environ))
        server = build_server(lambda: _no_studio(), settings.language, known, announces=True)  # noqa: PLW0108
        try:
            keep_answers(answers_file(environ), asyncio.run(spoken_answers(server)))
        except OSError:
            return  # the first start of a host does it then


def _no_studio() -> Any:
    raise RuntimeError("a list needs no studio")


def _start_words() -> list[str]:
    """How a host starts this program: the command on the PATH, else the one beside the interpreter, else the module."""
    beside = Path(sys.executable).with_name("seedframe.exe" if os.name == "nt" else "seedframe")
    found = shutil.which("seedframe") or (str(beside) if beside.is_file() else None)
    return [found] if found else [sys.executable, "-m", "seedframe"]


def in_uv_cache(command: str) -> bool:
    """Whether `uvx` put the program where `uv cache clean` removes it."""
    return any(part.startswith("archive-v") for part in Path(command).parts)


def _snippets(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The name of each host with its command or configuration; `words` start the program."""
    for host in data_json("host_setup.json")["hosts"]:
        yield host["title"], host_snippet(host, words)


def host_snippet(host: Mapping[str, Any], words: Sequence[str]) -> str:
    """The line to type, or the file and what to write into it."""
    if "line" in host:
        line = subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
        return str(host["line"]).replace("{command}", line)
    filled = _filled(host["json"], [Path(word).as_posix() if word == words[0] else word for word in words])
    return f"{host['file']}:\n{json.dumps(filled, ensure_ascii=False, indent=2)}"


def _filled(value: Any, words: Sequence[str]) -> Any:
    """The configuration with the words in place of `{command}`; those after the first go before its arguments."""
    if isinstance(value, list):
        return [part for item in value for part in (words if item == "{command}" else [item])]
    if not isinstance(value, dict):
        return value
    if value.get("command") == "{command}":
        return {**value, "command": words[0], "args": [*words[1:], *value["args"]]}
    return {name: _filled(inner, words) for name, inner in value.items()}


@click.pass_context
def _completion(context: click.Context, shell: str) -> None:
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "seedframe", "_SEEDFRAME_COMPLETE").source())
