"""What a plugin is handed when it is opened or loads a model: configuration, logger, metrics, services."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:  # its modules import this one for their recipes
    from lmx_hookspecs.services import Services


class Logger(Protocol):
    """Structured logging: an event name, then facts as keywords."""

    def debug(self, event: str, **facts: Any) -> None:
        """For developers."""

    def info(self, event: str, **facts: Any) -> None:
        """For operators."""

    def warning(self, event: str, **facts: Any) -> None:
        """Something is off, and handled."""

    def error(self, event: str, **facts: Any) -> None:
        """Something failed."""


class Counter(Protocol):
    """Counts up."""

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Add `amount`."""


class Gauge(Protocol):
    """Goes up and down."""

    def set(self, value: float, **labels: str) -> None:
        """Replace the value."""


class Histogram(Protocol):
    """Counts observations into buckets."""

    def observe(self, value: float, **labels: str) -> None:
        """Add one observation."""


class Metrics(Protocol):
    """Makes Prometheus instruments; asking twice for one name gives the same instrument."""

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        """A counter; `_total` is appended to its name."""

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Gauge:
        """A gauge."""

    def histogram(self, name: str, help: str, labels: Sequence[str] = (), buckets: Sequence[float] = ()) -> Histogram:
        """A histogram with the given upper bounds, in the unit that its name ends with."""


class WorkerContext(Protocol):
    """What worker-side code gets: no services, since orchestration stays in the kernel half of a plugin."""

    @property
    def config(self) -> Any:
        """The plugin's validated configuration: an instance of its ConfigSpec class, or None."""

    @property
    def log(self) -> Logger:
        """A logger bound to the plugin's name."""


class Context(WorkerContext, Protocol):
    """What a plugin gets in the kernel's process."""

    @property
    def name(self) -> str:
        """The plugin's name."""

    @property
    def services(self) -> "Services":
        """The kernel's system calls; `config` at once, the others once the kernel runs."""

    def part(self, name: str) -> Any:
        """What this plugin's own recipe of that name has made (a model source, a guard…): its parts meet here.

        Raises PluginError where it has made nothing.
        """


@runtime_checkable
class Startable(Protocol):
    """What a plugin's recipe makes may have these methods too, for work that goes on between requests."""

    async def start(self) -> None:
        """Called once the kernel runs; returns soon, and may leave tasks behind."""

    async def close(self) -> None:
        """End everything; called when the server ends, after the last engine."""
