"""Peak memory above rest and the longest stall of the event loop, each variant in a process of its own.

In: a provider's address. Out: MiB and milliseconds. Rest is what the process holds after one small picture, so that
libraries are not counted; the peak is the kernel's own high-water mark, which is set back in between (Linux only).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.figures import Ground, Report, Series
from bench.service import Scene

_STATUS = Path("/proc/self/status")
_SMALL = Scene("180x320-7.jpeg", "b64")
_TICK = 0.001
PORTRAIT = "1440x2560-7.jpeg"
OURS = "product"
VARIANTS = (OURS, "naive", "careful")
SCENES = (
    ("1440x2560 url", Scene(PORTRAIT, "url")),
    ("1440x2560 b64", Scene(PORTRAIT, "b64")),
    ("2048x2048 → 9:16 b64", Scene("2048x2048-7.jpeg", "b64")),
    ("4096x4096 → 9:16 b64", Scene("4096x4096-7.jpeg", "b64")),
)
GROUP = Scene("2304x4096-7.jpeg", "b64", 15)


def report(report: Report, ground: Ground) -> None:
    """One picture of each kind, then fifteen of 4K in one reply."""
    report.title("Memory (MiB above rest, peak; fresh processes)")
    if not measurable():
        report.line("not measured", "needs Linux's /proc")
        return
    rounds = ground.rounds(3, 1)
    for title, scene in SCENES:
        peaks = {
            name: Series([measured(name, ground.address, scene)["peak"] for _ in range(rounds if name == OURS else 1)])
            for name in VARIANTS
        }
        report.line(title, " · ".join(f"{name} {peak.median:.1f}" for name, peak in peaks.items()))
        if scene.picture == PORTRAIT:
            report.target(f"{title}: peak above rest", peaks[OURS].median, 6, "MiB")
    found = {
        name: [measured(name, ground.address, GROUP) for _ in range(rounds if name == OURS else 1)] for name in VARIANTS
    }
    peaks = {name: Series([run["peak"] for run in runs]) for name, runs in found.items()}
    stalls = {name: Series([run["stall"] for run in runs]) for name, runs in found.items()}
    report.line("15 × 2304x4096 in one b64 reply", " · ".join(f"{name} {p.median:.1f}" for name, p in peaks.items()))
    shown = " · ".join(f"{name} {stall.median:.0f} ms" for name, stall in stalls.items())
    report.line("  longest stall of the event loop", shown)
    report.target("15 × 4K in one b64 reply: peak above rest", peaks[OURS].median, 8, "MiB")
    report.target("15 × 4K in one b64 reply: longest loop stall", stalls[OURS].median, 50, "ms")


def measurable() -> bool:
    """Whether this system reports the peak memory of a process."""
    return _STATUS.exists()


def measured(variant: str, address: str, scene: Scene) -> dict[str, float]:
    """Peak above rest in MiB and longest stall in ms, from a fresh process."""
    command = [sys.executable, "-m", "bench.memory", variant, address, scene.path, str(scene.count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
    found: dict[str, float] = json.loads(done.stdout)
    return found


async def _run(given: argparse.Namespace, folder: Path) -> dict[str, float]:
    from bench.walls import makers

    maker: Any = makers(folder, extras=True, only=given.variant)[given.variant]
    for number in range(2):
        await maker.make(given.address + _SMALL.path, folder / f"small-{number}")
    gc.collect()
    options = {"count": given.count} if given.variant == OURS else {}
    ticker = asyncio.create_task(_longest_gap())
    await asyncio.sleep(0.05)
    rest = _peak_from_now()
    made = await maker.make(given.address + given.path, folder / "picture", **options)
    peak = _mib("VmHWM")
    await asyncio.sleep(2 * _TICK)  # or a gap that lasted to the end would not be seen
    ticker.cancel()
    stall = await ticker
    await maker.close()
    assert len(made) == given.count
    return {"peak": peak - rest, "rest": rest, "stall": stall * 1000}


async def _longest_gap() -> float:
    """The longest time, beyond a millisecond, in which the loop answered nobody."""
    longest, before = 0.0, time.perf_counter()
    try:
        while True:
            await asyncio.sleep(_TICK)
            now = time.perf_counter()
            longest, before = max(longest, now - before - _TICK), now
    except asyncio.CancelledError:
        return longest


def _peak_from_now() -> float:
    """Set the kernel's high-water mark back; the level it starts from."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _mib("VmRSS")


def _mib(field: str) -> float:
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("variant")
    options.add_argument("address")
    options.add_argument("path")
    options.add_argument("count", type=int)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        json.dump(asyncio.run(_run(given, Path(folder))), sys.stdout)


if __name__ == "__main__":
    main()
