"""`storyboard requests`: the bodies that step 4 sends to Seedance, written into the board's folder.

In: a folder and choices. Out: the path of `requests.jsonl` and what was found, or the index as JSON; the exit code says
whether every shot can be sent. Never in here: what a body holds, a request to a backend.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from seedframe.cli.common import EXIT_PARTIAL, fail, json_option, say
from seedframe.errors import SeedreamError
from seedframe.messages import Language
from seedframe.settings import Settings

NOTHING_WRITTEN = 2
PICTURES_BY = ("data", "url", "asset")


def handoff_command(language: Language, folder: click.Argument, database: click.Option) -> click.Command:
    """The command, with help in one language; `folder` and `database` as its siblings have them."""

    def option(name: str, *declared: str, **details: Any) -> click.Option:
        return click.Option(list(declared), help=say(f"cli_handoff.option-{name}", language), **details)

    params = [
        folder,
        option("pictures", "--pictures", type=click.Choice(PICTURES_BY), default="data", show_default=True),
        option("url-base", "--url-base", metavar="URL"),
        option("assets", "--assets", type=click.Path(path_type=Path)),
        option("seedance", "--seedance", "model", metavar="ID"),
        option("resolution", "--resolution"),
        option("audio", "--audio/--silent", default=True),
        option("watermark", "--watermark", is_flag=True),
        database,
        json_option(language),
    ]
    return click.Command("requests", callback=_requests, params=params, help=say("cli_handoff.requests", language))


@click.pass_obj
def _requests(
    settings: Settings,
    /,
    as_json: bool,
    folder: Path,
    pictures: str,
    url_base: str | None,
    assets: Path | None,
    database: str | None,
    **choices: Any,
) -> None:
    from seedframe.storyboard.actions import draw_requests, request_choices
    from seedframe.storyboard.remote_folder import opened_folder
    from seedframe.storyboard.reports import finding_lines, requests_line

    try:
        written = draw_requests(
            opened_folder(folder, settings),
            request_choices(settings, **choices),
            pictures=pictures,
            url_base=url_base,
            assets=assets,
            database=database,
            settings=settings,
        )
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)
    if as_json:
        click.echo(json.dumps(written.as_json(), ensure_ascii=False))
    else:
        for line in finding_lines(written.findings, settings.language):
            click.echo(line, err=True)
        click.echo(requests_line(written, settings.language), err=written.path is None)
    sys.exit(NOTHING_WRITTEN if written.path is None else EXIT_PARTIAL if written.left_out else 0)
