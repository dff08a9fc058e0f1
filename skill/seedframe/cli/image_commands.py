"""`generate` and `edit`: the picture tools on the command line.

In: options, which come from `tools.json`, so that a new argument needs no line here. Out: a printed result.
Never in here: a rule about models.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import click

from seedframe.cli.common import EXIT_PARTIAL, json_option, read_json, run, say, show, studio
from seedframe.cli.completion import complete_file, complete_model
from seedframe.cli.interruption import cancelled_with_parent
from seedframe.messages import Language, Message
from seedframe.service import schemas
from seedframe.settings import Settings

NOT_AS_ASKED = frozenset({"partial", "wrong_size"})
_KINDS: Mapping[str, Any] = {"string": str, "integer": int, "number": float}


def commands(language: Language) -> tuple[click.Command, ...]:
    """`generate` and `edit`."""
    return tuple(_picture_command(*pair, language) for pair in (("generate_image", "generate"), ("edit_image", "edit")))


def _picture_command(tool: str, name: str, language: Language) -> click.Command:
    parameters: list[click.Parameter] = [click.Argument(["prompt"], required=False)]
    parameters += [_option(tool, argument) for argument in schemas.argument_names(tool) if argument != "prompt"]
    parameters.append(json_option(language))
    return click.Command(name, callback=_make(tool), params=parameters, help=say(f"cli.{name}", language))


def _option(tool: str, name: str) -> click.Option:
    """An option from an argument's schema, with the description that the tool advertises."""
    if name == "brief":
        return click.Option(["--brief"], help="JSON file, or JSON.", metavar="FILE|JSON", shell_complete=complete_file)
    from seedframe.catalog import tool_rows

    entry = tool_rows()["arguments"][name]
    flag = "--" + name.replace("_", "-")
    help_text = _descriptions(tool)[name]
    schema = entry["schema"]
    if schema["type"] == "array":
        return click.Option([flag.removesuffix("s"), name], multiple=True, help=help_text, shell_complete=complete_file)
    if schema["type"] == "boolean":
        return click.Option([f"{flag}/--no{flag[1:]}"], default=None, help=help_text)
    kind = click.Choice(schema["enum"]) if "enum" in schema else _KINDS[schema["type"]]
    completion = complete_model if name == "model" else None
    return click.Option([flag], type=kind, help=help_text, shell_complete=completion)


@cache
def _descriptions(tool: str) -> Mapping[str, str]:
    from seedframe.catalog import catalog

    return schemas.descriptions(tool, catalog())


def _make(tool: str) -> Callable[..., None]:
    @click.pass_obj
    def command(settings: Settings, /, as_json: bool, **given: Any) -> None:
        arguments = {name: value for name, value in given.items() if value not in (None, ())}
        status = run(_run_tool(settings, tool, arguments, as_json=as_json), settings, as_json=as_json)
        sys.exit(EXIT_PARTIAL if status in NOT_AS_ASKED else 0)

    return command


async def _run_tool(settings: Settings, tool: str, arguments: dict[str, Any], *, as_json: bool) -> str:
    if "images" in arguments:
        arguments["images"] = list(arguments["images"])
    if "brief" in arguments:
        arguments["brief"] = read_json(arguments["brief"], "brief")

    async def report(message: Message) -> None:
        click.echo(message.text(settings.language), err=True)

    async with (
        studio(settings) as opened,
        cancelled_with_parent(opened, settings),
        opened.make(tool, arguments, report=report) as result,
    ):
        show(result, settings, as_json=as_json)
        return str(result.status)
