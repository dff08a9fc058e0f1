"""What costs nothing: `style`, `crop`, `inspect`.

In: words or a local picture. Out: a styled prompt, a cut picture, a description. Never in here: a network.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from seedframe.cli.common import fail, json_option, read_json, say
from seedframe.errors import SeedreamError
from seedframe.messages import Language
from seedframe.settings import Settings


def commands(language: Language) -> tuple[click.Command, ...]:
    """`style`, `crop` and `inspect` with help in one language."""
    return (_style(language), _crop(language), _inspect(language))


def _style(language: Language) -> click.Command:
    options = [
        click.Argument(["prompt"], required=False),
        click.Option(["--brief"], metavar="FILE|JSON"),
        click.Option(["--model"]),
        click.Option(["--ratio"]),
        click.Option(["--negative-prompt"]),
        click.Option(["--references"], type=int),
        click.Option(["--count"], type=int),
        click.Option(["--as-is"], is_flag=True, default=None),
        json_option(language),
    ]
    return click.Command("style", callback=_rehearse, params=[*options], help=say("cli.style", language))


@click.pass_obj
def _rehearse(settings: Settings, /, as_json: bool, brief: str | None, **given: Any) -> None:
    from seedframe.catalog import catalog
    from seedframe.rehearsal import rehearse

    try:
        structured = {"brief": read_json(brief, "brief")} if brief else {}
        facts = rehearse({**given, **structured}, catalog(), settings)
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    click.echo(facts["prompt"])
    if facts["negative"]:
        click.echo(say("cli.negative", settings.language, negative=facts["negative"]))
    for note in (*facts["needs_host"], *facts["findings"]):
        click.echo(f"- {note['message']}", err=True)


def _crop(language: Language) -> click.Command:
    options = [
        click.Argument(["source"], type=click.Path(path_type=Path)),
        click.Option(["--ratio"], help=say("cli.crop-ratio", language)),
        click.Option(["--frame"], help=say("cli.crop-frame", language)),
        click.Option(["--anchor"], default="center", show_default=True),
        click.Option(["-o", "--output", "output"], type=click.Path(path_type=Path)),
        json_option(language),
    ]
    return click.Command("crop", callback=_cut, params=[*options], help=say("cli.crop", language))


@click.pass_obj
def _cut(
    settings: Settings,
    as_json: bool,
    source: Path,
    ratio: str | None,
    frame: str | None,
    anchor: str,
    output: Path | None,
) -> None:
    from seedframe.cutting import cut

    try:
        facts = cut(source, output, ratio=ratio, frame=frame, anchor=anchor, language=settings.language)
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else facts["path"])


def _inspect(language: Language) -> click.Command:
    options = [click.Argument(["source"], type=click.Path(path_type=Path)), json_option(language)]
    return click.Command("inspect", callback=_describe, params=[*options], help=say("cli.inspect", language))


@click.pass_obj
def _describe(settings: Settings, as_json: bool, source: Path) -> None:
    from seedframe.pictures import inspect

    try:
        facts = inspect(source, language=settings.language)
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        click.echo(f"{name}: {value}")
