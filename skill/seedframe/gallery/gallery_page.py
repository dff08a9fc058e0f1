"""The gallery's page: one template for a browser on this machine and for the frame of an MCP host.

In: where it will be shown. Out: HTML with its style and script inside, and the policy that goes with it. Pictures and
records are fetched by the script, from the server or from the host. Never in here: a record.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from seedframe.html_pages import as_script, asset, content_policy, environment, live_words
from seedframe.messages import Language, Message

FOLDER, WORDS = "gallery", "gallery"
Where = Literal["browser", "host"]
SOURCES = {"browser": "server_source.js", "host": "host_source.js"}


@cache
def gallery_page(where: Where, language: Language) -> str:
    """The whole page. In a host it talks to the frame around it (MCP Apps, 2026-01-26), else to its own server."""
    style, script = _style(), _script(where)
    return (
        environment(FOLDER, _words)
        .get_template("gallery.html")
        .render(
            language=language,
            where=where,
            policy=gallery_policy(where),
            style=style,
            script=script,
            words=live_words(WORDS),
        )
    )


def gallery_policy(where: Where) -> str:
    """Only its own pictures and records; in a host not even those, since they come as messages."""
    if where == "host":
        return content_policy(_style(), _script(where))
    return content_policy(_style(), _script(where), "connect-src 'self'", images="'self' data:")


def _style() -> str:
    return asset(FOLDER, ("gallery.css",))


def _script(where: Where) -> str:
    return as_script(asset(FOLDER, ("page.js", SOURCES[where], "wall.js", "detail.js")))


def _words(key: str, **values: Any) -> Message:
    return Message(f"gallery.{key}", **values)
