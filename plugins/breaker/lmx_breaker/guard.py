"""The shell around the circuits: lets calls through or refuses them, waits for the time to try again, and tells."""

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from attrs import define, field

from lmx_breaker.circuit import Circuit, Permit, State
from lmx_breaker.config import BreakerConfig
from lmx_breaker.probe import probe
from lmx_hookspecs import Context, MetricsService, Outcome
from lmx_hookspecs.errors import Unavailable

MAX_TARGETS = 256
SHORTEST_RETRY_S = 1.0
EVENTS = {State.CLOSED: "breaker_closed", State.OPEN: "breaker_opened", State.HALF_OPEN: "breaker_half_open"}
LEVELS = {State.CLOSED: 0, State.OPEN: 1, State.HALF_OPEN: 2}
"""What the gauge shows."""


def _unheard(_outcome: Outcome) -> None:
    """The probe decides by itself: it knows better than the guards' outcome what it was after."""


@define(kw_only=True, eq=False)
class BreakerGuard:
    """One circuit per target."""

    ctx: Context
    clock: Callable[[], float] = time.monotonic
    _circuits: dict[str, Circuit] = field(factory=dict, init=False)
    _timers: dict[str, asyncio.TimerHandle] = field(factory=dict, init=False)
    """For those that are open."""
    _probes: "dict[str, asyncio.Task[None]]" = field(factory=dict, init=False)

    def call(self, target: str) -> AbstractAsyncContextManager[Callable[[Outcome], None]]:
        """Entered around each attempt; raises Unavailable (`circuit_open`) while the target is left alone."""
        return self._call(target)

    async def start(self) -> None:
        """Nothing is to be done before something fails."""

    async def close(self) -> None:
        """Try nothing any more."""
        for timer in self._timers.values():
            timer.cancel()
        probes = list(self._probes.values())
        for running in probes:
            running.cancel()
        if probes:
            await asyncio.wait(probes)

    def reconfigure(self, config: BreakerConfig) -> None:
        """Other bounds, for what fails from now on, and for how long those wait that are open."""
        for target, circuit in self._circuits.items():
            circuit.failure_threshold, circuit.reset_after_s = config.failure_threshold, config.reset_after_s
            if circuit.state is State.OPEN:
                self._arm(target, circuit)

    def describe(self) -> Mapping[str, Any]:
        """State per target that was called lately."""
        config: BreakerConfig = self.ctx.config
        return {
            "guard": "breaker",
            "failure_threshold": config.failure_threshold,
            "reset_after_s": config.reset_after_s,
            "targets": {target: self._facts(circuit) for target, circuit in sorted(self._circuits.items())},
        }

    @asynccontextmanager
    async def _call(self, target: str) -> AsyncIterator[Callable[[Outcome], None]]:
        if self._is_probe(target):
            yield _unheard
            return
        circuit = self._circuit(target)
        permit = circuit.admit(self.clock())
        if permit is None:
            raise self._refusal(target, circuit)
        outcomes: list[Outcome] = []
        try:
            yield outcomes.append
        finally:
            circuit.settle(permit, outcomes[0] if outcomes else Outcome.CANCELLED, self.clock())

    def _is_probe(self, target: str) -> bool:
        """The probe comes in through the same door as everybody, in a task that we have made."""
        return target in self._probes and self._probes[target] is asyncio.current_task()

    def _circuit(self, target: str) -> Circuit:
        if target not in self._circuits:
            self._make_room()
            config: BreakerConfig = self.ctx.config
            circuit = Circuit(config.failure_threshold, config.reset_after_s, partial(self._announce, target))
            self._circuits[target] = circuit
            self._show(target, circuit.state)
        return self._circuits[target]

    def _make_room(self) -> None:
        """Forget a target of which there is nothing to remember, else the oldest."""
        if len(self._circuits) < MAX_TARGETS:
            return
        idle = (target for target, circuit in self._circuits.items() if circuit.idle)
        forgotten = next(idle, next(iter(self._circuits)))
        del self._circuits[forgotten]
        self._disarm(forgotten)
        self._show(forgotten, State.CLOSED)

    def _announce(self, target: str, circuit: Circuit) -> None:
        """The circuit has changed its state."""
        if circuit is not self._circuits.get(target):
            return  # forgotten while a call was out
        self._disarm(target)
        if circuit.state is State.OPEN:
            self._arm(target, circuit)
            self._metrics.counter("lmx_breaker_opened", "Times that a circuit opened.", ["target"]).inc(target=target)
        self._show(target, circuit.state)
        facts = {"target": target, "failures": circuit.failures}
        self.ctx.services.events.publish(EVENTS[circuit.state], facts)
        log = self.ctx.log.warning if circuit.state is State.OPEN else self.ctx.log.info
        log(EVENTS[circuit.state], **facts)

    def _show(self, target: str, state: State) -> None:
        gauge = self._metrics.gauge("lmx_breaker_state", "0 is closed, 1 open, 2 half-open.", ["target"])
        gauge.set(LEVELS[state], target=target)

    def _arm(self, target: str, circuit: Circuit) -> None:
        """Have a look once it is time to try again."""
        self._disarm(target)
        delay_s = circuit.reset_in_s(self.clock())
        self._timers[target] = asyncio.get_running_loop().call_later(
            delay_s, self._try_again, target, circuit, context=contextvars.Context()
        )  # what comes then is not part of the request that has failed now, as the log would have it

    def _disarm(self, target: str) -> None:
        timer = self._timers.pop(target, None)
        if timer is not None:
            timer.cancel()

    def _try_again(self, target: str, circuit: Circuit) -> None:
        circuit.advance(self.clock())
        if circuit.state is State.OPEN:
            self._arm(target, circuit)  # the loop's clock is ahead of ours
        elif self.ctx.config.probe:
            self._begin_probe(target, circuit)

    def _begin_probe(self, target: str, circuit: Circuit) -> None:
        permit = circuit.admit(self.clock())
        if permit is not None:
            running = asyncio.create_task(self._probe(target, circuit, permit), name=f"probe {target}")
            self._probes[target] = running
            running.add_done_callback(partial(self._end_probe, target))

    def _end_probe(self, target: str, ended: "asyncio.Task[None]") -> None:
        if self._probes.get(target) is ended:
            del self._probes[target]

    async def _probe(self, target: str, circuit: Circuit, permit: Permit) -> None:
        outcome = Outcome.CANCELLED
        try:
            outcome = await probe(self.ctx.services, target)
        except Exception as error:  # the boundary of a task that nobody waits for: it must not stay silent
            self.ctx.log.error("probe_failed", target=target, exc_info=error)
            outcome = Outcome.FAULT
        finally:
            circuit.settle(permit, outcome, self.clock())

    def _refusal(self, target: str, circuit: Circuit) -> Unavailable:
        retry_in_s = max(SHORTEST_RETRY_S, circuit.reset_in_s(self.clock()))
        again = "is being tried right now" if circuit.state is State.HALF_OPEN else f"is tried in {retry_in_s:.0f} s"
        return Unavailable(
            f"model {target!r} has failed {circuit.failures} times in a row and {again}; ask again then, or ask for "
            "another model",
            code="circuit_open",
            param="model",
            retry_after_s=retry_in_s,
        )

    def _facts(self, circuit: Circuit) -> Mapping[str, Any]:
        now_s, opened_at_s = self.clock(), circuit.opened_at_s
        return {
            "state": circuit.state,
            "failures": circuit.failures,
            "calls": circuit.calls,
            "opened_at": None if opened_at_s is None else round(time.time() - (now_s - opened_at_s), 3),
            "retry_in_s": None if circuit.state is State.CLOSED else round(circuit.reset_in_s(now_s), 1),
        }

    @property
    def _metrics(self) -> MetricsService:
        return self.ctx.services.metrics
