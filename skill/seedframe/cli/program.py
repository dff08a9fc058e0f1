"""Parses the command line: global options anywhere, `-h`, examples, and errors as JSON with `--json`.

In: arguments. Out: a command that runs, or one error with its exit code. Never in here: what a command does.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from importlib import import_module
from typing import Any

import click

from seedframe.cli.common import EXIT_INTERRUPTED, redacted_output, say
from seedframe.messages import Language
from seedframe.package_data import data_json
from seedframe.settings import Settings
from seedframe.studio import render

MODULES = (
    "service_commands",
    "image_commands",
    "payment_commands",
    "fetch_commands",
    "storyboard_commands",
    "local_commands",
    "gallery_command",
    "gateway_command",
    "adapter_commands",
    "setup_commands",
)
_COMPLETING = "_SEEDFRAME_COMPLETE"
_BACKEND, _JSON = "--backend", "--json"


class Program(click.Group):
    """The command tree. Modules are loaded one after another until the wanted command is found."""

    def __init__(self, language: Language, **options: Any) -> None:
        names = {"help_option_names": ["-h", "--help"]}
        super().__init__(
            no_args_is_help=True, context_settings=names, epilog=_examples("seedframe", language), **options
        )
        self._language = language
        self._unread = list(MODULES)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run it; all output, also that of an uncaught error, is redacted."""
        settings = extra.get("obj")
        words = args[0] if args else extra.get("args")
        secrets = settings.secrets if isinstance(settings, Settings) else ()
        # Shell completion writes bytes, which only the plain stream accepts.
        with nullcontext() if _COMPLETING in os.environ else redacted_output(secrets):
            try:
                code = super().main(*args, **{**extra, "standalone_mode": False})
            except click.ClickException as error:
                _print_error(error, as_json=_JSON in (sys.argv[1:] if words is None else words))
                sys.exit(error.exit_code)
            except click.Abort:
                click.echo(say("cli.interrupted", self._language), err=True)
                sys.exit(EXIT_INTERRUPTED)
            sys.exit(code if isinstance(code, int) else 0)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`--backend` and `--json` are understood before and after the command."""
        return super().parse_args(ctx, list(_in_place(args)))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, from the first module that has it."""
        while cmd_name not in self.commands and self._unread:
            self._read_next()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command."""
        while self._unread:
            self._read_next()
        return super().list_commands(ctx)

    def _read_next(self) -> None:
        module = import_module(f"seedframe.cli.{self._unread.pop(0)}")
        for command in module.commands(self._language):
            self.add_command(command)
            for path, one in _walked(command, (str(command.name),)):
                one.epilog = _examples(" ".join(path), self._language)


def _walked(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _walked(inner, (*path, name))


def _examples(path: str, language: Language) -> str | None:
    """Commands that can be typed as shown, one per line."""
    typed = _typed().get(path)
    if typed is None:
        return None
    return "\n".join(["\b", say("cli.examples-head", language), *(f"  {line}" for line in typed)])


@cache
def _typed() -> Mapping[str, Sequence[str]]:
    lines: dict[str, list[str]] = data_json("examples.json")
    renamed = {path.replace("history", "journal", 1): lines[path] for path in lines if path.startswith("history")}
    return lines | {path: [line.replace("history", "journal", 1) for line in old] for path, old in renamed.items()}


def _in_place(words: Sequence[str]) -> Iterator[str]:
    """The same arguments with `--backend` first and `--json` last (it belongs to the command)."""
    split = words.index("--") if "--" in words else len(words)
    options, rest = list(words[:split]), list(words[split:])
    front: list[str] = []
    others: list[str] = []
    while options:
        word = options.pop(0)
        if word == _BACKEND and options:
            front += [word, options.pop(0)]
        elif word.startswith(f"{_BACKEND}="):
            front.append(word)
        elif word != _JSON:
            others.append(word)
    named = [_JSON] if _JSON in words[:split] and others else []
    yield from (*front, *others, *named, *rest)


def _print_error(error: click.ClickException, *, as_json: bool) -> None:
    """Print an error of the command line itself like every other error."""
    if not as_json:
        error.show()
        return
    name = getattr(getattr(error, "param", None), "name", None) or getattr(error, "option_name", None)
    facts = {"error": "InvalidRequest", "field": name, "message": error.format_message()}
    click.echo(render.machine_text({key: value for key, value in facts.items() if value is not None}))


def as_words(example: str) -> list[str]:
    """The arguments of one example, without the program's name."""
    return shlex.split(example, comments=True)[1:]
