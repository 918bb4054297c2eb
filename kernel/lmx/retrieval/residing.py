"""The store in the memory ledger: what it says it takes counts like a model, and idle models make room for it.

It is never put out for a model, nor refused: what holds documents has to be there to be searched, and to be emptied.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define, field

from lmx.models.ledger import Claim, Ledger
from lmx.workers import EngineState
from lmx.workers.part import PartHandle
from lmx_hookspecs.context import Logger
from lmx_hookspecs.errors import LmxError
from lmx_hookspecs.memory import WORKER_BYTES

LOOK_INTERVAL_S = 10.0


@define(eq=False)
class Residing:
    """Looks at the store again and again, from `begin` to `close`; never starts it."""

    _name: str
    _part: PartHandle
    _ledger: Ledger
    _relieve: Callable[[str], Awaitable[None]]
    """Has idle models go, as far as that helps."""
    _log: Logger
    _interval_s: float = LOOK_INTERVAL_S
    facts: Mapping[str, Any] = field(factory=dict, init=False)
    """What it said of itself last."""
    _claim: Claim | None = field(default=None, init=False)
    _over: bool = field(default=False, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    def begin(self) -> None:
        """Start to look."""
        self._task = asyncio.create_task(self._run(), name="measure store")

    async def close(self) -> None:
        """Look no more; what it held is free."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._release()

    async def look(self) -> None:
        """Enter what it takes now."""
        if self._part.state is not EngineState.READY:
            self._release()
            return
        if self._claim is None:
            self._claim = self._ledger.enter(self._name, WORKER_BYTES, "store")
        try:
            self.facts = await self._part.call("describe", {})
        except LmxError as error:  # it is being replaced, say
            self._log.info("store_not_measured", reason=error.message)
            return
        self._claim.settle(int(self.facts.get("memory_bytes", 0)), 0)
        if self._ledger.over_bytes:
            await self._relieve(self._name)
        self._tell_of_excess(self._ledger.over_bytes)

    def _tell_of_excess(self, over_bytes: int) -> None:
        """Once, until it fits again."""
        if over_bytes and not self._over:
            self._log.warning(
                "memory_budget_exceeded",
                store=self._name,
                store_bytes=self._claim.held_bytes if self._claim else 0,
                over_bytes=over_bytes,
                advice="unpin or unload a model, raise models.memory_budget_gb, or have the store take less",
            )
        self._over = over_bytes > 0

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._interval_s)

    def _release(self) -> None:
        if self._claim:
            self._claim.release()
            self._claim = None
