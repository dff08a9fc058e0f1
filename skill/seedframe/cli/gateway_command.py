"""`gateway`: the HTTP entry point for programs that speak Ark's or OpenAI's image API.

In: a host and a port. Out: a server that runs until it is stopped. Never in here: a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from seedframe.api import in_process_backend
from seedframe.cli.common import fail, say
from seedframe.errors import NotConfigured, SeedreamError, StoreError
from seedframe.messages import Language, Message
from seedframe.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

PORT = 8790


def commands(language: Language) -> tuple[click.Command, ...]:
    """The command of this module with help in one language."""
    return (
        click.Command(
            "gateway",
            callback=_gateway,
            help=say("gateway.command", language),
            params=[
                click.Option(["--port"], type=int, default=PORT, show_default=True),
                click.Option(["--host"], default="127.0.0.1", show_default=True, help=say("gateway.host", language)),
            ],
        ),
    )


def gateway_app(settings: Settings, host: str = "127.0.0.1") -> Starlette:
    """The app for these settings, as the command serves it."""
    from seedframe.gateway.app import gateway
    from seedframe.gateway.serve import CONNECTIONS
    from seedframe.studio.pipeline import Studio

    emulated = in_process_backend(settings)

    def opened(own: Settings) -> object:
        return Studio.open(own, transport=emulated, connections=CONNECTIONS)

    try:
        return gateway(settings, opened, host=host, own_files=emulated is not None)  # type: ignore[arg-type]
    except OSError as error:
        raise StoreError(
            Message("store.cannot-write", path=settings.journal.parent, why=error.strerror or type(error).__name__)
        ) from error


@click.pass_obj
def _gateway(settings: Settings, port: int, host: str) -> None:
    from seedframe.gateway.serve import serve_gateway
    from seedframe.listening import listening

    try:
        app = gateway_app(settings, host)
        listener = listening(host, port)
    except (OSError, OverflowError) as error:
        fail(_no_address(host, port, error), settings, as_json=False)
    except SeedreamError as error:
        fail(error, settings, as_json=False)
    with listener:
        port = listener.getsockname()[1]
        base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        click.echo(say("gateway.serving", settings.language, base=base, backend=settings.backend), err=True)
        serve_gateway(app, listener, settings.timeout)


def _no_address(host: str, port: int, error: OSError | OverflowError) -> NotConfigured:
    why = getattr(error, "strerror", None) or str(error)
    return NotConfigured(Message("gateway.no-address", host=host, port=port, why=why))
