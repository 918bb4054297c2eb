"""One loaded model: its engine, its state, its share of the memory, and who holds it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, time

from attrs import define, evolve, field

from lmx.models.catalogue import Backend
from lmx.models.estimate import Estimate
from lmx.models.ledger import Claim
from lmx.models.states import following, shown
from lmx.models.terms import Terms
from lmx.state.document import LoadedModel
from lmx.workers import EngineHandle, EngineState
from lmx_hookspecs import EngineDescription, LoadOptions, ModelInfo, ModelState, ModelStatus


@define(eq=False)
class Resident:
    """A model on its way in, in use, or on its way out."""

    terms: Terms
    on_state: Callable[["Resident"], None]
    """Told of every change of state, and of its worker being replaced."""
    asked_s: float
    """When the load was asked for, on the clock."""
    clock: Callable[[], float] = monotonic
    state: ModelState = ModelState.ON_DISK
    """At first that of the model before anybody asked for it."""
    engine: EngineHandle = field(init=False)
    """Given right after it is made: it reports to this resident."""
    reason: str | None = field(default=None, init=False)
    description: EngineDescription | None = field(default=None, init=False)
    estimate: Estimate | None = field(default=None, init=False)
    claim: Claim | None = field(default=None, init=False)
    options: LoadOptions = field(init=False)
    """Those of its load, with what was changed since."""
    evicted: bool = field(default=False, init=False)
    """It is being unloaded to make room or for idleness: a request may bring it back."""
    loaded_at: float | None = field(default=None, init=False)
    last_used_at: float | None = field(default=None, init=False)
    request_count: int = field(default=0, init=False)
    in_flight: int = field(default=0, init=False)
    loading: "asyncio.Task[None] | None" = field(default=None, init=False)
    unloading: "asyncio.Task[int] | None" = field(default=None, init=False)
    """Both belong to everybody who waits for them: one who gives up must not cancel them."""
    _waiting: int = field(default=0, init=False)
    _touched_s: float = field(init=False)
    _idle: asyncio.Event = field(factory=asyncio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.options = self.terms.options
        self._touched_s = self.asked_s

    @property
    def info(self) -> ModelInfo:
        """The model, with the settings that it was loaded with."""
        return self.terms.info

    @property
    def backend(self) -> Backend:
        """What opens it."""
        return self.terms.backend

    @property
    def served_by(self) -> str:
        """Its node, or else its backend, and its id: `X-LMX-Served-By`."""
        now = self.description.details.get("node") if self.description else None
        where = now or self.info.details.get("node", self.backend.spec.name)
        return f"{where}/{self.info.id.removeprefix(f'{where}/')}"

    @property
    def keep_alive_s(self) -> float | None:
        """Seconds of idleness after which it goes; 0 is never, None the configured time."""
        own_s: float | None = self.info.settings.get("keep_alive_sec")
        return own_s if self.options.keep_alive_s is None else self.options.keep_alive_s

    @property
    def pinned(self) -> bool:
        """Whether it must not be evicted."""
        own = self.info.settings.get("pinned")
        return bool(own if self.options.pinned is None else self.options.pinned)

    def become(self, state: ModelState, reason: str | None = None) -> None:
        """The one way in which its state changes; an impossible change is a bug, and raises RuntimeError."""
        self.state, self.reason = following(self.state, state), reason
        if state is ModelState.READY:
            self.loaded_at, self._touched_s = time(), self.clock()
        self.on_state(self)

    def adopt(self, options: LoadOptions) -> bool:
        """Take over the keep-alive and the pin where the options have them; whether that changed anything."""
        before, after = self.options, self.options
        if options.keep_alive_s is not None:
            after = evolve(after, keep_alive_s=options.keep_alive_s)
        if options.pinned is not None:
            after = evolve(after, pinned=options.pinned)
        self.options = after
        return after != before

    def measured(self, description: EngineDescription) -> None:
        """What its engine says of itself now."""
        self.description = description
        if self.claim is not None and self.claim.measured_bytes is not None:
            self.claim.measured_bytes = description.memory_bytes

    def worker_changed(self, reason: str | None) -> None:
        """Its worker is being replaced, for that reason, or is back at work."""
        self.reason = reason
        self.on_state(self)

    @contextmanager
    def hold(self) -> Iterator["Resident"]:
        """Count a request in and out; draining waits for the last one."""
        self.in_flight += 1
        self.request_count += 1
        self.last_used_at, self._touched_s = time(), self.clock()
        self._idle.clear()
        try:
            yield self
        finally:
            self.in_flight -= 1
            self.last_used_at, self._touched_s = time(), self.clock()
            if self.in_flight == 0:
                self._idle.set()

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Somebody waits for it to be ready: it must not be evicted before they got to use it."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def drain(self, grace_s: float) -> bool:
        """Wait until nobody holds it, or `stop_draining`; False when that took longer than `grace_s`."""
        if self.in_flight == 0:
            return True
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def stop_draining(self) -> None:
        """Whoever still holds it has to let go."""
        self._idle.set()

    @property
    def ready(self) -> bool:
        """Whether a request would find its engine at work: not while a worker is being replaced."""
        return self.state is ModelState.READY and self.engine.state is EngineState.READY

    @property
    def restarting(self) -> bool:
        """Whether it is loaded, and a request would wait for a worker that is being replaced."""
        return self.state is ModelState.READY and not self.ready

    @property
    def idle_s(self) -> float | None:
        """Seconds since the later of its load and its last use; None while somebody uses it or waits to."""
        return None if self.in_flight or self._waiting else max(0.0, self.clock() - self._touched_s)

    @property
    def evictable(self) -> bool:
        """Whether it may make room for others now."""
        return self.state is ModelState.READY and not self.pinned and self.idle_s is not None

    @property
    def touched_s(self) -> float:
        """The later of its load and its last use, on the clock: the least one was used least recently."""
        return self._touched_s

    @property
    def held_bytes(self) -> int:
        """What it counts with in the ledger."""
        return self.claim.held_bytes if self.claim else 0

    @property
    def memory_bytes(self) -> int:
        """What its engine last measured."""
        return self.description.memory_bytes if self.description else 0

    @property
    def capabilities(self) -> frozenset[str]:
        """Exact once the engine is ready, else what the backend can do at best."""
        return self.description.capabilities if self.description else self.backend.spec.capabilities

    @property
    def shown_state(self) -> ModelState:
        """As operators see it: a model whose worker is being replaced is loading."""
        return ModelState.LOADING if self.restarting else shown(self.state, self.info)

    def record(self) -> LoadedModel:
        """What it takes to load it again like this; what presets and the configuration add is theirs to say again."""
        return LoadedModel(
            id=self.info.id,
            keep_alive_s=self.options.keep_alive_s,
            pinned=self.options.pinned,
            performance=self.options.performance,
            context_length=self.options.context_length,
        )

    def status(self) -> ModelStatus:
        """The facts for operators."""
        return ModelStatus(
            info=self.info,
            state=self.shown_state,
            backend=self.backend.spec.name,
            reason=self.reason,
            context_length=self.description.context_length if self.description else self.info.context_length,
            capabilities=self.capabilities,
            memory_bytes=self.memory_bytes,
            loaded_at=self.loaded_at,
            last_used_at=self.last_used_at,
            request_count=self.request_count,
            in_flight=self.in_flight,
            pinned=self.pinned,
            keep_alive_s=self.keep_alive_s,
            performance=self.terms.performance,
            details={**self.engine.describe(), "memory_estimate": str(self.estimate)} if self.ready else {},
        )
