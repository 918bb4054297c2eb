"""Stand-ins for what the kernel hands to a plugin: they record what they were told, and nothing more."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field

from lmx_hookspecs.errors import LmxError, ModelNotFound, PluginError
from lmx_hookspecs.generation import GenerationRequest, Piece
from lmx_hookspecs.memory import MemoryReport
from lmx_hookspecs.models import ModelState, ModelStatus


@define
class FakeLogger:
    """A Logger that keeps level, event and facts of every line."""

    lines: list[tuple[str, str, Mapping[str, Any]]] = field(factory=list)

    def debug(self, event: str, **facts: Any) -> None:
        """Keep it."""
        self.lines.append(("debug", event, facts))

    def info(self, event: str, **facts: Any) -> None:
        """Keep it."""
        self.lines.append(("info", event, facts))

    def warning(self, event: str, **facts: Any) -> None:
        """Keep it."""
        self.lines.append(("warning", event, facts))

    def error(self, event: str, **facts: Any) -> None:
        """Keep it."""
        self.lines.append(("error", event, facts))


@define
class FakeInstrument:
    """A Counter, Gauge and Histogram in one; `values` holds a list of what came in for each set of labels."""

    values: dict[tuple[tuple[str, str], ...], list[float]] = field(factory=dict)

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Keep the amount."""
        self._keep(amount, labels)

    def set(self, value: float, **labels: str) -> None:
        """Keep the value."""
        self._keep(value, labels)

    def observe(self, value: float, **labels: str) -> None:
        """Keep the observation."""
        self._keep(value, labels)

    def _keep(self, value: float, labels: Mapping[str, str]) -> None:
        self.values.setdefault(tuple(sorted(labels.items())), []).append(value)


@define
class FakeMetrics:
    """Metrics by name, without Prometheus."""

    instruments: dict[str, FakeInstrument] = field(factory=dict)

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> FakeInstrument:  # noqa: ARG002
        """The instrument of that name."""
        return self.instruments.setdefault(name, FakeInstrument())

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> FakeInstrument:  # noqa: ARG002
        """The instrument of that name."""
        return self.instruments.setdefault(name, FakeInstrument())

    def histogram(
        self,
        name: str,
        help: str,  # noqa: ARG002  the contract's signature
        labels: Sequence[str] = (),  # noqa: ARG002
        buckets: Sequence[float] = (),  # noqa: ARG002
    ) -> FakeInstrument:
        """The instrument of that name."""
        return self.instruments.setdefault(name, FakeInstrument())


@define
class FakeEvents:
    """An event bus that keeps what is published, and tells listeners; `subscribe` replays it and ends."""

    published: list[tuple[str, Mapping[str, Any]]] = field(factory=list)
    listeners: list[tuple[str, Callable[[Mapping[str, Any]], None]]] = field(factory=list)

    def publish(self, type: str, data: Mapping[str, Any]) -> None:
        """Keep it, and tell those who listen."""
        self.published.append((type, data))
        for wanted, listener in self.listeners:
            if wanted == type:
                listener(data)

    def listen(self, type: str, listener: Callable[[Mapping[str, Any]], None]) -> None:
        """Told from now on."""
        self.listeners.append((type, listener))

    async def subscribe(self, after: int | None = None) -> AsyncIterator[tuple[int, str, Mapping[str, Any]]]:
        """Everything so far, or what came behind `after`."""
        for number, (type_, data) in enumerate(list(self.published)):
            if after is None or number > after:
                yield number, type_, data

    def oldest(self) -> int:
        """The first one of all."""
        return 0


@define
class FakeModels:
    """A catalogue of the given models; load and unload move them between `on_disk` and `ready`."""

    statuses: dict[str, ModelStatus] = field(factory=dict)
    report: MemoryReport = field(
        factory=lambda: MemoryReport(total_bytes=0, available_bytes=0, budget_bytes=0, held_bytes=0)
    )

    async def list(self) -> Sequence[ModelStatus]:
        """Ready ones first, then by id."""
        return sorted(self.statuses.values(), key=lambda status: (status.state != ModelState.READY, status.info.id))

    async def get(self, model_id: str, *, fresh: bool = False) -> ModelStatus:  # noqa: ARG002  as it is
        """One model; raises ModelNotFound."""
        if model_id not in self.statuses:
            raise ModelNotFound(f"no model {model_id!r}", param="model")
        return self.statuses[model_id]

    async def load(self, model_id: str, **options: Any) -> ModelStatus:  # noqa: ARG002  the contract's signature
        """Ready at once."""
        status = evolve(await self.get(model_id), state=ModelState.READY)
        self.statuses[model_id] = status
        return status

    async def unload(self, model_id: str) -> int:
        """On disk again; gives back what it held."""
        status = await self.get(model_id)
        self.statuses[model_id] = evolve(status, state=ModelState.ON_DISK, memory_bytes=0)
        return status.memory_bytes

    def memory(self) -> MemoryReport:
        """`report`."""
        return self.report


@define
class FakeGeneration:
    """A Generation that yields the given pieces, then raises `error`; `closed` says whether it was ended."""

    model: str
    pieces: list[Piece]
    warnings: Sequence[str] = ()
    closed: bool = False
    served_by: str = "fake/model"
    error: LmxError | None = None
    prompt_tokens: int = 0

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self

    async def __anext__(self) -> Piece:
        """The next piece."""
        if self.closed or not self.pieces:
            raise self.error or StopAsyncIteration
        return self.pieces.pop(0)

    async def aclose(self) -> None:
        """End it."""
        self.closed = True


@define(kw_only=True)
class FakeServices:
    """The kernel's services with nothing behind them: `pieces` is the answer to every request."""

    pieces: Sequence[Piece] = ()
    warnings: Sequence[str] = ()
    requests: list[GenerationRequest] = field(factory=list)
    generations: list[FakeGeneration] = field(factory=list)
    models: FakeModels = field(factory=FakeModels)
    events: FakeEvents = field(factory=FakeEvents)
    metrics: FakeMetrics = field(factory=FakeMetrics)
    plugins: Any = None
    health: Any = None
    routing: Any = None
    config: Any = None

    async def generate(self, request: GenerationRequest) -> FakeGeneration:
        """Keep the request and answer it with `pieces`."""
        self.requests.append(request)
        self.generations.append(FakeGeneration(request.model, list(self.pieces), self.warnings))
        return self.generations[-1]

    def describe(self) -> Mapping[str, Any]:
        """Nothing."""
        return {}


@define(kw_only=True)
class FakeContext:
    """A Context, and so a WorkerContext, around the given configuration; `parts` by the names of their recipes."""

    config: Any = None
    name: str = "plugin"
    log: FakeLogger = field(factory=FakeLogger)
    services: Any = field(factory=FakeServices)
    parts: Mapping[str, Any] = field(factory=dict)

    def part(self, name: str) -> Any:
        """The one of that name."""
        if name not in self.parts:
            raise PluginError(f"plugin '{self.name}' has made no part '{name}'")
        return self.parts[name]
