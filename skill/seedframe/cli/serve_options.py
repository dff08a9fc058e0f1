"""`serve --http`: its options, and the start of the HTTP server.

In: the options of the operator. Out: a server that runs until it is stopped. Never in here: a route, a protocol.
"""

from __future__ import annotations

from pathlib import Path

import click

from seedframe.api import in_process_backend
from seedframe.cli.common import fail, say
from seedframe.errors import SeedreamError
from seedframe.messages import Language
from seedframe.settings import Settings


def http_params(language: Language) -> list[click.Parameter]:
    """The options of `serve` that are about HTTP."""
    path = click.Path(path_type=Path)
    return [
        click.Option(["--http"], metavar="HOST:PORT", help=say("cli_http.http", language)),
        click.Option(["--public-url"], metavar="URL", help=say("cli_http.public-url", language)),
        click.Option(["--tokens"], type=path, metavar="FILE", help=say("cli_http.tokens", language)),
        click.Option(["--issuer"], metavar="URL", help=say("cli_http.issuer", language)),
        click.Option(["--allow-host"], multiple=True, metavar="HOST", help=say("cli_http.allow-host", language)),
        click.Option(["--allow-origin"], multiple=True, metavar="URL", help=say("cli_http.allow-origin", language)),
    ]


def serve_remote(
    settings: Settings,
    http: str,
    public_url: str | None,
    tokens: Path | None,
    issuer: str | None,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
) -> None:
    """Serve MCP over HTTP until stopped; wrong options are errors before anything listens."""
    from seedframe.mcp_server.http.callers import shared_studios
    from seedframe.mcp_server.http.http_options import http_options
    from seedframe.mcp_server.http.serving import serve_http

    try:
        options = http_options(
            http, public_url=public_url, tokens=tokens, issuer=issuer, hosts=allow_host, origins=allow_origin
        )
        serve_http(
            options,
            settings,
            lambda: shared_studios(settings, lambda: in_process_backend(settings)),
            say=lambda message: click.echo(message.text(settings.language), err=True),
        )
    except SeedreamError as error:
        fail(error, settings, as_json=False)
