"""Drives the policy of plugin `priority` with a clock of its own."""

from typing import Any

from attrs import define, field

from lmx_hookspecs import Holding, MemoryReport, Ticket
from lmx_priority.config import PriorityConfig
from lmx_priority.place import Place, Standing
from lmx_priority.policy import Policy

GB = 10**9
EVER_S = 1e9


def memory(used_gb: float = 0, *, budget_gb: float = 100, available_gb: float = 100, models: str = "m") -> MemoryReport:
    """A ledger with one resident for each letter; what is used is the first one's."""
    used_bytes = round(used_gb * GB)
    return MemoryReport(
        total_bytes=200 * GB,
        available_bytes=round(available_gb * GB),
        budget_bytes=round(budget_gb * GB),
        held_bytes=used_bytes,
        holdings=[Holding(name=name, measured_bytes=used_bytes if name == models[0] else 0) for name in models],
    )


@define
class Desk:
    """Where requests come and go; names stand for places."""

    config: PriorityConfig = field(factory=PriorityConfig)
    now_s: float = 1000.0
    limit: int = 1
    policy: Policy = field(init=False)
    places: dict[str, Place] = field(factory=dict)
    started: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.policy = Policy(self.config)

    def enter(self, name: str, patience_s: float = EVER_S, **facts: Any) -> Place:
        """A request arrives, for model `m` unless `facts` say otherwise."""
        ticket = Ticket(**{"model": "m", "resident": True, "limit": self.limit, **facts})
        place = self.policy.enter(ticket, self.now_s, patience_s)
        self.places[name] = place
        self._note()
        return place

    def leave(self, *names: str) -> None:
        """They end, or give up."""
        for name in names:
            self.policy.leave(self.places[name], self.now_s)
            self._note()

    def pass_time(self, seconds: float) -> None:
        """And look again."""
        self.now_s += seconds
        self.policy.advance(self.now_s)
        self._note()

    def see(self, report: MemoryReport) -> None:
        """And look again."""
        self.policy.see(report)
        self.pass_time(0)

    def running(self) -> list[str]:
        """Those that run now, in order of arrival."""
        return [name for name, place in self.places.items() if place.standing is Standing.RUNNING]

    def run_dry(self, service_s: float = 1.0) -> list[str]:
        """Let whoever runs end, the oldest first, until nobody is left; the order in which all have started."""
        while running := self.running():
            self.now_s += service_s
            self.leave(running[0])
        return self.started

    def _note(self) -> None:
        fresh = [name for name in self.running() if name not in self.started]
        self.started += sorted(fresh, key=lambda name: self.places[name].started_s)
