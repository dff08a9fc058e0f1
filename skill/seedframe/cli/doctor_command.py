"""`doctor`: what a first call needs, and every setting, on a terminal of 80 columns.

In: settings. Out: a line for each condition, the console's address, the settings in force; or JSON.
Never in here: the checks themselves.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from seedframe.api import in_process_backend
from seedframe.cli.common import json_option, run, say
from seedframe.cli.layout import COLUMNS, columns, wrapped
from seedframe.messages import Language
from seedframe.settings import SETTINGS, Settings

if TYPE_CHECKING:
    from seedframe.studio.doctor import Condition


def doctor_command(language: Language) -> click.Command:
    """`doctor` with help in one language."""
    return click.Command("doctor", callback=_doctor, params=[json_option(language)], help=say("cli.doctor", language))


def condition_lines(found: Iterable[Condition], language: Language) -> Iterator[str]:
    """A line for each condition: `ok` or `!!` and what was found."""
    for condition in found:
        mark = "ok  " if condition.good else "!!  "
        yield from wrapped(condition.message.text(language), first=mark, indent="    ")


@click.pass_obj
def _doctor(settings: Settings, as_json: bool) -> None:
    from seedframe.studio.doctor import examine

    found = run(examine(settings, in_process_backend(settings)), settings, as_json=as_json)
    if as_json:
        click.echo(json.dumps([condition.as_dict(settings.language) for condition in found], ensure_ascii=False))
    else:
        lines = [*condition_lines(found, settings.language), *_console(settings), *_setting_lines(settings)]
        click.echo("\n".join(lines))
    sys.exit(0 if all(condition.good for condition in found) else 1)


def _console(settings: Settings) -> Iterator[str]:
    from seedframe.catalog import catalog

    address = catalog().backend(settings.backend).console
    if address:
        yield say("diagnosis.console", settings.language, url=address)


def _setting_lines(settings: Settings) -> Iterator[str]:
    """Each setting with its value, and its meaning below."""
    yield say("cli.settings-head", settings.language)
    for row in SETTINGS:
        value = settings.environ.get(row.name) or _plain(getattr(settings, row.field))
        yield from _value_lines(f"    {row.name}=", value, getattr(settings, row.field))
        yield from wrapped(row.meaning.text(settings.language), first=" " * 8, indent=" " * 8)


def _value_lines(head: str, text: str, value: Any) -> Iterator[str]:
    """The setting on one line, or a line for each folder where they do not fit on one."""
    if not isinstance(value, tuple) or columns(head + text) <= COLUMNS:
        yield head + text
        return
    yield head
    yield from (" " * 8 + part for part in text.split(os.pathsep))


def _plain(value: Any) -> str:
    """A default in the form a person would write."""
    if value in (None, {}, ()):
        return ""
    return os.pathsep.join(map(str, value)) if isinstance(value, tuple) else str(value)
