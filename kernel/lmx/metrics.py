"""Prometheus instruments behind the contract's Metrics protocol."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import prometheus_client
from attrs import define, field
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from lmx_hookspecs import Sample

MAX_LABEL_SETS = 500
"""Label values come from clients; beyond this many per instrument they are counted under `other`."""


@define(eq=False)
class Instrument:
    """A counter, gauge or histogram whose label sets are remembered and bounded."""

    _metric: Any
    _labels: Sequence[str]
    _children: dict[tuple[str, ...], Any] = field(factory=dict)

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Add `amount`."""
        self.bound(labels).inc(amount)

    def set(self, value: float, **labels: str) -> None:
        """Replace the value."""
        self.bound(labels).set(value)

    def observe(self, value: float, **labels: str) -> None:
        """Add one observation."""
        self.bound(labels).observe(value)

    def bound(self, labels: Mapping[str, str]) -> Any:
        """The instrument of these labels, for a hot loop to keep."""
        if not self._labels:
            return self._metric
        values = tuple(str(labels[name]) for name in self._labels)
        child = self._children.get(values)
        if child is None:
            if len(self._children) >= MAX_LABEL_SETS:
                values = ("other",) * len(self._labels)
            child = self._children[values] = self._metric.labels(*values)
        return child


@define(eq=False)
class PrometheusMetrics:
    """Makes instruments in a registry of its own, so that two kernels in one process do not meet."""

    registry: CollectorRegistry = field(factory=lambda: CollectorRegistry(auto_describe=True))
    readings: Callable[[], Mapping[str, float]] = field(default=dict)
    """Gauges that are read whenever somebody looks, by name."""
    _instruments: dict[str, Instrument] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Instrument:
        """A counter; `_total` is appended to its name."""
        return self._instrument(prometheus_client.Counter, name, help, labels)

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Instrument:
        """A gauge."""
        return self._instrument(prometheus_client.Gauge, name, help, labels)

    def histogram(self, name: str, help: str, labels: Sequence[str] = (), buckets: Sequence[float] = ()) -> Instrument:
        """A histogram with the given upper bounds."""
        chosen = {"buckets": tuple(buckets)} if buckets else {}
        return self._instrument(prometheus_client.Histogram, name, help, labels, **chosen)

    def render(self) -> bytes:
        """Everything in the Prometheus text format 0.0.4."""
        self._read()
        return generate_latest(self.registry)

    def samples(self, *names: str) -> Sequence[Sample]:
        """The samples of these names; without names, of all."""
        self._read()
        chosen = self.registry.restricted_registry(names) if names else self.registry
        return [
            Sample(sample.name, sample.labels, sample.value)
            for metric in chosen.collect()
            for sample in metric.samples
            if not names or sample.name in names
        ]

    def _read(self) -> None:
        for name, value in self.readings().items():
            self.gauge(name, "Read when this page is made.").set(value)

    def _instrument(self, cls: Any, name: str, help: str, labels: Sequence[str], **more: Any) -> Instrument:
        known = self._instruments.get(name)
        if known is None:
            metric = cls(name, help, tuple(labels), registry=self.registry, **more)
            known = self._instruments[name] = Instrument(metric, tuple(labels))
        return known
