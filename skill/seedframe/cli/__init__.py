"""The command line: the same wishes as the tools, for people and for agents without MCP.

In: arguments and the environment. Out: paths and sentences on stdout, or one JSON document with `--json`; progress and
errors on stderr. Never in here: a rule about models, MCP (imported only by `serve` and `demo`).
"""

from __future__ import annotations

import logging
import os
import sys

import click

from seedframe import __version__
from seedframe.cli.common import fail, say
from seedframe.errors import NotConfigured
from seedframe.messages import Language
from seedframe.settings import Settings

__all__ = ["main", "program"]


def main() -> None:
    """The program `seedframe`."""
    try:
        settings = Settings.read(os.environ)
    except NotConfigured as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    program(settings.language)(obj=settings, prog_name="seedframe")


def program(language: Language) -> click.Group:
    """The command tree with its help in one language."""
    from seedframe.cli import books, pictures, service, tools

    group = click.Group("seedframe", callback=_begin, help=say("cli.help", language), no_args_is_help=True)
    group.params += [
        click.Option(["--backend"], help=say("cli.option-backend", language)),
        click.Option(["--version"], is_flag=True, is_eager=True, callback=_version, expose_value=False),
    ]
    for module in (pictures, tools, service, books):
        for command in module.commands(language):
            group.add_command(command)
    return group


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
