"""`fetch`: downloads pictures that are paid and still at the service, at no cost.

In: an entry of the payment record, or all of them. Out: printed results, each as after `generate`.
Never in here: how a picture is downloaded, a payment.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from seedframe.cli.common import EXIT_PARTIAL, exit_code, json_option, run, say, show_links, studio
from seedframe.cli.forget_command import database_option
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
        database_option(language),
        json_option(language),
    ]
    return (click.Command("fetch", callback=_fetch, params=params, help=say("cli_fetch.fetch", language)),)


@click.pass_obj
def _fetch(
    settings: Settings, as_json: bool, entry: str | None, every: bool, out: Path | None, database: str | None
) -> None:
    outcomes, code = run(_fetched(settings, entry, every, out, database), settings, as_json=as_json)
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
    settings: Settings, entry: str | None, every: bool, out: Path | None, database: str | None
) -> tuple[list[Result | _Failure], int]:
    """The result or failure of each entry, and the most serious exit code."""
    if (entry is None) is not every:
        raise InvalidRequest(Message("cli_fetch.which"), field="entry", got=entry or "-", allowed="ENTRY | --all")
    outcomes: list[Result | _Failure] = []
    code = 0
    async with await Payments.open(settings.journal, secrets=settings.secrets, database=database) as payments:
        for one in await _wanted(settings, payments, entry):
            try:
                result = await _fetched_one(settings, payments, one, out, database)
            except SeedreamError as error:
                outcomes.append(_Failure(one.id, error, render.error_text(error, settings.language)))
                code = max(code, exit_code(error))
            else:
                outcomes.append(result)
                code = max(code, EXIT_PARTIAL if result.status == "partial" else 0)
    return outcomes, code


async def _wanted(settings: Settings, payments: Payments, entry: str | None) -> tuple[Entry, ...]:
    if entry is None:
        states: set[State] = {"undelivered"}
        if place_of(settings.output_dir, settings.object_cache):
            states.add("saved")  # also what an object store did not take
        found = reversed(await payments.entries(states=states, limit=10_000))
        # A frame that is saved is for its board, whose worker may just be taking it.
        return tuple(one for one in found if one.state == "undelivered" or one.board is None)
    one = await payments.entry(entry)
    if one is None:
        raise InvalidRequest(
            Message("cli.no-entry", id=entry), field="entry", got=entry, allowed="seedframe journal list"
        )
    return (one,)


async def _fetched_one(
    settings: Settings, payments: Payments, entry: Entry, out: Path | None, database: str | None
) -> Result:
    noted = await payments.delivery(entry.id)
    folder = await asyncio.to_thread(_folder, settings, entry, noted.get("folder"), out, database)
    there = replace(settings, backend=entry.backend, output_dir=folder)
    async with studio(there, payments=payments) as opened, opened.fetch(entry.id) as result:
        return result


def _folder(
    settings: Settings, entry: Entry, noted: Sequence[str] | None, out: Path | None, database: str | None
) -> Path:
    """The folder that is named, else the one the pictures were meant for: a frame's is where its board looks for it."""
    if out is not None:
        return local_folder(out, settings.object_cache).absolute()
    meant = Path(*noted) if noted else settings.output_dir.absolute()
    if entry.board is None:
        return meant
    from seedframe.storyboard.record.frame_folder import folder_of_frame

    return folder_of_frame(entry.board, meant, database, settings)
