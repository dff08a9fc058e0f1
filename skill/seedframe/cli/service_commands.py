"""The commands `models`, `schema`, `doctor`, `emulate`, `serve` and `demo`.

In: options. Out: tables, JSON, or a server that runs until it is stopped. Never in here: a paid call.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from seedframe.api import in_process_backend
from seedframe.cli.common import fail, json_option, plain_output, run, say, studio
from seedframe.cli.completion import complete_model
from seedframe.cli.doctor_command import doctor_command
from seedframe.cli.serve_options import http_params, serve_remote
from seedframe.errors import SeedreamError
from seedframe.messages import Language
from seedframe.settings import Settings

LOOPBACK = "127.0.0.1"


_HOST_WAITS_SECONDS = 1.0
"""Seconds after which the answers are stored for the next start: the host is served by then."""


def commands(language: Language) -> tuple[click.Command, ...]:
    """The commands of this module with help in one language."""
    return (
        _command(
            "models", _models, language, click.Option(["--remote"], is_flag=True, help=say("cli.remote", language))
        ),
        _command(
            "schema",
            _schema,
            language,
            click.Argument(["tool"], required=False, default="generate_image"),
            click.Option(["--model"], help=say("cli.schema-model", language), shell_complete=complete_model),
        ),
        doctor_command(language),
        click.Command(
            "emulate",
            callback=_emulate,
            help=say("cli.emulate", language),
            params=[
                click.Option(["--port"], type=click.IntRange(0, 65_535), default=8900, show_default=True),
                click.Option(["--profile"], default="ark", show_default=True),
                click.Option(["--host"], default=LOOPBACK, show_default=True, help=say("cli.emulate-host", language)),
            ],
        ),
        click.Command(
            "serve",
            callback=_serve,
            help=say("cli.serve", language),
            params=[*http_params(language), click.Option(["--keep-answers"], hidden=True)],
        ),
        click.Command(
            "demo",
            callback=_demo,
            help=say("cli.demo", language),
            params=[click.Option(["--output"], default="demo-pictures", show_default=True)],
        ),
    )


def _command(name: str, callback: Any, language: Language, *params: click.Parameter) -> click.Command:
    return click.Command(
        name, callback=callback, params=[*params, json_option(language)], help=say(f"cli.{name}", language)
    )


@click.pass_obj
def _models(settings: Settings, as_json: bool, remote: bool) -> None:
    from seedframe.catalog import catalog

    known = catalog()
    if remote:
        listing = run(_catalogue(settings), settings, as_json=as_json)
        click.echo(json.dumps(listing, ensure_ascii=False) if as_json else _remote_lines(listing, settings))
        return
    rows = [
        {
            "model": model.name,
            "title": model.title,
            "ids": {column: list(ids) for column, ids in model.ids.items()},
            "presets": list(model.presets),
            "references": model.references.count,
            "prompt_style": model.prompt_style,
        }
        for model in known.models
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row, model in zip(rows, known.models, strict=True):
        sold = ", ".join(b.name for b in known.backends if model.ids_on(b))
        click.echo(f"{row['model']:<10} {', '.join(model.presets):<14} {row['prompt_style']:<12} {sold}")


async def _catalogue(settings: Settings) -> Any:
    from seedframe.catalog import catalog
    from seedframe.service.client import connected

    backend = catalog().backend(settings.backend)
    async with connected(settings, backend, transport=in_process_backend(settings)) as client:
        return await client.models()


def _remote_lines(listing: Any, settings: Settings) -> str:
    ids = [str(entry.get("id")) for entry in listing.get("data", [])]
    pictures = sorted(id for id in ids if "seedream" in id)
    return "\n".join([*pictures, say("cli.not-an-entitlement", settings.language)])


@click.pass_obj
def _schema(settings: Settings, as_json: bool, tool: str, model: str | None) -> None:
    from seedframe.catalog import catalog, tool_rows
    from seedframe.prompting import brief_schema
    from seedframe.service import schemas
    from seedframe.service.request import TOOLS

    known = catalog()
    try:
        if tool not in tool_rows()["tools"]:
            raise _unknown_tool(tool)
        if model:
            shown = schemas.checked(tool, known.offer(model, known.backend(settings.backend), settings.endpoints))
        else:
            brief = brief_schema(tool) if tool in TOOLS else {}
            shown = schemas.advertised(tool, known, brief, settings)
    except SeedreamError as error:
        fail(error, settings, as_json=as_json)
    click.echo(json.dumps(shown, ensure_ascii=False, indent=None if as_json else 2))


def _unknown_tool(tool: str) -> SeedreamError:
    from seedframe.catalog import tool_rows
    from seedframe.errors import InvalidRequest
    from seedframe.messages import Message

    known = list(tool_rows()["tools"])
    return InvalidRequest(Message("cli.unknown-tool", got=tool, allowed=known), field="tool", got=tool, allowed=known)


@click.pass_obj
def _emulate(settings: Settings, port: int, profile: str, host: str) -> None:
    from seedframe.catalog import catalog
    from seedframe.emulator import serve

    def announce(taken: int) -> None:
        name, where = backend.base_settings[0], f"[{host}]" if ":" in host else host
        sentence = say("cli.emulating", settings.language, host=where, port=taken, profile=profile, name=name)
        click.echo(sentence, err=True)

    try:
        backend = catalog().backend(profile)
        serve(port, host=host, profile=profile, ready=announce)
    except SeedreamError as error:
        fail(error, settings, as_json=False)
    except (OSError, OverflowError) as error:
        fail(_no_port(host, port, error), settings, as_json=False)


def _no_port(host: str, port: int, error: Exception) -> SeedreamError:
    from seedframe.errors import InvalidRequest
    from seedframe.messages import Message

    why = getattr(error, "strerror", None) or str(error)
    message = Message("cli.no-port", host=host, port=port, why=why)
    return InvalidRequest(message, field="port", got=port, allowed="0-65535", advice=Message("cli.no-port-advice"))


@click.pass_obj
def _serve(settings: Settings, /, http: str | None, keep_answers: str | None, **remote: Any) -> None:
    """MCP over HTTP; or the front of the stdio server; or, with a place for the answers, the worker behind it."""
    if http is not None:
        serve_remote(settings, http, **remote)
        return
    if keep_answers is None:
        from seedframe.front import relay

        environ = {**os.environ, "SEEDFRAME_BACKEND": settings.backend}
        sys.exit(relay.serve(["--backend", settings.backend, "serve"], environ))
    _serve_behind(settings, keep_answers)


def _serve_behind(settings: Settings, place: str) -> None:
    """Garbage collection is off while the SDK is imported, because a host waits for the start."""
    import gc

    gc.disable()
    from seedframe.mcp_server.app import build_server, serve_stdio

    gc.freeze()
    gc.enable()

    def build() -> Any:
        return build_server(lambda: studio(settings), settings.language, settings, announces=True)

    async def serve() -> None:
        serving = asyncio.create_task(serve_stdio(build()))
        await asyncio.wait([serving], timeout=_HOST_WAITS_SECONDS)
        await _keep_answers(build, place)
        await serving

    with plain_output():
        asyncio.run(serve())


async def _keep_answers(build: Callable[[], Any], place: str) -> None:
    """Store the answers that the next front gives at once, unless they are there and can be read."""
    from seedframe.front.kept_answers import keep_answers, read_answers

    if read_answers(place):
        return
    from seedframe.mcp_server.spoken_answers import spoken_answers

    answers = await spoken_answers(build())
    with contextlib.suppress(OSError):  # the next start is then as slow as this one
        await asyncio.to_thread(keep_answers, place, answers)


@click.pass_obj
def _demo(settings: Settings, output: str) -> None:
    from seedframe.cli.demo import demonstrate

    try:
        asyncio.run(demonstrate(Path(output).absolute(), dict(os.environ), settings.language, click.echo))
    except RuntimeError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
