"""`fetch`: downloads pictures that are paid and still at the service, at no cost.

In: an entry of the payment record, or all of them. Out: printed results, each as after `generate`.
Never in here: how a picture is downloaded, a payment.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from seedframe.cli.common import EXIT_PARTIAL, exit_code, json_option, run, say, show_links, studio
from seedframe.errors import InvalidRequest, SeedreamError
from seedframe.messages import Language, Message
from seedframe.object_places import local_folder, place_of
from seedframe.payments import Entry, Payments, State
from seedframe.settings import Settings
from seedframe.studio import render
from seedframe.studio.types import Result


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
    outcomes, code = run(_fetched(settings, entry, every, out), settings, as_json=as_json)
    if as_json:
        documents = [one.as_dict() for one in outcomes]
        click.echo(render.machine_text(documents if every else documents[0]))
    else:
        _say(outcomes, settings.language)
    sys.exit(code)


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why the pictures of an entry could not be fetched; `message` in the language of the settings."""

    entry: str
    error: SeedreamError
    message: str

    def as_dict(self) -> dict[str, Any]:
        return {**render.error_facts(self.error), "message": self.message, "entry": self.entry}


def _say(described: Sequence[Result | _Failure], language: Language) -> None:
    for one in described:
        if isinstance(one, _Failure):
            click.echo(one.message, err=True)
        else:
            click.echo(render.sentence(one, language))
            show_links(one, language)
    if not described:
        click.echo(say("cli_fetch.nothing", language))


async def _fetched(
    settings: Settings, entry: str | None, every: bool, out: Path | None
) -> tuple[list[Result | _Failure], int]:
    """The result or failure of each entry, and the most serious exit code."""
    if (entry is None) is not every:
        raise InvalidRequest(Message("cli_fetch.which"), field="entry", got=entry or "-", allowed="ENTRY | --all")
    outcomes: list[Result | _Failure] = []
    code = 0
    for one in await _wanted(settings, entry):
        try:
            result = await _fetched_one(settings, one, out)
        except SeedreamError as error:
            outcomes.append(_Failure(one.id, error, render.error_text(error, settings.language)))
            code = max(code, exit_code(error))
        else:
            outcomes.append(result)
            code = max(code, EXIT_PARTIAL if result.status == "partial" else 0)
    return outcomes, code


async def _wanted(settings: Settings, entry: str | None) -> tuple[Entry, ...]:
    async with await Payments.open(settings.journal, secrets=settings.secrets) as journal:
        if entry is None:
            states: set[State] = {"undelivered"}
            if place_of(settings.output_dir, settings.object_cache):
                states.add("saved")  # also what an object store did not take
            return tuple(reversed(await journal.entries(states=states, limit=10_000)))
        found = await journal.entry(entry)
    if found is None:
        raise InvalidRequest(
            Message("cli.no-entry", id=entry), field="entry", got=entry, allowed="seedframe journal list"
        )
    return (found,)


async def _fetched_one(settings: Settings, entry: Entry, out: Path | None) -> Result:
    """One entry's pictures, in the folder they were meant for unless another is named."""
    async with await Payments.open(settings.journal, secrets=settings.secrets) as journal:
        noted = await journal.delivery(entry.id)
    meant = Path(*noted["folder"]) if noted.get("folder") else settings.output_dir
    folder = meant if out is None else local_folder(out, settings.object_cache)
    there = replace(settings, backend=entry.backend, output_dir=folder.absolute())
    async with studio(there) as opened, opened.fetch(entry.id) as result:
        return result
