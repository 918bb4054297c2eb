"""A pipeline over scripted engines, with a scheduler and a guard that remember what they saw."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, field

from kernel_support import Log
from lmx.accounting import Accounting
from lmx.events import EventBus
from lmx.metrics import PrometheusMetrics
from lmx.models.lifecycle import Lifecycle
from lmx.pipeline import Pipeline
from lmx.presets import PresetLibrary
from lmx.routing import Router
from lmx_hookspecs import GenerationRequest, Outcome, Piece, Ticket
from lmx_hookspecs.errors import Busy
from lmx_hookspecs.scheduling import Guard


@define(eq=False)
class Door:
    """A scheduler that lets everybody in, or nobody, and counts."""

    refuse: bool = False
    refused_models: frozenset[str] = frozenset()
    may_enter: asyncio.Event | None = None
    inside: int = 0
    tickets: list[Ticket] = field(factory=list)

    @asynccontextmanager
    async def admit(self, ticket: Ticket) -> AsyncIterator[None]:
        self.tickets.append(ticket)
        if self.refuse or ticket.model in self.refused_models:
            raise Busy("full", retry_after_s=3)
        if self.may_enter is not None:
            await self.may_enter.wait()
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def describe(self) -> Mapping[str, Any]:
        return {"waiting": 0, "running": self.inside, "limit": 0}


@define(eq=False)
class Witness:
    """A guard that remembers what it was told."""

    told: list[tuple[str, Outcome]] = field(factory=list)

    @asynccontextmanager
    async def call(self, target: str) -> AsyncIterator[Callable[[Outcome], None]]:
        yield lambda outcome: self.told.append((target, outcome))

    def describe(self) -> Mapping[str, Any]:
        return {}


@define(eq=False)
class BrokenWitness(Witness):
    """A guard with a bug in what it does with an outcome."""

    @asynccontextmanager
    async def call(self, target: str) -> AsyncIterator[Callable[[Outcome], None]]:
        def report(_outcome: Outcome) -> None:
            raise RuntimeError(f"a bug about {target}")

        yield report


@define(eq=False)
class Bench:
    """A pipeline over scripted engines."""

    models: Lifecycle
    door: Door = field(factory=Door)
    witness: Witness = field(factory=Witness)
    guards: Sequence[Guard] = ()
    """Beside the witness."""
    metrics: PrometheusMetrics = field(factory=PrometheusMetrics)
    log: Log = field(factory=Log)
    aliases: Mapping[str, Sequence[str]] = field(factory=dict)
    presets: PresetLibrary = field(factory=PresetLibrary)
    timeout_s: float = 10.0

    def pipeline(self) -> Pipeline:
        routing = Router(self.models.catalogue, self.models, self.aliases, presets=self.presets)
        accounting = Accounting(self.metrics, EventBus(), self.log)
        guards = [self.witness, *self.guards]
        return Pipeline(routing, self.models, self.door, guards, accounting, timeout_s=self.timeout_s)

    def line(self) -> dict[str, Any]:
        return self.log.named("generation")[-1]

    def metric(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(name)
        assert value is not None
        return value


async def collect(pipeline: Pipeline, request: GenerationRequest) -> list[Piece]:
    return [piece async for piece in await pipeline.generate(request)]
