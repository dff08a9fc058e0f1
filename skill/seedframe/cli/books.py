"""The books: `journal` lists, explains and settles paid calls; `costs` sums them.

In: options. Out: lines or JSON. Never in here: a payment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import click

from seedframe.catalog import catalog
from seedframe.cli.common import json_option, run, say
from seedframe.cli.forgetting import forget_command
from seedframe.errors import InvalidRequest
from seedframe.journal import Cost, Entry, Journal
from seedframe.messages import Language, Message
from seedframe.settings import Settings


def commands(language: Language) -> tuple[click.Command, ...]:
    """`history` (also called `journal`) and `costs` with help in one language."""
    days = [
        click.Option(["--since"], type=click.DateTime(["%Y-%m-%d"])),
        click.Option(["--until"], type=click.DateTime(["%Y-%m-%d"])),
    ]
    return (
        _history("history", language),
        _history("journal", language),
        click.Command("costs", callback=_costs, params=[*days, json_option(language)], help=say("cli.costs", language)),
    )


def _history(name: str, language: Language) -> click.Group:
    group = click.Group(name, help=say("cli.journal", language))
    group.add_command(_command("list", _list, language, click.Option(["--limit"], type=int, default=20)))
    group.add_command(_command("show", _show, language, click.Argument(["id"])))
    billed = click.Option(
        ["--billed/--not-billed"], required=True, default=None, help=say("cli.settle-billed", language)
    )
    group.add_command(_command("settle", _settle, language, click.Argument(["id"]), billed))
    group.add_command(forget_command(language))
    return group


def _command(name: str, callback: Any, language: Language, *params: click.Parameter) -> click.Command:
    return click.Command(
        name, callback=callback, params=[*params, json_option(language)], help=say(f"cli.journal-{name}", language)
    )


def _with_journal(settings: Settings, work: Callable[[Journal], Coroutine[Any, Any, Any]], *, as_json: bool) -> Any:
    async def opened() -> Any:
        async with await Journal.open(settings.journal) as journal:
            return await work(journal)

    return run(opened(), settings, as_json=as_json)


@click.pass_obj
def _list(settings: Settings, as_json: bool, limit: int) -> None:
    entries = _with_journal(settings, lambda journal: journal.entries(limit=limit), as_json=as_json)
    if as_json:
        click.echo(_json([_plain(entry) for entry in entries]))
        return
    for entry in entries:
        money = entry.booked or entry.reserved
        who = f"{entry.backend:<9} {entry.model:<9}"
        click.echo(f"{entry.id}  {_when(entry.created)}  {entry.state:<11} {who} {money} {entry.currency}")


@click.pass_obj
def _show(settings: Settings, as_json: bool, id: str) -> None:
    async def find(journal: Journal) -> Entry:
        return await _found(journal, id)

    entry = _with_journal(settings, find, as_json=as_json)
    click.echo(_json(_plain(entry), indent=None if as_json else 2))
    if not as_json:
        click.echo(say(f"cli.state-{entry.state}", settings.language))


@click.pass_obj
def _settle(settings: Settings, as_json: bool, id: str, billed: bool) -> None:
    async def settle(journal: Journal) -> Entry:
        await _found(journal, id)
        await journal.settle(id, billed=billed)
        return await _found(journal, id)

    entry = _with_journal(settings, settle, as_json=as_json)
    click.echo(_json(_plain(entry)) if as_json else say("cli.settled", settings.language, id=id, state=entry.state))


@click.pass_obj
def _costs(settings: Settings, as_json: bool, since: datetime | None, until: datetime | None) -> None:
    days = (since.date() if since else None, until.date() if until else None)
    rows = _with_journal(settings, lambda journal: journal.costs(*days), as_json=as_json)
    if as_json:
        click.echo(_json([asdict(row) for row in rows]))
        return
    for row in rows:
        line = f"{row.day}  {row.backend:<9} {row.model:<9} {row.images:>4}  {row.booked} {row.currency}"
        click.echo(" ".join([line, *_remarks(row, settings.language)]))


def _remarks(row: Cost, language: Language) -> list[str]:
    """What is still reserved, and that a rehearsal's list price was charged to nobody."""
    free = {backend.name for backend in catalog().backends if not backend.charges}
    told = [say("cli.reserved", language, amount=row.reserved)] if row.reserved else []
    return [*told, say("cli.not-charged", language)] if row.backend in free else told


async def _found(journal: Journal, id: str) -> Entry:
    entry = await journal.entry(id)
    if entry is None:
        raise InvalidRequest(Message("cli.no-entry", id=id), field="id", got=id, allowed="seedframe journal list")
    return entry


def _plain(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__slots__}


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _json(value: Any, indent: int | None = None) -> str:
    def told(odd: Any) -> Any:
        return str(odd) if isinstance(odd, (Decimal, date)) else dict(odd)

    return json.dumps(value, ensure_ascii=False, indent=indent, default=told)
