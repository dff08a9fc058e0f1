"""`storyboard export`: the pictures of a board's folder go to another tool.

In: a folder, a format, a project. Out: counts and a path, or JSON; exit code 3 while frames are missing.
Never in here: a format (see `storyboard.exchange`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from seedframe.cli.common import EXIT_PARTIAL, fail, json_option, say
from seedframe.errors import SeedreamError
from seedframe.messages import Language
from seedframe.settings import Settings


def export_command(language: Language, *shared: click.Parameter) -> click.Command:
    """`export`; `shared` are the parameters of every command about a folder."""
    options = (
        click.Option(["--to"], required=True, metavar="FORMAT", help=say("exchange.option-to", language)),
        click.Option(
            ["--into"], metavar="PROJECT", type=click.Path(path_type=Path), help=say("exchange.option-into", language)
        ),
        click.Option(["--overwrite"], is_flag=True, help=say("exchange.option-overwrite", language)),
    )
    params = [*shared, *options, json_option(language)]
    return click.Command("export", callback=_export, params=params, help=say("exchange.command", language))


@click.pass_obj
def _export(
    settings: Settings,
    as_json: bool,
    folder: Path,
    to: str,
    into: Path | None,
    overwrite: bool,
    database: str | None,
) -> None:
    from seedframe.storyboard.exchange.board_export import export
    from seedframe.storyboard.reports import finding_lines

    target = into.absolute() if into else None
    try:
        done = export(folder.absolute(), to, target, database=database, settings=settings, over=overwrite)
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)
    if as_json:
        click.echo(json.dumps(done.as_json(), ensure_ascii=False))
    else:
        for line in finding_lines(iter(done.findings), settings.language):
            click.echo(line, err=True)
        counts = {name: len(getattr(done, name)) for name in ("written", "kept", "missing")}
        click.echo(say("exchange.exported", settings.language, tool=to, **counts), err=True)
        click.echo(done.project)
    sys.exit(EXIT_PARTIAL if done.missing else 0)
