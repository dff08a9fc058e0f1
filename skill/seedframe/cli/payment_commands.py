"""The payment record on the command line: `history` lists, explains and settles paid calls; `costs` adds them up.

In: options. Out: lines or JSON. Never in here: a payment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import click

from seedframe.catalog import catalog
from seedframe.cli.common import json_option, run, say
from seedframe.cli.forget_command import database_option, forget_command
from seedframe.errors import InvalidRequest
from seedframe.messages import Language, Message
from seedframe.payments import DailyCost, Entry, Payments, Settlement
from seedframe.settings import Settings


def commands(language: Language) -> tuple[click.Command, ...]:
    """`history` (also called `journal`) and `costs` with help in one language."""
    days = [
        click.Option(["--since"], type=click.DateTime(["%Y-%m-%d"])),
        click.Option(["--until"], type=click.DateTime(["%Y-%m-%d"])),
    ]
    options: list[click.Parameter] = [*days, database_option(language), json_option(language)]
    return (
        _history("history", language),
        _history("journal", language),
        click.Command("costs", callback=_costs, params=options, help=say("cli.costs", language)),
    )


def _history(name: str, language: Language) -> click.Group:
    group = click.Group(name, help=say("cli.journal", language))
    group.add_command(_command("list", _list, language, click.Option(["--limit"], type=int, default=20)))
    group.add_command(_command("show", _show, language, click.Argument(["id"])))
    settling = [
        click.Argument(["id"]),
        click.Option(["--billed/--not-billed"], default=None, help=say("cli.settle-billed", language)),
        click.Option(["--slot"], type=click.IntRange(min=1), help=say("cli_fetch.settle-slot", language)),
        click.Option(["--preview"], is_flag=True, help=say("cli_fetch.settle-preview", language)),
    ]
    group.add_command(_command("settle", _settle, language, *settling))
    group.add_command(forget_command(language))
    return group


def _command(name: str, callback: Any, language: Language, *params: click.Parameter) -> click.Command:
    options = [*params, database_option(language), json_option(language)]
    return click.Command(name, callback=callback, params=options, help=say(f"cli.journal-{name}", language))


def _with_journal(
    settings: Settings,
    work: Callable[[Payments], Coroutine[Any, Any, Any]],
    *,
    database: str | None,
    as_json: bool,
) -> Any:
    async def opened() -> Any:
        async with await Payments.open(settings.journal, database=database) as journal:
            return await work(journal)

    return run(opened(), settings, as_json=as_json)


@click.pass_obj
def _list(settings: Settings, as_json: bool, database: str | None, limit: int) -> None:
    entries = _with_journal(settings, lambda journal: journal.entries(limit=limit), database=database, as_json=as_json)
    if as_json:
        click.echo(_json([_plain(entry) for entry in entries]))
        return
    for entry in entries:
        money = entry.booked or entry.reserved
        who = f"{entry.backend:<9} {entry.model:<9}"
        line = f"{entry.id}  {_when(entry.created)}  {entry.state:<15} {who} {money} {entry.currency}"
        click.echo(" ".join([line, *_of_board(entry, settings.language)]))


@click.pass_obj
def _show(settings: Settings, as_json: bool, database: str | None, id: str) -> None:
    async def find(journal: Payments) -> Entry:
        return await _found(journal, id)

    entry = _with_journal(settings, find, database=database, as_json=as_json)
    click.echo(_json(_plain(entry), indent=None if as_json else 2))
    if not as_json:
        click.echo(_explained(entry, settings.language))


@click.pass_obj
def _settle(
    settings: Settings,
    as_json: bool,
    database: str | None,
    id: str,
    billed: bool | None,
    slot: int | None,
    preview: bool,
) -> None:
    number = None if slot is None else slot - 1

    async def settle(journal: Payments) -> _Settled:
        await _found(journal, id)
        if billed is None:
            raise await _undecided(journal, id, number, settings)
        before = await _spent(journal, id)
        done = await (journal.what_if if preview else journal.settle)(id, billed=billed, slot=number)
        return _Settled(done, before, before + _stake(done.after) - _stake(done.before))

    settled = _with_journal(settings, settle, database=database, as_json=as_json)
    if as_json:
        facts = {"before": _money(settled.done.before), "after": _money(settled.done.after), "changed": not preview}
        day = {"day": settled.done.before.day, "before": settled.spent_before, "after": settled.spent_after}
        click.echo(_json({**_plain(settled.done.after), **facts, "spent": day}))
        return
    words = {"effect": _effect(settled.done, settings.language), "budget": _budget(settled, settings)}
    click.echo(say("cli_fetch.settle-would" if preview else "cli_fetch.settled", settings.language, id=id, **words))


@dataclass(frozen=True, slots=True)
class _Settled:
    """A settlement, and what the day's spending was before it and is after it."""

    done: Settlement
    spent_before: Decimal
    spent_after: Decimal


async def _undecided(journal: Payments, id: str, slot: int | None, settings: Settings) -> InvalidRequest:
    """Neither option was given: what each of them would do, and that nothing was done."""
    effects = {
        name: _effect(await journal.what_if(id, billed=name == "billed", slot=slot), settings.language)
        for name in ("billed", "unbilled")
    }
    return InvalidRequest(
        Message("cli_fetch.settle-which", **effects), field="billed", got="-", allowed=["--billed", "--not-billed"]
    )


async def _spent(journal: Payments, id: str) -> Decimal:
    """What is spent or reserved on the entry's day, in its currency, on all backends that share its budget."""
    entry = await _found(journal, id)
    facts = catalog()
    backends = facts.same_budget(facts.backend(entry.backend))
    rows = await journal.costs(entry.day, entry.day)
    alike = [row for row in rows if row.currency == entry.currency and row.backend in backends]
    return sum((row.booked + row.reserved for row in alike), Decimal(0))


def _stake(entry: Entry) -> Decimal:
    return entry.booked + entry.reserved


def _money(entry: Entry) -> dict[str, Any]:
    return {"state": entry.state, "booked": entry.booked, "reserved": entry.reserved}


def _effect(done: Settlement, language: Language) -> str:
    before, after = _money(done.before), _money(done.after)
    values = {f"{name}_before": value for name, value in before.items()}
    values |= {f"{name}_after": value for name, value in after.items()}
    return say("cli_fetch.settle-effect", language, currency=done.after.currency, **values)


def _budget(settled: _Settled, settings: Settings) -> str:
    entry = settled.done.before
    day = {
        "day": entry.day,
        "before": settled.spent_before,
        "after": settled.spent_after,
        "currency": entry.currency,
    }
    if settings.budget is None:
        return say("cli_fetch.settle-budget", settings.language, **day)
    return say("cli_fetch.settle-budget-of", settings.language, budget=settings.budget.amount, **day)


def _explained(entry: Entry, language: Language) -> str:
    if entry.state == "undelivered":
        until = _when(entry.fetch_until or 0.0)
        return say("cli_fetch.state-undelivered", language, id=entry.id, until=until)
    if entry.state == "partial-unknown":
        numbers = [number + 1 for number in entry.doubtful]
        return say("cli_fetch.state-partial-unknown", language, numbers=numbers)
    return say(f"cli.state-{entry.state}", language)


@click.pass_obj
def _costs(
    settings: Settings, as_json: bool, database: str | None, since: datetime | None, until: datetime | None
) -> None:
    days = (since.date() if since else None, until.date() if until else None)
    rows = _with_journal(settings, lambda journal: journal.costs(*days), database=database, as_json=as_json)
    if as_json:
        click.echo(_json([asdict(row) for row in rows]))
        return
    for row in rows:
        line = f"{row.day}  {row.backend:<9} {row.model:<9} {row.images:>4}  {row.booked} {row.currency}"
        click.echo(" ".join([line, *_remarks(row, settings.language)]))


def _remarks(row: DailyCost, language: Language) -> list[str]:
    """The board, what is still reserved, and that an emulated call's list price was not charged."""
    free = {backend.name for backend in catalog().backends if not backend.charges}
    remarks = [say("cli_record.of-board", language, board=row.board)] if row.board else []
    remarks += [say("cli.reserved", language, amount=row.reserved)] if row.reserved else []
    return [*remarks, say("cli.not-charged", language)] if row.backend in free else remarks


def _of_board(entry: Entry, language: Language) -> list[str]:
    """What was paid for, where it is a frame of a board."""
    if entry.board is None:
        return []
    kind = "written-off" if entry.written_off else "of-frame"
    return [say(f"cli_record.{kind}", language, board=entry.board, frame=entry.frame)]


async def _found(journal: Payments, id: str) -> Entry:
    entry = await journal.entry(id)
    if entry is None:
        raise InvalidRequest(Message("cli.no-entry", id=id), field="id", got=id, allowed="seedframe journal list")
    return entry


def _plain(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__slots__}


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _json(value: Any, indent: int | None = None) -> str:
    def plain(odd: Any) -> Any:
        return str(odd) if isinstance(odd, (Decimal, date)) else dict(odd)

    return json.dumps(value, ensure_ascii=False, indent=indent, default=plain)
