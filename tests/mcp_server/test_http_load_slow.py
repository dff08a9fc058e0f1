"""Two hundred callers at once on `seedframe serve --http`: a table of what each may do, of load and memory."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from http_host import MODERN, Remote, got, posted, served
from seedframe.emulator import emulator, running

pytestmark = [pytest.mark.slow, pytest.mark.timed, pytest.mark.anyio, pytest.mark.timeout(600)]

CALLERS = 200
GREEDY = 60
NAMES = tuple(f"caller-{number:03}" for number in range(CALLERS))
MORE_MEMORY = 1.25
"""The second 200 calls may take this much of what the first did: memory is level, not a leak."""


@pytest.fixture(scope="module")
def table() -> Iterator[list[tuple[str, str]]]:
    """Rows that are printed when the module is done."""
    rows: list[tuple[str, str]] = []
    yield rows
    width = max(len(name) for name, _ in rows)
    print(
        "\n| HTTP server |  |",
        *(f"| {name:<{width}} | {value} |" for name, value in rows),
        sep="\n",
        file=sys.__stderr__,
    )


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    app = emulator(paint="instant", always={"name": "latency", "seconds": 0.5})
    home = tmp_path_factory.mktemp("load")
    with running(app) as base, served(home, *NAMES, SEEDFRAME_EMULATOR_BASE=base, SEEDFRAME_IPM="100000") as found:
        yield found


def words(number: int, round: str) -> dict[str, Any]:
    return {"prompt": f"{round}里的第{number}只猫坐在窗台上，午后阳光", "ratio": "1:1", "model": "5.0-lite"}


async def timed(client: httpx.AsyncClient, remote: Remote, name: str, arguments: dict[str, Any]) -> float:
    """Seconds until a picture was made for a caller."""
    started = time.perf_counter()
    answer = await client.post(**remote.post(name, arguments))
    assert answer.status_code == 200, answer.text[:500]
    assert '\\"status\\":\\"done\\"' in answer.text, answer.text[:500]
    return time.perf_counter() - started


def memory(remote: Remote) -> float:
    """Resident MiB of the server."""
    status = Path(f"/proc/{remote.process.pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def crowd() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=300, limits=httpx.Limits(max_connections=None))


@pytest.mark.parametrize(
    ("status", "what", "headers", "size"),
    [
        (401, "no token", {"authorization": ""}, 10),
        (403, "strange Origin", {"origin": "https://evil.example"}, 10),
        (413, "body above 16 MB", {}, 16_000_001),
        (421, "strange Host", {"host": "rebound.example"}, 10),
    ],
)
def test_refusals(
    status: int, what: str, headers: dict[str, str], size: int, remote: Remote, table: list[tuple[str, str]]
):
    answer = posted(f"{remote.base}/mcp", {**MODERN, **remote.bearer(NAMES[0]), **headers}, content=b" " * size)

    table.append((what, str(answer.status_code)))
    assert answer.status_code == status


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
async def test_two_hundred_callers_at_once(remote: Remote, table: list[tuple[str, str]]):
    async with crowd() as client:
        started = time.perf_counter()
        first = await asyncio.gather(*(timed(client, remote, name, words(n, "清晨")) for n, name in enumerate(NAMES)))
        whole, after_first = time.perf_counter() - started, memory(remote)
        await asyncio.gather(*(timed(client, remote, name, words(n, "傍晚")) for n, name in enumerate(NAMES)))
        after_second = memory(remote)
    folders = remote.home / "pictures" / "callers"

    table.append((f"{CALLERS} callers at once, all answered", f"{whole:.1f} s"))
    table.append(("one caller waits (median, longest)", f"{statistics.median(first):.1f} s, {max(first):.1f} s"))
    table.append(("memory after 200 calls, after 400", f"{after_first:.0f} MiB, {after_second:.0f} MiB"))
    assert after_second < after_first * MORE_MEMORY
    assert {len(list((folders / name).glob("*.jpg"))) for name in NAMES} == {2}


async def test_a_greedy_caller_starves_nobody(remote: Remote, table: list[tuple[str, str]]):
    async with crowd() as client:
        greedy = [asyncio.create_task(timed(client, remote, NAMES[0], words(n, "深夜"))) for n in range(GREEDY)]
        await asyncio.sleep(0.2)
        modest = await asyncio.gather(
            *(timed(client, remote, name, words(n, "正午")) for n, name in enumerate(NAMES[1:11]))
        )
        longest = max(await asyncio.gather(*greedy))

    table.append(
        (f"one caller's {GREEDY} calls; ten others' one each", f"{longest:.1f} s; {max(modest):.1f} s at most")
    )
    assert max(modest) < longest / 2


def test_no_caller_sees_another(remote: Remote, table: list[tuple[str, str]]):
    made = min((remote.home / "pictures" / "callers" / NAMES[1]).glob("*.jpg"))
    direct = got(f"{remote.base}/files/{NAMES[1]}/9999999999-1-{'A' * 43}/{made.name}").status_code

    table.append(("a link nobody signed", str(direct)))
    assert direct == 403


def test_it_stops_in_time(remote: Remote, table: list[tuple[str, str]]):
    started = time.perf_counter()
    remote.process.terminate()
    remote.process.wait(60)

    table.append(("stop with nothing under way", f"{time.perf_counter() - started:.1f} s"))
    assert time.perf_counter() - started < 20
