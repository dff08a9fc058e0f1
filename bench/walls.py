"""How long one picture takes from the wish to the file, ours against the others, in turn: `measure`.

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
from pathlib import Path
from typing import Protocol

from bench.figures import Series
from bench.service import Scene

Times = dict[str, dict[str, Series]]


class Maker(Protocol):
    """A way from a wish to files."""

    async def make(self, base: str, target: Path) -> list[Path]: ...

    async def close(self) -> None: ...


def measure(address: str, scenes: Iterable[Scene], rounds: int, *, extras: bool = True) -> Times:
    """Milliseconds by scene path and variant, from a fresh process."""
    command = [sys.executable, "-m", "bench.walls", address, str(rounds), *(scene.path for scene in scenes)]
    done = subprocess.run(  # noqa: S603
        command if extras else [*command, "--bare"],
        check=True,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    found = json.loads(done.stdout)
    return {path: {name: Series(values) for name, values in series.items()} for path, series in found.items()}


def makers(folder: Path, *, extras: bool) -> dict[str, Maker]:
    """Every variant this machine can run."""
    from bench.careful import Careful
    from bench.naive import Naive
    from bench.ours import Ours, without_extras

    if not extras:
        without_extras()
    variants: dict[str, Maker] = {"ours": Ours(folder), "naive": Naive(), "careful": Careful()}
    if extras:
        from bench.floor import Floor

        variants["floor"] = Floor()
    return variants


async def _run(address: str, paths: list[str], rounds: int, folder: Path, *, extras: bool) -> dict[str, object]:
    variants = makers(folder, extras=extras)
    found: dict[str, object] = {}
    for path in paths:
        known = _sums(address + "/" + path.split("/")[1])
        times: dict[str, list[float]] = {name: [] for name in variants}
        for number in range(-2, rounds):
            for name, maker in variants.items():
                start = time.perf_counter()
                made = await maker.make(address + path, folder / f"p{number}-{name}")
                if number >= 0:
                    times[name].append((time.perf_counter() - start) * 1000)
                _check(name, made, known)
        found[path] = times
    for maker in variants.values():
        await maker.close()
    return found


def _sums(url: str) -> str:
    import httpx

    return hashlib.sha256(httpx.get(url).content).hexdigest()


def _check(name: str, made: list[Path], known: str) -> None:
    """What we call untouched has the provider's bytes; then the files go, so that the disk does not fill."""
    for path in made:
        sidecar = path.with_name(path.name + ".json")
        if name == "ours" and json.loads(sidecar.read_text(encoding="utf-8"))["picture"]["method"] == "bytes":
            assert hashlib.sha256(path.read_bytes()).hexdigest() == known
        for file in (path, sidecar, path.with_stem(path.stem + ".original")):
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
