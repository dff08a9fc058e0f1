"""What it takes to send input pictures: ten large ones, one small one, several edits at once.

In: a provider's address. Out: milliseconds, MiB, stalls, processor time. `naive` holds every picture as base64 in one
JSON text, as most tools do; `floor` streams the same bytes from disk to a blocking socket and checks nothing; `ours`
is the whole product. Memory and wall are taken in fresh processes (`python -m bench.edits`), the rest over MCP.

What `ours` adds to the floor is mostly the digest: every file is read and checked before anything is paid, so that its
sha256, timed alone in the same run, cannot overlap with the sending.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import hashlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pybase64

from bench.bursts import Begin, burst
from bench.figures import Ground, Report, Series
from bench.memory import _longest_gap, _mib, _peak_from_now, measurable
from bench.service import Scene

ANSWER = Scene("180x320-7.jpeg", "url")
PICTURE, EDITED = Scene("1440x2560-7.jpeg", "url"), Scene("2048x2048-7.jpeg", "url")
LARGE, LARGE_SIDE, SMALL_SIDE = 10, 1680, 896
SETTLED = 2.5
"""Ten pictures of noise, 8.5 MB each; a small one has 2.4 MB. After so many seconds a file counts as unchanged."""

VARIANTS = ("ours", "naive", "floor")
WITHOUT_EXTRAS = "without extras"
SERVERS = ("ours", WITHOUT_EXTRAS, "bare")
_PIECE = 3 << 18
_TEXT = {"model": "bench", "prompt": "make it evening"}


def report(report: Report, ground: Ground) -> None:
    """Ten large pictures, then the host's view."""
    report.title(f"Edits with {LARGE} PNGs of 8.5 MB (fresh processes; the files are new to the process)")
    large = [paint(ground.folder / f"reference-{number}.png", LARGE_SIDE) for number in range(LARGE)]
    small = paint(ground.folder / "small.png", SMALL_SIDE)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for _, name in itertools.product(range(ground.rounds(5, 3)), VARIANTS):
        found[name].append(measured(name, ground.address, large))
    walls = {name: Series([run["wall"] for run in runs]) for name, runs in found.items()}
    report.line("wall, milliseconds", " · ".join(f"{name} {wall}" for name, wall in walls.items()))
    again = Series([run["again"] for run in found["ours"]])
    report.line("  the same files once more", f"ours {again}")
    report.line("  their sha256 in two threads", str(Series([_digests(large) for _ in range(ground.rounds(5, 3))])))
    allowed = 1.5 * walls["floor"].median + 100
    report.target(f"edit with {LARGE} × 8.5 MB: wall; 1.5 × floor + 100 ms", walls["ours"].median, allowed, "ms")
    for field, title, unit, limit in (("peak", "peak above rest", "MiB", 8), ("stall", "longest loop stall", "ms", 30)):
        series = {name: Series([run[field] for run in runs]) for name, runs in found.items()}
        report.line(title, " · ".join(f"{name} {one.median:.1f} {unit}" for name, one in series.items()))
        if measurable() or field == "stall":
            report.target(f"edit with {LARGE} × 8.5 MB: {title}", series["ours"].median, limit, unit)
    report.title("Edits over MCP")
    asyncio.run(_over_mcp(report, ground, large, small))


def paint(path: Path, side: int) -> Path:
    """A PNG of noise, which no compression shrinks."""
    from PIL import Image

    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(path, compress_level=1)
    return path


def _digests(files: Sequence[Path]) -> float:
    """Milliseconds to read and digest the files, and nothing else."""
    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_digest, files))
    return (time.perf_counter() - began) * 1000


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def measured(variant: str, address: str, files: Sequence[Path]) -> dict[str, float]:
    """Wall and stall in ms, peak above rest in MiB, from a fresh process."""
    command = [sys.executable, "-m", "bench.edits", variant, address + ANSWER.path, *map(str, files)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
    found: dict[str, float] = json.loads(done.stdout)
    return found


class Naive:
    """Everything in memory."""

    async def send(self, base: str, files: Sequence[Path]) -> None:
        """One edit."""
        import base64

        import httpx

        uris = [f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}" for file in files]
        async with httpx.AsyncClient(timeout=300) as client:
            answer = await client.post(f"{base}/images/generations", json={**_TEXT, "image": uris})
            answer.raise_for_status()

    async def close(self) -> None:
        """Nothing is open."""


class Floor:
    """The same bytes from disk to a blocking socket."""

    async def send(self, base: str, files: Sequence[Path]) -> None:
        """One edit."""
        parts = urlsplit(base)
        connection = HTTPConnection(parts.netloc)
        head = b"data:image/png;base64,"
        sizes = sum((file.stat().st_size + 2) // 3 * 4 + len(head) + 3 for file in files)
        start, end = b'{"model":"bench","prompt":"make it evening","image":[', b'""]}'
        headers = {"content-length": str(len(start) + sizes + len(end))}
        connection.request("POST", f"{parts.path}/images/generations", self._body(files, start, head, end), headers)
        connection.getresponse().read()
        connection.close()

    def _body(self, files: Sequence[Path], start: bytes, head: bytes, end: bytes) -> Iterator[bytes]:
        yield start
        for path in files:
            yield b'"' + head
            with path.open("rb", buffering=0) as file:
                while piece := file.read(_PIECE):
                    yield pybase64.b64encode(piece)
            yield b'",'
        yield end

    async def close(self) -> None:
        """Nothing is open."""


class Product:
    """`edit_image` as a host calls it, from arguments to sidecar."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = itertools.count()
        self._open: Any = None
        self._studio: Any = None

    async def send(self, base: str, files: Sequence[Path]) -> None:
        """One edit, unlike any before."""
        from bench.ours import environment
        from seedframe.settings import Settings
        from seedframe.studio.pipeline import Studio

        if self._studio is None:
            variables = {**environment(base, self._folder), "SEEDFRAME_INPUT_ROOTS": str(files[0].parent)}
            self._open = Studio.open(Settings.read(variables))
            self._studio = await self._open.__aenter__()
        arguments = edit(files, next(self._number))
        async with self._studio.make("edit_image", arguments) as result:
            assert result.paths

    async def close(self) -> None:
        """Close the studio."""
        await self._open.__aexit__(None, None, None)


def edit(files: Sequence[Path], number: int) -> dict[str, Any]:
    """Arguments that no call before had."""
    return {"prompt": f"把天空改成黄昏，第{number}夜", "model": "5.0-lite", "images": [str(file) for file in files]}


async def _measure(given: argparse.Namespace, folder: Path) -> dict[str, float]:
    maker: Any = {"ours": lambda: Product(folder), "naive": Naive, "floor": Floor}[given.variant]()
    files = [Path(file) for file in given.files]
    small = paint(files[0].with_name(f"warm-{os.getpid()}.png"), 64)
    for _ in range(2):
        await maker.send(given.base, [small])
    small.unlink()
    gc.collect()
    ticker = asyncio.create_task(_longest_gap())
    await asyncio.sleep(0.05)
    rest = _peak_from_now() if measurable() else 0.0
    began = time.perf_counter()
    await maker.send(given.base, files)
    wall = time.perf_counter() - began
    peak = _mib("VmHWM") - rest if measurable() else 0.0
    await asyncio.sleep(0.002)
    ticker.cancel()
    stall = await ticker
    began = time.perf_counter()
    await maker.send(given.base, files)
    again = time.perf_counter() - began
    await maker.close()
    return {"wall": wall * 1000, "again": again * 1000, "peak": peak, "stall": stall * 1000}


async def _over_mcp(report: Report, ground: Ground, large: Sequence[Path], small: Path) -> None:
    number, rounds = itertools.count(), ground.rounds(5, 3)
    await _cost(report, ground, "edit with one PNG of 2.4 MB", EDITED, [small], number)
    await _cost(report, ground, "uncropped url call", PICTURE, [], number)
    async with _hosted(ground, ANSWER) as (session, _):
        await _together(session, 2, [small], number)
        walls: dict[int, list[float]] = {1: [], 4: []}
        pings: list[float] = []
        for _, (count, found) in itertools.product(range(rounds), walls.items()):
            await _unknown_again(large)
            wall, ping = await _together(session, count, large, number)
            found.append(wall)
            pings += [ping] * (count == 1)
        one, four, slowest = Series(walls[1]), Series(walls[4]), Series(pings)
        report.line(f"one edit with {LARGE} × 8.5 MB, then four", f"{one} ms · {four} ms · slowest ping {slowest} ms")
        report.target(f"edit with {LARGE} × 8.5 MB: slowest ping", slowest.median, 30, "ms")
        report.target(f"4 edits with {LARGE} × 8.5 MB at once / one", four.over(one), 2.2)
    alone, together = (Series([burst(count, _floor, ground.address, large) for _ in range(rounds)]) for count in (1, 4))
    report.line("  the floor alike", f"{alone} ms · {together} ms · {together.over(alone):.2f} times")


@asynccontextmanager
async def _hosted(ground: Ground, scene: Scene, *, server: str = "ours") -> AsyncIterator[tuple[Any, str]]:
    """A host's session with `seedframe serve`, whose provider delivers this scene, and its output folder.

    `server` is one of `SERVERS`: ours, ours on a machine without pybase64, or the least one that makes pictures.
    """
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    from bench.ours import environment

    with tempfile.TemporaryDirectory() as folder:
        roots = {"SEEDFRAME_INPUT_ROOTS": str(ground.folder)}
        variables = {**os.environ, **environment(ground.address + scene.path, Path(folder)), **roots}
        command, words = str(Path(sys.executable).with_name("seedframe")), ["serve"]
        if server == WITHOUT_EXTRAS:
            variables["PYTHONPATH"] = _hiding(Path(folder, "hidden"))
        if server == "bare":
            command, words = sys.executable, ["-m", "bench.bare_maker", ground.address + scene.path, folder]
        place = str(Path(__file__).parents[1])
        parameters = StdioServerParameters(command=command, args=words, env=variables, cwd=place)
        async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            yield session, folder


def _hiding(folder: Path) -> str:
    """A folder for PYTHONPATH with which pybase64 is not found."""
    folder.mkdir()
    (folder / "pybase64.py").write_text("raise ImportError\n", encoding="utf-8")
    return str(folder)


async def _cost(
    report: Report, ground: Ground, title: str, scene: Scene, files: Sequence[Path], number: Iterator[int]
) -> None:
    """Processor time of each server for one call, the mean of twenty, in turn."""
    async with AsyncExitStack() as stack:
        hosted = {name: await stack.enter_async_context(_hosted(ground, scene, server=name)) for name in SERVERS}
        found: dict[str, list[float]] = {name: [] for name in SERVERS}
        for session, _ in hosted.values():
            await _calls(session, 4, files, number)
        for _, (name, (session, mark)) in itertools.product(range(ground.rounds(5, 3)), hosted.items()):
            before, calls = _processor(mark), 20
            await _calls(session, calls, files, number)
            found[name].append((_processor(mark) - before) / calls)
    series = {name: Series(each) for name, each in found.items()}
    report.line(title, " · ".join(f"{name} {each}" for name, each in series.items()) + " ms of processor")
    report.target(f"{title}: processor over MCP", series["ours"].median, 40, "ms")


async def _calls(session: Any, count: int, files: Sequence[Path], number: Iterator[int]) -> None:
    """So many calls, one after the other."""
    for _ in range(count):
        arguments = edit(files, next(number)) if files else _arguments(next(number))
        answer = await session.call_tool("edit_image" if files else "generate_image", arguments)
        assert not answer.is_error, answer


def _arguments(number: int) -> dict[str, Any]:
    return {"prompt": f"海边的灯塔，第{number}夜，月光与薄雾", "model": "5.0-lite", "ratio": "9:16"}


async def _together(session: Any, count: int, files: Sequence[Path], number: Iterator[int]) -> tuple[float, float]:
    """Milliseconds until the last of `count` edits is answered, and of the slowest ping meanwhile."""
    from bench.crowds import _slowest_ping

    pinging = asyncio.create_task(_slowest_ping(session))
    began = time.perf_counter()
    calls = [session.call_tool("edit_image", edit(files, next(number))) for _ in range(count)]
    answers = await asyncio.gather(*calls)
    wall = time.perf_counter() - began
    pinging.cancel()
    assert not any(answer.is_error for answer in answers), answers[0]
    return wall * 1000, await pinging * 1000


async def _unknown_again(files: Sequence[Path]) -> None:
    """Make the files new to the server, and old enough for their time to show any later change."""
    for file in files:
        os.utime(file)
    await asyncio.sleep(SETTLED)


def _floor(begin: Begin, address: str, files: Sequence[Path]) -> None:
    begin()
    asyncio.run(Floor().send(address + ANSWER.path, files))


def _processor(mark: str) -> float:
    """Milliseconds of processor used by all processes with this text in their environment: front and worker."""
    return sum(_times(folder) for folder in Path("/proc").glob("[0-9]*") if mark.encode() in _read(folder / "environ"))


def _read(path: Path) -> bytes:
    """A file of `/proc`; nothing of a process that has just ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _times(process: Path) -> float:
    fields = _read(process / "stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK") if fields else 0.0


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("variant")
    options.add_argument("base")
    options.add_argument("files", nargs="+")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        json.dump(asyncio.run(_measure(given, Path(folder))), sys.stdout)


if __name__ == "__main__":
    main()
