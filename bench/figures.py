"""Medians, spreads, ratios and the table of targets.

In: numbers. Out: lines of text that README can quote. Never in here: a measurement.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Series:
    """Repeated measurements of one thing."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles."""
        if len(self.values) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.values, n=4)
        return (high - low) / 2

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
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        sign, verdict = (">=" if self.at_least else "<="), "ok" if self.met else "MISSED"
        return f"{self.name:<64} {sign} {self.limit:g}{self.unit:<4} → {self.measured:8.3g}{self.unit:<4} {verdict}"


@dataclass(slots=True)
class Report:
    """Collects lines as they are measured, and targets for the end."""

    targets: list[Target] = field(default_factory=list)

    def title(self, text: str) -> None:
        print(f"\n{text}", flush=True)

    def line(self, name: str, value: str) -> None:
        print(f"  {name:<62} {value}", flush=True)

    def target(self, name: str, measured: float, limit: float, unit: str = "", *, at_least: bool = False) -> None:
        self.targets.append(Target(name, measured, limit, unit, at_least))

    def summary(self) -> Iterator[str]:
        yield from map(str, self.targets)


def compared(series: Mapping[str, Series], *, ours: str = "ours") -> str:
    """`ours 22.3 ms ± 0.4 · naive 103.3 · careful 36 · floor 15 · ours/naive 0.22 …`."""
    mine = series[ours].median
    times = " · ".join(f"{name} {values} ms" for name, values in series.items())
    ratios = " · ".join(f"{ours}/{name} {mine / values.median:.2f}" for name, values in series.items() if name != ours)
    return f"{times} | {ratios}"
