"""The counters of the gateway, in Prometheus' text format (version 0.0.4).

In: what happened. Out: lines of text. Never in here: a prompt, a key, an address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.05, 0.25, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)
_PREFIX = "seedframe_gateway_"
_HELP = {
    "requests_total": "Answered requests by path, status and error code.",
    "pictures_total": "Pictures handed over by model.",
    "replayed_total": "Requests answered with pictures that were paid before.",
    "spent_total": "Paid for answered requests by currency, from the price list.",
}


class GatewayMetrics:
    """Counters of one process."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._spent: dict[str, float] = {}
        self._buckets: Counter[float] = Counter()
        self._seconds = 0.0

    def answered(self, path: str, status: int, code: str, seconds: float) -> None:
        """One POST was answered, or its caller disconnected (status 499)."""
        self._count("requests_total", path=path, status=str(status), code=code)
        self._seconds += seconds
        for bucket in BUCKETS:
            self._buckets[bucket] += seconds <= bucket

    def made(self, facts: Mapping[str, Any], *, replayed: bool) -> None:
        """Pictures were delivered; only those of a new payment add to the cost."""
        for _ in facts["pictures"]:
            self._count("pictures_total", model=str(facts["model"]))
        if replayed:
            self._count("replayed_total")
        elif facts["cost"]["amount"] is not None:
            currency = str(facts["cost"]["currency"])
            self._spent[currency] = self._spent.get(currency, 0.0) + float(facts["cost"]["amount"])

    def text(self) -> str:
        """All metrics, in the order of their names."""
        samples: dict[str, list[str]] = {name: [] for name in _HELP}
        for (name, labels), value in sorted(self._counts.items()):
            samples[name].append(f"{_PREFIX}{name}{_labelled(labels)} {value}")
        for currency, amount in sorted(self._spent.items()):
            samples["spent_total"].append(f"{_PREFIX}spent_total{_labelled((('currency', currency),))} {amount:g}")
        lines = []
        for name, rows in samples.items():
            lines += [f"# HELP {_PREFIX}{name} {_HELP[name]}", f"# TYPE {_PREFIX}{name} counter", *rows]
        lines += [f"# TYPE {_PREFIX}in_flight gauge", f"{_PREFIX}in_flight {self.in_flight}", *self._histogram()]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        name = f"{_PREFIX}request_seconds"
        total = sum(count for (kind, _), count in self._counts.items() if kind == "requests_total")
        buckets = [f'{name}_bucket{{le="{bucket:g}"}} {self._buckets[bucket]}' for bucket in BUCKETS]
        ends = [f'{name}_bucket{{le="+Inf"}} {total}', f"{name}_sum {self._seconds:g}", f"{name}_count {total}"]
        return [f"# TYPE {name} histogram", *buckets, *ends]

    def _count(self, name: str, **labels: str) -> None:
        self._counts[(name, tuple(sorted(labels.items())))] += 1


def _labelled(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    escaped = ((name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for name, value in labels)
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"
