"""`fetch`: bring pictures that are paid and still lie at the service; nothing is paid.

In: an entry of the payment record, or all of them. Out: results told, each as after `generate`.
Never in here: how a picture is brought, a payment.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from seedframe.cli.common import EXIT_PARTIAL, exit_code, json_option, run, say, studio
from seedframe.errors import InvalidRequest, SeedreamError
from seedframe.messages import Language, Message
from seedframe.payments import Entry, Payments
from seedframe.settings import Settings
from seedframe.studio import render


def commands(language: Language) -> tuple[click.Command, ...]:
    """`fetch`."""
    params = [
        click.Argument(["entry"], required=False),
        click.Option(["--all", "every"], is_flag=True, help=say("cli_fetch.all", language)),
        click.Option(["--out"], type=click.Path(path_type=Path), help=say("cli_fetch.out", language)),
        json_option(language),
    ]
    return (click.Command("fetch", callback=_fetch, params=params, help=say("cli_fetch.fetch", language)),)


@click.pass_obj
def _fetch(settings: Settings, as_json: bool, entry: str | None, every: bool, out: Path | None) -> None:
    described, code = run(_fetched(settings, entry, every, out), settings, as_json=as_json)
    if as_json:
        click.echo(render.machine_text(described if every else described[0]))
    else:
        _say(described, settings.language)
    sys.exit(code)


def _say(described: Sequence[Mapping[str, Any]], language: Language) -> None:
    for one in described:
        failed = "status" not in one
        click.echo(one["message"] if failed else render.sentence(one, language), err=failed)
    if not described:
        click.echo(say("cli_fetch.nothing", language))


async def _fetched(
    settings: Settings, entry: str | None, every: bool, out: Path | None
) -> tuple[list[Mapping[str, Any]], int]:
    """What became of each, and the gravest exit code."""
    if (entry is None) is not every:
        raise InvalidRequest(Message("cli_fetch.which"), field="entry", got=entry or "-", allowed="ENTRY | --all")
    described: list[Mapping[str, Any]] = []
    code = 0
    for one in await _wanted(settings, entry):
        try:
            facts = await _brought(settings, one, out)
        except SeedreamError as error:
            words = {"message": render.error_text(error, settings.language), "entry": one.id}
            described.append({**render.error_facts(error), **words})
            code = max(code, exit_code(error))
        else:
            described.append(facts)
            code = max(code, EXIT_PARTIAL if facts["status"] == "partial" else 0)
    return described, code


async def _wanted(settings: Settings, entry: str | None) -> tuple[Entry, ...]:
    async with await Payments.open(settings.journal, secrets=settings.secrets) as journal:
        if entry is None:
            return tuple(reversed(await journal.entries(states={"undelivered"}, limit=10_000)))
        found = await journal.entry(entry)
    if found is None:
        raise InvalidRequest(
            Message("cli.no-entry", id=entry), field="entry", got=entry, allowed="seedframe journal list"
        )
    return (found,)


async def _brought(settings: Settings, entry: Entry, out: Path | None) -> Mapping[str, Any]:
    """One entry's pictures, in the folder they were meant for unless another is named."""
    async with await Payments.open(settings.journal, secrets=settings.secrets) as journal:
        noted = await journal.delivery(entry.id)
    folder = out or (Path(*noted["folder"]) if noted.get("folder") else settings.output_dir)
    there = replace(settings, backend=entry.backend, output_dir=folder.absolute())
    async with studio(there) as opened, opened.fetch(entry.id) as result:
        facts: Mapping[str, Any] = result.facts
        return facts
