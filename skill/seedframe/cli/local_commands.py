"""Commands that cost nothing: `style`, `crop`, `inspect`.

In: words or a local picture. Out: a styled prompt, a cut picture, a description. Never in here: a network.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seedframe.cli.common import existing_file, fail, json_option, read_json, say
from seedframe.cli.completion import complete_file, complete_model
from seedframe.errors import SeedreamError
from seedframe.messages import Language
from seedframe.settings import Settings

if TYPE_CHECKING:
    from seedframe.studio.preview_prompt import PromptPreview

UNUSABLE = 2
"""The exit code for a prompt that would be refused."""


def commands(language: Language) -> tuple[click.Command, ...]:
    """`style`, `crop` and `inspect` with help in one language."""
    return (_style(language), _crop(language), _inspect(language))


def _style(language: Language) -> click.Command:
    options = [
        click.Argument(["prompt"], required=False),
        click.Option(["--brief"], metavar="FILE|JSON", shell_complete=complete_file),
        click.Option(["--model"], shell_complete=complete_model),
        click.Option(["--ratio"]),
        click.Option(["--negative-prompt"]),
        click.Option(["--references"], type=int),
        click.Option(["--count"], type=int),
        click.Option(["--related"], is_flag=True, default=None),
        click.Option(["--frame"]),
        click.Option(["--as-is"], is_flag=True, default=None),
        json_option(language),
    ]
    return click.Command("style", callback=_preview, params=[*options], help=say("cli.style", language))


@click.pass_obj
def _preview(settings: Settings, /, as_json: bool, brief: str | None, **given: Any) -> None:
    from seedframe.catalog import catalog
    from seedframe.studio.preview_prompt import preview_prompt

    try:
        structured = {"brief": read_json(brief, "brief")} if brief else {}
        preview = preview_prompt({**given, **structured}, catalog(), settings)
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)
    if as_json:
        click.echo(json.dumps(preview.as_dict(settings.language), ensure_ascii=False))
    else:
        _show_words(preview, settings.language)
    sys.exit(0 if preview.usable else UNUSABLE)


def _show_words(preview: PromptPreview, language: Language) -> None:
    """A usable prompt goes to stdout, everything else to stderr, so that stdout can be piped on."""
    from seedframe.studio import render
    from seedframe.studio.results import described_finding

    styled, err = preview.styled, not preview.usable
    click.echo(styled.prompt, err=err)
    if styled.negative:
        click.echo(say("cli.negative", language, negative=styled.negative), err=err)
    for finding in styled.findings:
        severity = say(f"cli.severity-{finding.severity}", language)
        advice = render.advice(described_finding(finding, language), language)
        click.echo(f"{severity} {finding.code}: {advice}", err=True)
    for task in styled.needs_host:
        click.echo(f"- {task.message.text(language)}", err=True)


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
    from seedframe.studio.crop_file import cut

    try:
        report = cut(existing_file(source), output, ratio=ratio, frame=frame, anchor=anchor, language=settings.language)
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)
    click.echo(json.dumps(report, ensure_ascii=False) if as_json else report["path"])


def _inspect(language: Language) -> click.Command:
    options = [click.Argument(["source"], type=click.Path(path_type=Path)), json_option(language)]
    return click.Command("inspect", callback=_describe, params=[*options], help=say("cli.inspect", language))


@click.pass_obj
def _describe(settings: Settings, as_json: bool, source: Path) -> None:
    from seedframe.images import inspect

    try:
        facts = inspect(existing_file(source), language=settings.language)
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    for name, value in facts.items():
        click.echo(f"{name}: {value}")
