"""A paid service that keeps its pictures back: while the gate is shut, every download ends in a 404."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from seedframe.emulator import emulator, running
from seedframe.emulator.service import RESULTS


@dataclass
class Gate:
    """`bills` is the emulator's ledger; `shut` is for the test to change."""

    bills: Any
    shut: bool = True


class _Downloads:
    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = self._gate.shut and scope["type"] == "http" and scope["path"].startswith(RESULTS)
        await (PlainTextResponse("", 404) if kept else self._app)(scope, receive, send)


@contextmanager
def gated_service(environ: dict[str, str], **options: Any) -> Iterator[Gate]:
    """An emulator on a socket behind a shut gate, and the variables that lead to it."""
    app = emulator(paint="instant", **options)
    gate = Gate(app.state.request_log)
    app.add_middleware(_Downloads, gate=gate)
    with running(app) as address:
        environ |= {"SEEDFRAME_EMULATOR_BASE": address, "SEEDFRAME_IPM": "6000"}
        yield gate
