"""A part on the kernel's own loop: for those that wait more than they compute, and for tests."""

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from lmx.workers.handle import EngineState
from lmx.workers.part import PartKind
from lmx.workers.part_host import Closable
from lmx_hookspecs.context import Logger
from lmx_hookspecs.errors import EngineFailed, LmxError, Unavailable


@define(eq=False)
class InlinePart:
    """A part on the kernel's own loop; it cannot die, so nobody supervises it."""

    _kind: PartKind
    _open: Callable[[], Closable]
    _log: Logger
    state: EngineState = field(default=EngineState.STOPPED, init=False)
    _part: Closable | None = field(default=None, init=False)
    _closed: bool = field(default=False, init=False)

    async def start(self) -> None:
        """Open it here and now."""
        if self._closed:
            raise Unavailable(f"the {self._kind.name} is closed", code=self._kind.unavailable)
        if self._part is None:
            self._part = self._open()
            self.state = EngineState.READY

    async def call(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """Its own method."""
        try:
            await self.start()
            return await getattr(self._part, method)(**arguments)
        except LmxError:
            raise
        except Exception as error:  # the boundary around a plugin's code, as in a process of its own
            self._log.error("part_failed", part=self._kind.name, traceback="".join(traceback.format_exception(error)))
            raise EngineFailed(f"the {self._kind.name} gave up: {type(error).__name__}: {error}") from error

    def describe(self) -> Mapping[str, Any]:
        """State."""
        return {"isolation": "inline", "state": self.state}

    async def stop(self, grace_s: float | None = None) -> None:  # noqa: ARG002  nobody can be killed here
        """Close it."""
        self._closed, self.state = True, EngineState.STOPPED
        part, self._part = self._part, None
        if part is not None:
            await part.close()
