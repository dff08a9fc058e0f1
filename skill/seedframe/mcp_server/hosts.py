"""How long a host waits for a call, by its name: some end a call although its progress is reported.

In: a request context, the settings. Out: seconds after which a call must have answered, or None. The numbers and where
they come from are in `data/hosts.json`. Never in here: the answer that is given then.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from seedframe.mcp_server.progress import Context
from seedframe.package_data import data_json
from seedframe.settings import Settings


def seconds_to_answer(ctx: Context, settings: Settings) -> float | None:
    """The setting; else the known limit of this host, less a margin; None: no limit."""
    if settings.answer_within is not None:
        return settings.answer_within
    client = ctx.session.client_params
    if client is None:
        return None
    cut = _cuts().get(client.client_info.name.lower())
    return None if cut is None else cut - float(_table()["margin_seconds"])


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = data_json("hosts.json")
    return table


@cache
def _cuts() -> Mapping[str, float]:
    return {name.lower(): float(host["cut_seconds"]) for host in _table()["hosts"] for name in host["names"]}
