"""What a plugin is handed when it is opened or loads a model: configuration, logger, metrics, services."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # these modules import this one for their recipes
    from lmx_hookspecs.generation import Generation, GenerationRequest
    from lmx_hookspecs.health import Health
    from lmx_hookspecs.models import ModelStatus


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


class ModelsService(Protocol):
    """The model catalogue and life-cycle."""

    async def list(self) -> Sequence["ModelStatus"]:
        """Every model: ready ones first, then by id."""

    async def get(self, model_id: str) -> "ModelStatus":
        """One model; raises ModelNotFound."""

    async def load(self, model_id: str, **options: Any) -> "ModelStatus":
        """Load, or wait for the load in progress; returns once it is ready."""

    async def unload(self, model_id: str) -> int:
        """Drain, stop the worker, and return the bytes that came back."""


class PluginsService(Protocol):
    """What the loader found."""

    def list(self) -> Sequence[Mapping[str, Any]]:
        """One plain record per plugin: the facts of `lmx plugins list --json`."""


class HealthService(Protocol):
    """Runs the health checks of all plugins."""

    async def report(self) -> Mapping[str, "Health"]:
        """Each check's name and its answer; a check that times out is not ok."""

    async def ready(self) -> "Health":
        """Whether the server should get traffic: every critical check and every auto-loaded model."""


class RoutingService(Protocol):
    """From the name in a request to an ordered list of model ids."""

    async def resolve(self, name: str) -> Sequence[str]:
        """Ids to try in order; raises ModelNotFound."""


class EventsService(Protocol):
    """What happens in the server, as it happens."""

    def publish(self, type: str, data: Mapping[str, Any]) -> None:
        """Tell every subscriber; never blocks."""

    def subscribe(self) -> AsyncIterator[tuple[int, str, Mapping[str, Any]]]:
        """Id, type and data of each event from now on; ends when the subscriber falls too far behind."""


class ConfigService(Protocol):
    """The configuration in force."""

    def section(self, name: str) -> Any:
        """A top-level section's validated instance."""

    def plain(self) -> Mapping[str, Any]:
        """Everything as plain data, secrets masked."""


class Services(Protocol):
    """The kernel's system calls. Hooks of later features add to them."""

    @property
    def models(self) -> ModelsService:
        """Catalogue and life-cycle."""

    @property
    def plugins(self) -> PluginsService:
        """What the loader found."""

    @property
    def health(self) -> HealthService:
        """Health checks."""

    @property
    def routing(self) -> RoutingService:
        """Names to models."""

    @property
    def events(self) -> EventsService:
        """The event bus."""

    @property
    def metrics(self) -> Metrics:
        """Prometheus instruments."""

    @property
    def config(self) -> ConfigService:
        """The configuration in force."""

    async def generate(self, request: "GenerationRequest") -> "Generation":
        """Route, admit and lease; returns once a model holds the request, before its first piece.

        Raises an LmxError whose HTTP status is still free to be sent.
        """

    def describe(self) -> Mapping[str, Any]:
        """What every long-lived object says of itself: `/admin/stack`."""


class Context(WorkerContext, Protocol):
    """What a plugin gets in the kernel's process."""

    @property
    def name(self) -> str:
        """The plugin's name."""

    @property
    def services(self) -> Services:
        """The kernel's system calls; usable once the kernel runs, not while the plugin is being opened."""
