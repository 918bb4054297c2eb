"""How the calls of one node went."""

from collections import deque
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from attrs import define, field

WINDOW = 100
"""Successful calls whose latency is remembered."""


@define(eq=False)
class CallStats:
    """Counts, and the latencies of the last calls that worked."""

    total: int = 0
    """Also calls that were given up, or refused for what was wrong with them."""
    successes: int = 0
    failures: int = 0
    _latencies_ms: deque[float] = field(factory=lambda: deque(maxlen=WINDOW))

    def succeeded(self, latency_ms: float) -> None:
        """A call worked."""
        self.total += 1
        self.successes += 1
        self._latencies_ms.append(latency_ms)

    def failed(self) -> None:
        """A call failed, and the node is to blame."""
        self.total += 1
        self.failures += 1

    def ended_otherwise(self) -> None:
        """A call ended, and says nothing about the node."""
        self.total += 1

    def describe(self) -> Mapping[str, Any]:
        """For operators."""
        judged = self.successes + self.failures
        latencies_ms = sorted(self._latencies_ms)
        return {
            "total_requests": self.total,
            "successes": self.successes,
            "failures": self.failures,
            "success_rate_pct": round(100 * self.successes / judged, 1) if judged else 100.0,
            "avg_latency_ms": round(fmean(latencies_ms), 2) if latencies_ms else 0.0,
            "p95_latency_ms": round(_percentile(latencies_ms, 0.95), 2) if latencies_ms else 0.0,
        }


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
