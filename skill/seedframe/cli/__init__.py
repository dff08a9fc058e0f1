"""The command line: the same calls as the tools, for people and for agents without MCP.

In: arguments and the environment. Out: paths and sentences on stdout, or one JSON document with `--json`; progress and
errors on stderr. Never in here: a rule about models, MCP (imported only by `serve` and `demo`).
"""

from __future__ import annotations

import io
import logging
import os
import sys

import click

from seedframe import __version__
from seedframe.cli.common import fail, say
from seedframe.cli.completion import complete_backend
from seedframe.cli.program import Program
from seedframe.errors import NotConfigured
from seedframe.messages import Language
from seedframe.settings import Settings, language_of
from seedframe.stored_settings import with_stored

__all__ = ["main", "program"]


def main() -> None:
    """The program `seedframe`."""
    _use_utf8()
    environ = with_stored(os.environ)
    try:
        settings = Settings.read(environ)
    except NotConfigured as error:
        click.echo(error.text(language_of(environ)), err=True)
        sys.exit(2)
    try:
        _program(settings.language)(obj=settings, prog_name="seedframe")
    except NotConfigured as error:  # before any command: the data files contradict each other
        fail(error, settings, as_json=False)


def _use_utf8() -> None:
    """UTF-8 whatever the console says: a character that cannot be written must not fail a paid call."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                encoding="utf-8", errors="surrogateescape" if stream is sys.stdin else "backslashreplace"
            )


def program(language: Language) -> click.Group:
    """The whole command tree with its help in one language."""
    whole = _program(language)
    whole.list_commands(click.Context(whole))
    return whole


def _program(language: Language) -> click.Group:
    options = [
        click.Option(["--backend"], help=say("cli.option-backend", language), shell_complete=complete_backend),
        click.Option(["--version"], is_flag=True, is_eager=True, callback=_version, expose_value=False),
    ]
    return Program(language, name="seedframe", params=[*options], callback=_begin, help=say("cli.help", language))


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
