"""The vendor's image API without the vendor: for the demo, for tests, for people without a key.

`emulator()` is a Starlette app, `transport()` an httpx transport onto a new one in this process, `serve()` a server on
a port, `running()` one in a thread. `scripted()` plans misbehaviour. Only the CLI, tests and benches import this.
"""

from __future__ import annotations

from seedframe.emulator.app import emulator, serve, transport
from seedframe.emulator.faults import scripted
from seedframe.emulator.in_process import InProcess
from seedframe.emulator.server import running

__all__ = ["InProcess", "emulator", "running", "scripted", "serve", "transport"]
