"""One loaded model: its engine, its state, and who holds it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time

from attrs import define, field

from lmx.models.catalogue import Backend
from lmx.workers import EngineHandle, EngineState
from lmx_hookspecs import EngineDescription, ModelInfo, ModelState, ModelStatus


@define(eq=False)
class Resident:
    """A model on its way in, in use, or on its way out."""

    info: ModelInfo
    backend: Backend
    engine: EngineHandle
    state: ModelState = ModelState.LOADING
    reason: str | None = None
    description: EngineDescription | None = None
    loaded_at: float | None = None
    last_used_at: float | None = None
    request_count: int = 0
    in_flight: int = 0
    loading: "asyncio.Task[None] | None" = None
    unloading: "asyncio.Task[int] | None" = None
    """Both belong to everybody who waits for them: one who gives up must not cancel them."""
    _idle: asyncio.Event = field(factory=asyncio.Event)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator["Resident"]:
        """Count a request in and out; draining waits for the last one."""
        self.in_flight += 1
        self.request_count += 1
        self.last_used_at = time()
        self._idle.clear()
        try:
            yield self
        finally:
            self.in_flight -= 1
            self.last_used_at = time()
            if self.in_flight == 0:
                self._idle.set()

    async def drain(self, grace_s: float) -> bool:
        """Wait until nobody holds it; False when that took longer than `grace_s`."""
        if self.in_flight == 0:
            return True
        try:
            await asyncio.wait_for(self._idle.wait(), grace_s)
        except TimeoutError:
            return False
        return True

    @property
    def ready(self) -> bool:
        """Whether a request would find its engine at work: not while a worker is being replaced."""
        return self.state is ModelState.READY and self.engine.state is EngineState.READY

    @property
    def capabilities(self) -> frozenset[str]:
        """Exact once the engine is ready, else what the backend can do at best."""
        return self.description.capabilities if self.description else self.backend.spec.capabilities

    def status(self) -> ModelStatus:
        """The facts for operators."""
        description = self.description if self.engine.state is not EngineState.QUARANTINED else None
        replaced = self.state is ModelState.READY and not self.ready
        return ModelStatus(
            info=self.info,
            state=ModelState.LOADING if replaced else self.state,
            backend=self.backend.spec.name,
            reason=self.reason,
            context_length=description.context_length if description else self.info.context_length,
            capabilities=self.capabilities,
            memory_bytes=description.memory_bytes if description else 0,
            loaded_at=self.loaded_at,
            last_used_at=self.last_used_at,
            request_count=self.request_count,
            in_flight=self.in_flight,
            details=self.engine.describe() if self.ready else {},
        )
