"""Who is told what of a job: the event bus, and the part of the kernel that started it."""

from collections.abc import Callable

from attrs import define, field

from lmx.jobs.throttle import Throttle
from lmx_hookspecs.events import EventsService
from lmx_hookspecs.jobs import JobStatus

EVENT_INTERVAL_S = 0.5
"""Between two progress events of one job: people watch them."""

OnChange = Callable[[JobStatus], None]
"""Told of each progress and of the end, before anybody who waits for it; called on the loop, must neither block nor
raise."""


def ignore_change(status: JobStatus) -> None:
    """Nobody listens."""


@define(eq=False)
class News:
    """Tells of one job."""

    _events: EventsService
    _on_change: OnChange
    _latest: JobStatus = field(init=False)
    _progress: Throttle = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._progress = Throttle(lambda: self._publish("job_progress"), EVENT_INTERVAL_S)

    def started(self, status: JobStatus) -> None:
        """It runs."""
        self._latest = status
        self._publish("job_started")

    def progressed(self, status: JobStatus) -> None:
        """It got further."""
        self._latest = status
        self._progress()
        self._on_change(status)

    def ended(self, status: JobStatus) -> None:
        """It is completed, failed or cancelled."""
        self._latest = status
        self._progress.close()
        self._publish(f"job_{status.state}")
        self._on_change(status)

    def _publish(self, type_: str) -> None:
        status = self._latest
        error = {"error": status.error} if status.error else {}
        known = {"job_id": status.id, "name": status.name, "fraction": status.fraction, "note": status.note}
        self._events.publish(type_, {**status.facts, **known, **error})
