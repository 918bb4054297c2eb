"""The middleware: lets everybody through while there is no pressure, and then refuses work."""

from collections.abc import Mapping, MutableMapping
from math import nan
from time import monotonic
from typing import Any

from attrs import define, field

from lmx_hookspecs import Context, EventsService, Logger, Metrics, arrival_of
from lmx_hookspecs.context import Counter, Gauge
from lmx_hookspecs.errors import Unavailable
from lmx_hookspecs.http import Asgi
from lmx_shedder.config import ShedderConfig
from lmx_shedder.memory import ReadPercent
from lmx_shedder.overload import Overload, Reason
from lmx_shedder.watch import Watch

REQUESTS = frozenset({"http", "websocket"})
RETRY_AFTER_S = {Reason.MEMORY: 30.0, Reason.EVENT_LOOP: 5.0}
"""Memory comes back when an answer ends or somebody unloads a model, the loop once it has caught up."""


@define(eq=False)
class Shedder:
    """Refuses requests to routes that may be refused, while the server is overloaded."""

    overload: Overload
    read: ReadPercent
    events: EventsService
    log: Logger
    refused_requests: Counter
    memory_pressure: Gauge
    loop_lag: Gauge
    alert: bool = True
    """Somebody has to look closer: work is refused, or nobody has looked for a while."""
    _watch: Watch = field(init=False)
    _reason: Reason | None = None
    _since_s: float = 0.0
    _refused: int = 0
    """Since then."""

    def __attrs_post_init__(self) -> None:
        self._watch = Watch(self.read, self._see_memory, self._see_lag, self._judge, self.log)

    def __call__(self, app: Asgi) -> Asgi:
        """Stand around `app`."""
        watch = self._watch

        async def shed(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            watch.asked = True
            if self.alert and scope["type"] in REQUESTS:
                await self._look_closer(scope)
            await app(scope, receive, send)

        return shed

    async def admit(self, scope: Mapping[str, Any]) -> None:
        """A request that comes over a WebSocket; raises Unavailable."""
        self._watch.asked = True
        if self.alert:
            await self._look_closer(scope)

    def reconfigure(self, config: ShedderConfig) -> None:
        """New bounds, for the latest readings too."""
        self.overload.reconfigure(config)
        self._judge()

    def describe(self) -> Mapping[str, Any]:
        """What it sees; readings are taken while requests come, and for some seconds more."""
        return {
            "shedding": self._reason,
            "refused": self._refused,
            **self._numbers(),
            "watching": self._watch.awake,
        }

    async def _look_closer(self, scope: Mapping[str, Any]) -> None:
        """Raises Unavailable for work that is refused."""
        self._watch.wake()
        if not arrival_of(scope).sheddable:
            return
        if not self._watch.fresh:
            await self._watch.first_reading()
        if self._reason is not None:
            self._refused += 1
            self.refused_requests.inc(reason=self._reason)
            raise _refusal(self._reason, self.overload)

    def _see_memory(self, percent: float | None) -> None:
        if percent is None:
            self.overload.lose_memory()
            self.memory_pressure.set(nan)
        else:
            self.overload.see_memory(percent)
            self.memory_pressure.set(percent / 100)
        self._judge()

    def _see_lag(self, lag_s: float) -> None:
        self.overload.see_lag(lag_s)
        self.loop_lag.set(self.overload.loop_lag_s)
        self._judge()

    def _judge(self) -> None:
        before, self._reason = self._reason, self.overload.reason
        self.alert = self._reason is not None or not self._watch.awake
        if self._reason and not before:
            self._since_s, self._refused = monotonic(), 0
            self._tell("shedding_started", {"reason": self._reason, **self._numbers()})
        elif before and not self._reason:
            lasted_s = round(monotonic() - self._since_s, 1)
            facts = {"reason": before, **self._numbers(), "refused": self._refused, "duration_s": lasted_s}
            self._tell("shedding_ended", facts)

    def _tell(self, event: str, facts: Mapping[str, Any]) -> None:
        self.log.warning(event, **facts)
        self.events.publish(event, facts)

    def _numbers(self) -> dict[str, Any]:
        config, percent = self.overload.config, self.overload.memory_percent
        return {
            "memory_percent": None if percent is None else round(percent, 1),
            "loop_lag_ms": round(self.overload.loop_lag_s * 1000, 1),
            "shed_above_percent": config.shed_above_percent,
            "resume_below_percent": config.resume_below_percent,
            "max_loop_lag_ms": config.max_loop_lag_ms,
        }


def shedder_of(ctx: Context, read: ReadPercent) -> Shedder:
    """A shedder that reports through the services of its plugin's context."""
    metrics: Metrics = ctx.services.metrics
    return Shedder(
        Overload(ctx.config),
        read,
        ctx.services.events,
        ctx.log,
        metrics.counter("lmx_shed_requests", "Requests refused under pressure.", ["reason"]),
        metrics.gauge("lmx_memory_pressure", "Share of the memory that is in use, from 0 to 1."),
        metrics.gauge("lmx_event_loop_lag_seconds", "Mean delay of the server's event loop."),
    )


def _refusal(reason: Reason, overload: Overload) -> Unavailable:
    if reason is Reason.MEMORY:
        message = (
            f"the machine is short of memory ({overload.memory_percent:.0f} % in use), so the server takes no work; "
            "try again later, or unload a model"
        )
    else:
        message = (
            f"the server is behind with its work (by {overload.loop_lag_s * 1000:.0f} ms), so it takes no more; "
            "try again in a moment"
        )
    return Unavailable(message, code="overloaded", retry_after_s=RETRY_AFTER_S[reason])
