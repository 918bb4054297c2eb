"""What ends once it has begun, whoever goes away meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from attrs import define, field

from lmx_hookspecs import Logger

T = TypeVar("T")
CLOSING_S = 5.0
"""So long the end of the server waits for them; what is cut off then, the next start puts in order."""


@define(eq=False)
class Errands:
    """Steps that belong together: a client that goes away after the first must not keep the second from being made."""

    log: Logger
    _running: set["asyncio.Task[Any]"] = field(factory=set)

    async def run(self, errand: Coroutine[Any, Any, T]) -> T:
        """What it answers; raises what it raises."""
        task = asyncio.create_task(errand)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._tell)
            raise

    async def close(self) -> None:
        """Wait for those that have begun."""
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=CLOSING_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _tell(self, task: "asyncio.Task[Any]") -> None:
        """Nobody waits for its error any more."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.log.warning("unwatched_request_failed", reason=str(error), exc_info=error)
