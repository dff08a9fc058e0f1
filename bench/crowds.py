"""Many requests at once: how much they slow each other, how long a ping of the host waits, how many finish a second.

In: a provider's address. Out: ratios, milliseconds, calls per second. The first half speaks MCP to `seedframe serve`
over stdio and lets the provider think for a second, as real ones do; the second half lets it answer at once and takes
each variant in a process of its own (`python -m bench.crowds`), eight calls at a time.

A hundred pings a second, which no host sends, cost client and server 2 ms of processor each: they are sent in rounds of
their own, and the walls are taken without them. Client, server and provider share the machine, and each picture must be
decoded once to be verified, so that calls at once are bound by the processor: the floor beside them is what the barest
senders, each a process with a blocking connection, take for the same burst with nothing checked, recorded or flushed.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.bursts import Begin, burst
from bench.figures import Ground, Report, Series, compared
from bench.service import Scene

THINKING = 1000
SCENE = Scene("1440x2560-7.jpeg", "url", wait=THINKING)
SUSTAINED = (("uncropped", Scene("1440x2560-7.jpeg", "url"), 4.0), ("cropped", Scene("2048x2048-7.jpeg", "url"), 2.5))
AT_ONCE, SET = 8, 4
CALLS = (1, 4, 16)
_PING = 0.01


def report(report: Report, ground: Ground) -> None:
    """Crowds over MCP, then sustained load."""
    report.title(f"Calls at once over MCP (1440x2560 url, the provider thinks for {THINKING} ms)")
    asyncio.run(_crowds(report, ground))
    report.title(f"Sustained calls per second, {AT_ONCE} at once (fresh processes)")
    for title, scene, least in SUSTAINED:
        found: dict[str, list[float]] = {"ours": [], "naive": [], "careful": [], "product": []}
        for _, (name, rates) in itertools.product(range(ground.rounds(2, 1)), found.items()):
            rates.append(sustained(name, ground.address, scene, 32))
        series = {name: Series(rates) for name, rates in found.items()}
        report.line(f"{title} ({scene.picture.split('-')[0]} url)", compared(series, unit="/s"))
        report.target(
            f"sustained calls/s, {title}: ours/naive", series["ours"].over(series["naive"]), least, at_least=True
        )


async def _crowds(report: Report, ground: Ground) -> None:
    number = itertools.count()
    rounds = ground.rounds(5, 3)
    async with _hosted(ground, SCENE) as session:
        await _together(session, 2, number)
        alone: float | None = None
        for count in CALLS:
            wall = Series([await _together(session, count, number) for _ in range(rounds)])
            ping = Series([await _pinged(session, count, number) for _ in range(rounds)])
            alone = alone or wall.median
            ratio = wall.median / alone
            figures = f"{wall} ms · {ratio:.2f} of one · {count / wall.median * 1000:.1f} calls/s"
            report.line(f"{count} at once", f"{figures} · slowest ping meanwhile {ping} ms")
            if count == 4:
                report.target("4 calls at once / one call", ratio, 1.2)
                report.target("slowest ping meanwhile", ping.median, 50, "ms")
            if count == 16:
                report.target("16 calls at once / one call", ratio, 1.25)
    await asyncio.to_thread(_report_floor, report, ground, rounds)
    async with _hosted(ground, dataclasses.replace(SCENE, count=SET)) as session:
        many = {"count": SET, "related": True}
        await _together(session, 1, number, **many)
        wall = Series([await _together(session, 1, number, **many) for _ in range(rounds)])
        report.line(f"a set of {SET}", f"{wall} ms · {wall.median / (alone or 1):.2f} of one")
        report.target(f"a set of {SET} / one call", wall.median / (alone or 1), 1.25)


def _report_floor(report: Report, ground: Ground, rounds: int) -> None:
    """What the barest senders take for the same bursts."""
    found: dict[int, list[float]] = {count: [] for count in CALLS}
    for _, (count, walls) in itertools.product(range(rounds), found.items()):
        walls.append(burst(count, _floor, ground.address))
    series = {count: Series(walls) for count, walls in found.items()}
    for count, wall in series.items():
        report.line(f"  the floor, {count} at once", f"{wall} ms · {wall.median / series[1].median:.2f} of one")


def _floor(begin: Begin, address: str) -> None:
    """One call of a bare sender, after one that opens its connection."""
    from bench.floor import Floor

    sender = Floor()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "picture.jpg"
        asyncio.run(sender.make(address + dataclasses.replace(SCENE, wait=0).path, target))
        begin()
        asyncio.run(sender.make(address + SCENE.path, target))


@asynccontextmanager
async def _hosted(ground: Ground, scene: Scene) -> AsyncIterator[Any]:
    """A host's session with `seedframe serve` whose provider delivers this scene."""
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    from bench.ours import environment

    with tempfile.TemporaryDirectory() as folder:
        variables = {**os.environ, **environment(ground.address + scene.path, Path(folder))}
        command = str(Path(sys.executable).with_name("seedframe"))
        parameters = StdioServerParameters(command=command, args=["serve"], env=variables)
        async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            yield session


async def _together(session: Any, calls: int, number: Any, **more: Any) -> float:
    """Milliseconds until the last of `calls` is answered."""
    began = time.perf_counter()
    answers = await asyncio.gather(*(_call(session, next(number), **more) for _ in range(calls)))
    wall = time.perf_counter() - began
    assert not any(answer.is_error for answer in answers), answers[0]
    return wall * 1000


async def _pinged(session: Any, calls: int, number: Any) -> float:
    """Milliseconds of the slowest ping while so many calls are under way."""
    pinging = asyncio.create_task(_slowest_ping(session))
    await _together(session, calls, number)
    pinging.cancel()
    return await pinging * 1000


async def _call(session: Any, number: int, **more: Any) -> Any:
    arguments = {"prompt": f"海边的灯塔，第{number}夜，月光与薄雾", "model": "5.0-lite", "ratio": "9:16"}
    return await session.call_tool("generate_image", {**arguments, **more})


async def _slowest_ping(session: Any) -> float:
    slowest = 0.0
    try:
        while True:
            began = time.perf_counter()
            await session.send_ping()
            slowest = max(slowest, time.perf_counter() - began)
            await asyncio.sleep(_PING)
    except asyncio.CancelledError:
        return slowest


def sustained(variant: str, address: str, scene: Scene, calls: int) -> float:
    """Calls per second of one variant, from a fresh process."""
    command = [sys.executable, "-m", "bench.crowds", variant, address, scene.path, str(calls)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
    return float(json.loads(done.stdout))


async def _sustain(given: argparse.Namespace, folder: Path) -> float:
    from bench.walls import makers

    maker = makers(folder, extras=True, only=given.variant)[given.variant]
    numbers = iter(range(given.calls))

    async def one_after_the_other() -> None:
        for number in numbers:
            await maker.make(given.address + given.path, folder / f"p{number}")

    await maker.make(given.address + given.path, folder / "warm")
    began = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
    wall = time.perf_counter() - began
    await maker.close()
    return int(given.calls) / wall


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("variant")
    options.add_argument("address")
    options.add_argument("path")
    options.add_argument("calls", type=int)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        json.dump(asyncio.run(_sustain(given, Path(folder))), sys.stdout)


if __name__ == "__main__":
    main()
