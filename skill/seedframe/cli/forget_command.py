"""`history forget`: deletes texts from the payment record; amounts stay.

In: ids, an age, or `--all`. Out: how many entries were cleared. Never in here: how they are cleared.
"""

from __future__ import annotations

import dataclasses
import json
import re
import time

import click

from seedframe.cli.common import json_option, run, say
from seedframe.errors import InvalidRequest
from seedframe.messages import Language, Message
from seedframe.payments import Forgotten, Payments
from seedframe.payments.sql import is_postgres
from seedframe.settings import Settings

_AGE = re.compile(r"(\d{1,5})\s*([hdw])")
_SECONDS = {"h": 3_600, "d": 86_400, "w": 604_800}


def forget_command(language: Language) -> click.Command:
    """`forget ID… | --older-than AGE | --all`."""
    return click.Command(
        "forget",
        callback=_forget,
        help=say("history.forget", language),
        params=[
            click.Argument(["ids"], nargs=-1, metavar="ID…"),
            click.Option(["--older-than"], metavar="AGE", help=say("history.option-older-than", language)),
            click.Option(["--all", "everything"], is_flag=True, help=say("history.option-all", language)),
            database_option(language),
            json_option(language),
        ],
    )


def database_option(language: Language) -> click.Option:
    """`--database URL`: the record that several machines share, instead of this one's own."""

    def checked(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
        """Anything else would mean this machine's own record, whatever was misspelt."""
        if url is None or is_postgres(url) or url.startswith("sqlite:///"):
            return url
        raise click.BadParameter(say("cli_record.odd-database", language, got=url.rpartition("@")[2]))

    described = say("cli_record.option-database", language)
    return click.Option(["--database"], metavar="URL", help=described, callback=checked)


@click.pass_obj
def _forget(
    settings: Settings,
    as_json: bool,
    database: str | None,
    ids: tuple[str, ...],
    older_than: str | None,
    everything: bool,
) -> None:
    async def forgotten() -> Forgotten:
        if sum((bool(ids), older_than is not None, everything)) != 1:
            raise _odd(None, Message("history.forget-what"))
        before = None if older_than is None else time.time() - _age(older_than)
        async with await Payments.open(settings.journal, database=database) as journal:
            for id in ids:
                if await journal.entry(id) is None:
                    raise _odd(id, Message("cli.no-entry", id=id))
            return await journal.forget(ids=ids or None, before=before)

    done = run(forgotten(), settings, as_json=as_json)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(done)))
        return
    click.echo(say("history.forgotten", settings.language, count=done.cleared))
    if done.kept:
        click.echo(say("history.kept", settings.language, ids=list(done.kept)), err=True)


def _age(text: str) -> float:
    """Seconds; InvalidRequest for anything but a number of hours, days or weeks."""
    match = _AGE.fullmatch(text.strip().lower())
    if match is None:
        raise InvalidRequest(
            Message("history.odd-age", got=text[:40]), field="older_than", got=text[:40], allowed=["12h", "30d", "8w"]
        )
    return float(int(match[1]) * _SECONDS[match[2]])


def _odd(got: str | None, message: Message) -> InvalidRequest:
    return InvalidRequest(message, field="forget", got=got, allowed=["ID", "--older-than 30d", "--all"])
