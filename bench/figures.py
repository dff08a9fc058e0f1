"""Medians, spreads, ratios and the table of targets.

In: numbers. Out: lines of text that README can quote. Never in here: a measurement.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ground:
    """What all groups of one run share: painted pictures, the provider that serves them, and how patient we are."""

    folder: Path
    address: str
    quick: bool

    def rounds(self, patient: int, hasty: int) -> int:
        """How often to repeat."""
        return hasty if self.quick else patient


@dataclass(frozen=True, slots=True)
class Series:
    """Repeated measurements of one thing."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles."""
        if len(self.values) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.values, n=4)
        return (high - low) / 2

    def over(self, other: Series) -> float:
        """The ratio: the median over the rounds where both were measured in turn, so that a busy machine hits both."""
        if len(self.values) != len(other.values):
            return self.median / other.median
        return statistics.median(mine / theirs for mine, theirs in zip(self.values, other.values, strict=True))

    def __str__(self) -> str:
        return f"{self.median:.1f} ± {self.spread:.1f}"


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the last table: what was promised, what was measured."""

    name: str
    measured: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the promise holds in this run."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        sign, verdict = (">=" if self.at_least else "<="), "PASS" if self.met else "MISS"
        return f"  {verdict}  {self.name:<66} {self.measured:>8.3g} {sign} {self.limit:g} {self.unit}".rstrip()


@dataclass(slots=True)
class Report:
    """Prints lines as they are measured, and collects targets for the end."""

    targets: list[Target] = field(default_factory=list)

    def title(self, text: str) -> None:
        """Begin a group."""
        print(f"\n{text}", flush=True)

    def line(self, name: str, value: str) -> None:
        """One measured thing."""
        print(f"  {name:<34} {value}", flush=True)

    def target(self, name: str, measured: float, limit: float, unit: str = "", *, at_least: bool = False) -> None:
        """Note what was promised and what came."""
        self.targets.append(Target(name, measured, limit, unit, at_least))

    def summary(self) -> Iterator[str]:
        """The table of targets."""
        yield from map(str, self.targets)


def compared(series: Mapping[str, Series], *, ours: str = "ours", unit: str = "ms") -> str:
    """`ours 22.3 ± 0.4 · naive 103.3 ± 2 ms | ours/naive 0.22`."""
    mine = series[ours]
    values = " · ".join(f"{name} {measured}" for name, measured in series.items())
    ratios = " · ".join(f"{ours}/{name} {mine.over(other):.2f}" for name, other in series.items() if name != ours)
    return f"{values} {unit} | {ratios}"
