"""The command line: the same wishes as the tools, for people and for agents without MCP.

In: arguments and the environment. Out: paths and sentences on stdout, or one JSON document with `--json`; progress and
errors on stderr. Never in here: a rule about models, MCP (imported only by `serve` and `demo`).
"""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module
from typing import Any

import click

from seedframe import __version__
from seedframe.cli.common import fail, redacted_output, say
from seedframe.errors import NotConfigured
from seedframe.messages import Language
from seedframe.settings import Settings, language_of

__all__ = ["main", "program"]


def main() -> None:
    """The program `seedframe`."""
    try:
        settings = Settings.read(os.environ)
    except NotConfigured as error:
        click.echo(error.text(language_of(os.environ)), err=True)
        sys.exit(2)
    try:
        _program(settings.language)(obj=settings, prog_name="seedframe")
    except NotConfigured as error:  # outside of every command: the data files contradict each other
        fail(error, settings, as_json=False)


def program(language: Language) -> click.Group:
    """The whole command tree with its help in one language."""
    whole = _program(language)
    whole.list_commands(click.Context(whole))
    return whole


def _program(language: Language) -> click.Group:
    options = [
        click.Option(["--backend"], help=say("cli.option-backend", language)),
        click.Option(["--version"], is_flag=True, is_eager=True, callback=_version, expose_value=False),
    ]
    return _Program(language, name="seedframe", params=[*options], callback=_begin, help=say("cli.help", language))


class _Program(click.Group):
    """Modules are asked one after the other: a host waits for `serve`, which needs the first of them only."""

    def __init__(self, language: Language, **options: Any) -> None:
        super().__init__(no_args_is_help=True, **options)
        self._language = language
        self._unasked = [
            "service_commands",
            "image_commands",
            "payment_commands",
            "fetch_commands",
            "storyboard_commands",
            "local_commands",
        ]

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run it; whatever is written meanwhile, also by an error nobody caught, leaves without keys."""
        settings = extra.get("obj")
        with redacted_output(settings.secrets if isinstance(settings, Settings) else ()):
            return super().main(*args, **extra)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, from the first module that has it."""
        while cmd_name not in self.commands and self._unasked:
            self._ask_next()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command."""
        while self._unasked:
            self._ask_next()
        return super().list_commands(ctx)

    def _ask_next(self) -> None:
        module = import_module(f"seedframe.cli.{self._unasked.pop(0)}")
        for command in module.commands(self._language):
            self.add_command(command)


def _begin(backend: str | None) -> None:
    context = click.get_current_context()
    settings: Settings = context.obj
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    from seedframe.redaction import Redacting

    for handler in logging.getLogger().handlers:
        handler.addFilter(Redacting(settings.secrets))
    if backend is not None:
        try:
            context.obj = Settings.read({**settings.environ, "SEEDFRAME_BACKEND": backend})
        except NotConfigured as error:
            fail(error, settings, as_json=False)


def _version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"seedframe {__version__}")
        context.exit()
