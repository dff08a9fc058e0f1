"""A process of its own that holds a journal and does what its standard input says; one JSON line in, one out."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import seedframe
from seedframe.catalog import Price
from seedframe.errors import SeedreamError
from seedframe.payments import Budget, Claim, Payments


class Process:
    """The other side, seen from a test. `ask` without `answer` leaves it working."""

    def __init__(self, path: Path, database: str | None = None) -> None:
        environ = {**os.environ, "PYTHONPATH": str(Path(seedframe.__file__).parents[1])}
        command = [sys.executable, __file__, str(path), *([database] if database else [])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, encoding="utf-8"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def ask(self, step: str, *args: Any, **named: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([step, args, named]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))

    def do(self, step: str, *args: Any, **named: Any) -> dict[str, Any]:
        self.ask(step, *args, **named)
        return self.answer()

    def kill(self) -> None:
        """SIGKILL: nothing in the process gets a chance to tidy up."""
        self._process.kill()
        self._process.communicate()


async def claim(journal: Payments, *, arguments: str, price: str = "0.22", budget: str | None = None) -> Claim:
    return await journal.claim(
        arguments,
        request={"prompt": arguments},
        backend="ark",
        model="5.0-lite",
        price=Price(Decimal(price), "CNY"),
        images=1,
        budget=None if budget is None else Budget(Decimal(budget), "CNY"),
    )


async def obey(journal: Payments, step: str, args: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    try:
        if step == "claim":
            claimed = await claim(journal, **named)
            return {"claim": type(claimed).__name__, "id": claimed.entry.id, "result": claimed.entry.result}
        outcome = await getattr(journal, step)(*args, **named)
    except SeedreamError as error:
        return {"error": error.kind, "text": str(error)}
    return {"state": outcome.state, "result": outcome.result, "error": outcome.error} if outcome else {}


async def main(path: str, database: str | None = None) -> None:
    journal = await Payments.open(Path(path), database=database)
    while line := await asyncio.to_thread(sys.stdin.readline):
        step, args, named = json.loads(line)
        print(json.dumps(await obey(journal, step, args, named)), flush=True)  # noqa: T201 - the pipe is the answer


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
