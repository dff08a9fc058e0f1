"""`gallery`: serves a page with the finished pictures on this machine.

In: a folder and a port. Out: an address on stdout, a server on loopback until it is stopped. Never in here: another
address than loopback, a paid call.
"""

from __future__ import annotations

import secrets
import webbrowser
from pathlib import Path

import click

from seedframe.cli.common import fail, say
from seedframe.errors import InvalidRequest
from seedframe.listening import listening
from seedframe.messages import Language, Message
from seedframe.settings import Settings

HOST = "127.0.0.1"
SECRET_BYTES = 18


def commands(language: Language) -> tuple[click.Command, ...]:
    """`gallery` with help in one language."""
    options = [
        click.Argument(["folder"], required=False, metavar="DIR", type=click.Path(path_type=Path)),
        click.Option(["--port"], type=click.IntRange(0, 65535), default=0, help=say("gallery.option-port", language)),
        click.Option(["--open/--no-open", "open_page"], default=True, help=say("gallery.option-open", language)),
    ]
    return (click.Command("gallery", callback=_gallery, params=[*options], help=say("gallery.command", language)),)


@click.pass_obj
def _gallery(settings: Settings, folder: Path | None, port: int, open_page: bool) -> None:
    import uvicorn

    from seedframe.gallery.made_pictures import Gallery
    from seedframe.gallery.site import gallery_site

    place = (folder or settings.output_dir).absolute()
    if not place.is_dir():
        fail(_no_folder(place), settings, as_json=False)
    try:
        listener = listening(HOST, port)
    except OSError as error:
        fail(_no_port(port, error), settings, as_json=False)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    address = f"http://{HOST}:{listener.getsockname()[1]}/{secret}/"
    click.echo(address)
    click.echo(say("gallery.serving", settings.language, folder=place), err=True)
    if open_page:
        webbrowser.open(address)
    app = gallery_site(Gallery(place), secret=secret, language=settings.language)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off")
    uvicorn.Server(config).run([listener])


def _no_folder(place: Path) -> InvalidRequest:
    return InvalidRequest(Message("gallery.no-folder", folder=place), field="folder", got=str(place), allowed="DIR")


def _no_port(port: int, error: OSError) -> InvalidRequest:
    why = error.strerror or type(error).__name__
    return InvalidRequest(Message("gallery.no-port", port=port, why=why), field="port", got=port, allowed="0-65535")
