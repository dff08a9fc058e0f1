"""What every command shares: running async work, printing errors, opening a studio, reading JSON.

In: settings, a coroutine, an error. Out: text on stdout or stderr and an exit code. Never in here: a command.
Exit codes: 0 done · 1 failed · 2 wrong arguments or settings · 3 not as asked (partial, wrong size) · 4 refused for
money · 5 unknown · 6 paid, and the picture is still to be fetched · 130 interrupted.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

import click

from seedframe.errors import (
    EarlierOutcomeUnknown,
    InvalidRequest,
    NotConfigured,
    OutcomeUnknown,
    PromptRejected,
    SeedreamError,
    SpendingRefused,
    Undelivered,
)
from seedframe.messages import Language, Message
from seedframe.redaction import RedactedStream
from seedframe.settings import Settings
from seedframe.studio.types import Result

if TYPE_CHECKING:
    from seedframe.studio.pipeline import Studio

EXIT_PARTIAL = 3
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
_GENERATING = frozenset({"generate", "edit", "fetch", "demo"})
_EXITS: tuple[tuple[type[SeedreamError], int], ...] = (
    (EarlierOutcomeUnknown, 5),
    (OutcomeUnknown, 5),
    (Undelivered, 6),
    (SpendingRefused, 4),
    (InvalidRequest, 2),
    (PromptRejected, 2),
    (NotConfigured, 2),
    (SeedreamError, 1),
)


@contextmanager
def redacted_output(secrets: Sequence[str]) -> Iterator[None]:
    """While the block runs, everything the process writes to stdout and stderr is redacted."""
    plain = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", RedactedStream(stream, secrets)) for stream in plain)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = plain


@contextmanager
def plain_output() -> Iterator[None]:
    """Unredacted stdout, for a protocol that redacts by itself; stderr stays redacted."""
    outer = sys.stdout
    sys.stdout = outer.plain if isinstance(outer, RedactedStream) else outer
    try:
        yield
    finally:
        sys.stdout = outer


def say(key: str, language: Language, **values: Any) -> str:
    """A sentence of the command line."""
    return Message(key, **values).text(language)


def run(work: Coroutine[Any, Any, Any], settings: Settings, *, as_json: bool = False) -> Any:
    """Run an async piece of work; errors become sentences and exit codes."""
    try:
        return asyncio.run(work)
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo(say("cli.interrupted", settings.language), err=True)
        sys.exit(EXIT_INTERRUPTED)


def fail(error: SeedreamError, settings: Settings, *, as_json: bool) -> NoReturn:
    """Print an error and exit with its code."""
    from seedframe.studio import render

    context = click.get_current_context(silent=True)
    generating = context is not None and context.info_name in _GENERATING
    text = render.error_text(error, settings.language, generating=generating)
    if as_json:
        click.echo(render.machine_text({**render.error_facts(error, settings.language), "message": text}))
    else:
        click.echo(text, err=True)
    sys.exit(exit_code(error))


def exit_code(error: SeedreamError) -> int:
    """The code of the table above."""
    return next(code for kind, code in _EXITS if isinstance(error, kind))


def studio(settings: Settings, **options: Any) -> AbstractAsyncContextManager[Studio]:
    """An open studio; where the emulator is the backend, it runs in this process."""
    from seedframe.api import open_studio

    return open_studio(settings, **options)


def json_option(language: Language) -> click.Option:
    """`--json`, on every command."""
    return click.Option(["--json", "as_json"], is_flag=True, help=say("cli.option-json", language))


def show(result: Result, settings: Settings, *, as_json: bool) -> None:
    """Print a result for a person or, as JSON, for a program."""
    from seedframe.studio import render

    text = render.machine_text(result.as_dict()) if as_json else render.sentence(result, settings.language)
    click.echo(text)
    if not as_json:
        show_links(result, settings.language)


def show_links(result: Result, language: Language) -> None:
    """Links to pictures in an object store, signed: they are meant for whoever asked for the pictures."""
    with plain_output():
        for picture in result.pictures:
            if picture.link:
                click.echo(say("objects.link", language, link=picture.link))


def existing_file(path: Path) -> Path:
    """The file a command works on; InvalidRequest when it does not exist."""
    if not path.is_file():
        raise InvalidRequest(Message("cli.no-file", got=str(path)), field="source", got=str(path), allowed="FILE")
    return path


def read_json(given: str, field: str) -> Any:
    """JSON from a file, from stdin (`-`) or from the argument itself; InvalidRequest with line and column."""
    text = given
    if not given.lstrip().startswith(("{", "[")):
        try:
            text = sys.stdin.read() if given == "-" else Path(given).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise InvalidRequest(
                Message("cli.no-file", got=given), field=field, got=given, allowed="FILE|JSON"
            ) from None
    try:
        return json.loads(text)
    except ValueError as error:
        where = f"line {getattr(error, 'lineno', 0)}, column {getattr(error, 'colno', 0)}"
        raise InvalidRequest(Message("cli.odd-json", where=where), field=field, got=where, allowed="JSON") from None
