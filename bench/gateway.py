"""What the gateway adds to a call, and 64 callers at once: `python -m bench gateway`.

In: a provider's address. Out: milliseconds by which a call through the gateway is longer than the same call of the
pipeline in its own process, and how long 64 callers wait together. Each way runs in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.figures import Ground, Report, Series
from bench.service import Scene

SCENE = Scene("1440x2560-7.jpeg", "url")
SMALL = Scene("180x320-7.jpeg", "url", wait=1000)
CALLERS = 64
MOST_ADDED = 15
_WARM = 3


def report(report: Report, ground: Ground) -> None:
    """One call after the other, through the gateway and without it; then many at once."""
    report.title("A call through the gateway (1440x2560 url, the provider answers at once)")
    rounds = ground.rounds(30, 12)
    found = {name: _measured(name, ground.address + SCENE.path, rounds) for name in ("pipeline", "gateway")}
    ways = {name: Series(times) for name, times in found.items()}
    for name, series in ways.items():
        report.line(f"one call, {name}", f"{series} ms")
    added = ways["gateway"].median - ways["pipeline"].median
    report.target("the gateway adds to a call", added, MOST_ADDED, "ms")
    report.title(f"{CALLERS} callers at once (the provider thinks for {SMALL.wait} ms)")
    (wall,) = _measured("crowd", ground.address + SMALL.path, 1)
    report.line(f"{CALLERS} at once", f"{wall:.0f} ms until the last has its picture")
    report.target(f"{CALLERS} callers / one provider's answer", wall / SMALL.wait, 4)


def _measured(way: str, address: str, rounds: int) -> list[float]:
    command = [sys.executable, "-m", "bench.gateway", way, address, str(rounds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
    return [float(value) for value in json.loads(done.stdout)]


def _variables(address: str, folder: Path) -> dict[str, str]:
    from bench.ours import environment

    return {**environment(address, folder), "SEEDFRAME_IPM": "1000000"}


def _body(number: int) -> dict[str, Any]:
    return {"model": "5.0-lite", "prompt": f"海边的灯塔，第{number}夜，月光与薄雾", "aspect_ratio": "9:16"}


async def _pipeline(address: str, folder: Path, rounds: int) -> list[float]:
    """The same calls without HTTP in front."""
    from seedframe.settings import Settings
    from seedframe.studio.pipeline import Studio

    times = []
    async with Studio.open(Settings.read(_variables(address, folder))) as studio:
        for number in range(rounds + _WARM):
            arguments = {**_body(number), "preview": "none"}
            arguments["ratio"] = arguments.pop("aspect_ratio")
            began = time.perf_counter()
            async with studio.make("generate_image", arguments, verbatim=True):
                pass
            times.append((time.perf_counter() - began) * 1000)
    return times[_WARM:]


async def _gateway(base: str, rounds: int) -> list[float]:
    times = []
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        for number in range(rounds + _WARM):
            began = time.perf_counter()
            answer = await http.post(f"{base}/api/v3/images/generations", json=_body(number))
            times.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, answer.text
    return times[_WARM:]


async def _crowd(base: str) -> list[float]:
    numbers = itertools.count()
    limits = httpx.Limits(max_connections=CALLERS)
    async with httpx.AsyncClient(timeout=120, trust_env=False, limits=limits) as http:

        async def one() -> None:
            answer = await http.post(f"{base}/api/v3/images/generations", json=_body(next(numbers)))
            assert answer.status_code == 200, answer.text

        await one()
        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(CALLERS)))
        return [(time.perf_counter() - began) * 1000]


@contextmanager
def _served(address: str, folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "seedframe", "gateway", "--port", "0"]
    variables = {**os.environ, **_variables(address, folder)}
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        try:
            yield "http://" + process.stderr.readline().partition("//")[2].partition("/")[0]
        finally:
            process.terminate()


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("way", choices=["pipeline", "gateway", "crowd"])
    options.add_argument("address")
    options.add_argument("rounds", type=int)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.way == "pipeline":
            times = asyncio.run(_pipeline(given.address, Path(folder), given.rounds))
        else:
            with _served(given.address, Path(folder)) as base:
                calls = _crowd(base) if given.way == "crowd" else _gateway(base, given.rounds)
                times = asyncio.run(calls)
        json.dump(times, sys.stdout)


if __name__ == "__main__":
    main()
