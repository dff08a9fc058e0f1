"""How long one picture takes from the request to the file, ours against the others, in turn: `measure`.

In: a provider's address and the pictures it has. Out: milliseconds per scene and variant. Each set runs in a process of
its own (`python -m bench.walls`), once with and once without the optional libraries. Medians of interleaved runs.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.figures import Ground, Report, Series, compared
from bench.service import Scene
from seedframe.images import turbojpeg_version


@dataclass(frozen=True, slots=True)
class Times:
    """One scene: milliseconds by variant, and how many of our untouched files had other bytes than the service sent."""

    series: dict[str, Series]
    untouched: int
    differing: int


JPEGS = ("1440x2560-7.jpeg", "2048x2048-7.jpeg", "2304x4096-7.jpeg", "4096x4096-7.jpeg")
HOW = ("url", "b64")
SETS = (
    # pictures, with the optional libraries, patient and hasty rounds
    (JPEGS[:2], True, 21, 9),
    (JPEGS[:2], False, 21, 9),
    (JPEGS[2:], True, 7, 3),
    (("1440x2560-7.png", "2048x2048-7.png"), True, 4, 2),
    (("2304x4096-7.png", "4096x4096-7.png"), True, 2, 1),
)
UNCROPPED, SQUARE = "1440x2560-7.jpeg", "2048x2048-7.jpeg"


def report(report: Report, ground: Ground) -> None:
    """Every picture by url and inline."""
    for pictures, extras, patient, hasty in SETS:
        found = "libturbojpeg and pybase64" if turbojpeg_version() else "pybase64, no libturbojpeg found"
        libraries = f"with {found}" if extras else "without libturbojpeg and pybase64"
        report.title(f"Wish → files on disk and preview (milliseconds, {libraries})")
        scenes = [Scene(picture, how) for picture in pictures for how in HOW]
        times = measure(ground.address, scenes, ground.rounds(patient, hasty), extras=extras)
        for scene in scenes:
            report.line(f"{scene.picture.replace('-7.', ' ')} {scene.how}", compared(times[scene.path].series))
            _promise(report, scene, times[scene.path], extras=extras)


def _promise(report: Report, scene: Scene, times: Times, *, extras: bool) -> None:
    ours, naive, careful = (times.series[name] for name in ("ours", "naive", "careful"))
    library = "with" if extras else "without"
    if scene.picture == UNCROPPED:
        report.target(f"1440x2560 {scene.how}, {library} libraries: ours/naive", ours.over(naive), 0.35)
        report.target(f"1440x2560 {scene.how}, {library} libraries: ours/careful", ours.over(careful), 0.75)
        if extras:
            assert times.untouched
            report.target(f"1440x2560 {scene.how}: files whose sha256 differs", times.differing, 0)
    elif scene.picture == SQUARE:
        limit = 0.85 if extras else 0.95
        report.target(f"2048² → 9:16 {scene.how}, {library} libraries: ours/careful", ours.over(careful), limit)
    elif scene.picture == "2048x2048-7.png":
        report.target(f"2048² PNG → 9:16 {scene.how}: ours/naive", ours.over(naive), 0.45)


class Maker(Protocol):
    """A way from a request to files."""

    async def make(self, base: str, target: Path) -> list[Path]:
        """One request to the provider at `base`; the files it became."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


def measure(address: str, scenes: Iterable[Scene], rounds: int, *, extras: bool = True) -> dict[str, Times]:
    """Milliseconds by scene path and variant, from a fresh process."""
    command = [sys.executable, "-m", "bench.walls", address, str(rounds), *(scene.path for scene in scenes)]
    done = subprocess.run(
        command if extras else [*command, "--bare"],
        check=True,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    found = json.loads(done.stdout)
    return {
        path: Times({name: Series(values) for name, values in series.items()}, untouched, differing)
        for path, (series, untouched, differing) in found.items()
    }


def makers(folder: Path, *, extras: bool, only: str | None = None) -> dict[str, Maker]:
    """Every variant this machine can run, or the `only` one; what is not wanted is not imported."""
    if not extras:
        from bench.ours import without_extras

        without_extras()
    known = {"ours": _ours, "naive": _naive, "careful": _careful, "product": _product}
    if extras and turbojpeg_version():
        known["floor"] = _floor
    return {name: make(folder) for name, make in known.items() if only in {None, name}}


def _ours(folder: Path) -> Maker:
    from bench.ours import Ours

    return Ours(folder)


def _product(folder: Path) -> Maker:
    from bench.ours import Product

    return Product(folder)


def _naive(_folder: Path) -> Maker:
    from bench.naive import Naive

    return Naive()


def _careful(_folder: Path) -> Maker:
    from bench.careful import Careful

    return Careful()


def _floor(_folder: Path) -> Maker:
    from bench.floor import Floor

    return Floor()


async def _run(address: str, paths: list[str], rounds: int, folder: Path, *, extras: bool) -> dict[str, Any]:
    variants = makers(folder, extras=extras)
    found: dict[str, Any] = {}
    for path in paths:
        known = _sum_of(address + "/" + path.split("/")[1])
        times: dict[str, list[float]] = {}
        untouched = differing = 0
        jpeg = ".jpeg/" in path
        able = {name: maker for name, maker in variants.items() if jpeg or name not in {"floor", "product"}}
        for number in range(-1 if jpeg else 0, rounds):
            for name, maker in able.items():
                start = time.perf_counter()
                made = await maker.make(address + path, folder / f"p{number}-{name}")
                if number >= 0:
                    times.setdefault(name, []).append((time.perf_counter() - start) * 1000)
                if name == "product":
                    sums = [_sum(file) for file in made if _method(file) == "bytes"]
                    untouched, differing = untouched + len(sums), differing + len(sums) - sums.count(known)
                _clear(made)
        found[path] = (times, untouched, differing)
    for maker in variants.values():
        await maker.close()
    return found


def _sum_of(url: str) -> str:
    import httpx

    return hashlib.sha256(httpx.get(url).content).hexdigest()


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _method(picture: Path) -> str:
    """How we say the file was made."""
    sidecar = picture.with_name(picture.name + ".json").read_text(encoding="utf-8")
    return str(json.loads(sidecar)["picture"]["method"])


def _clear(made: list[Path]) -> None:
    """Remove the files, so that the disk does not fill."""
    for path in made:
        for file in (path, path.with_name(path.name + ".json"), path.with_stem(path.stem + ".original")):
            file.unlink(missing_ok=True)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("address")
    options.add_argument("rounds", type=int)
    options.add_argument("paths", nargs="+")
    options.add_argument("--bare", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = _run(given.address, given.paths, given.rounds, Path(folder), extras=not given.bare)
        json.dump(asyncio.run(work), sys.stdout)


if __name__ == "__main__":
    main()
