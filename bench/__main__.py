"""`python -m bench [GROUP …] [--quick]`: every figure from one run on one machine, then the table of targets.

Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

from bench import crowds, edits, gateway, memory, pictures, startup, walls, words
from bench.figures import Ground, Report
from bench.photos import save_photo
from bench.service import serving
from seedframe.images import turbojpeg_version

GROUPS: Mapping[str, Callable[[Report, Ground], None]] = {
    "startup": startup.report,
    "walls": walls.report,
    "memory": memory.report,
    "crowds": crowds.report,
    "edits": edits.report,
    "gateway": gateway.report,
    "pictures": pictures.report,
    "words": words.report,
}
SIZES = ((180, 320), (1440, 2560), (2048, 2048), (2304, 4096), (4096, 4096))


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("groups", nargs="*", metavar="GROUP", help=f"all, or some of: {', '.join(GROUPS)}")
    options.add_argument("--quick", action="store_true", help="fewer rounds, larger spreads")
    given = options.parse_args()
    if unknown := set(given.groups) - set(GROUPS):
        options.error(f"no such group: {', '.join(sorted(unknown))}")
    begun, report = time.perf_counter(), Report()
    print(_machine())
    with tempfile.TemporaryDirectory(prefix="seedframe-bench-") as folder:
        _paint(Path(folder))
        with serving(Path(folder)) as address:
            for name in given.groups or GROUPS:
                GROUPS[name](report, Ground(Path(folder), address, given.quick))
    print("\nTargets")
    print("\n".join(report.summary()))
    missed = sum(not target.met for target in report.targets)
    print(f"\n{len(report.targets) - missed} of {len(report.targets)} hold; {time.perf_counter() - begun:.0f} s")
    return 1 if missed else 0


def _paint(folder: Path) -> None:
    requests = [(folder, *size, kind) for size in SIZES for kind in ("jpeg", "png")]
    with ProcessPoolExecutor(2) as pool:
        for work in [pool.submit(save_photo, *arguments) for arguments in requests]:
            work.result()


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("mcp", "httpx", "pillow", "pybase64"))
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{load}; Python {platform.python_version()}; "
        f"{libraries}; libturbojpeg {turbojpeg_version() or 'not found: its rows are left out'}\n"
        "Loopback without TLS; the provider answers at once unless a row says otherwise. A real call waits seconds\n"
        "for the provider: what is measured here is what a tool adds to that. Medians ± half the distance of the\n"
        "quartiles; variants take turns, a ratio is the median over the turns. `naive`: a client for each request,\n"
        "always re-encodes. `careful`: shared client, verbatim where the ratio fits, threads. `floor`: one blocking\n"
        "connection, nothing checked or kept. `ours`: the same work our way, and also verified, flushed to disk and\n"
        "safely named. `product`: all six stages, which also check, style, write the payment record and a sidecar."
    )


if __name__ == "__main__":
    sys.exit(main())
