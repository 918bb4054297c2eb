"""What a start loads by itself, before anybody asks for it."""

import asyncio
from collections.abc import Sequence

from attrs import define, field

from lmx.state import RuntimeState
from lmx_hookspecs import LmxError, LoadOptions, Logger
from lmx_hookspecs.services import ModelsService


@define(eq=False)
class LoadsAtStart:
    """One load after the other, in the background."""

    _models: ModelsService
    _state: RuntimeState
    _log: Logger
    _task: "asyncio.Task[None] | None" = field(default=None, init=False)

    def begin(self, named: Sequence[str]) -> None:
        """First what an unclean stop has taken away, then what is named."""
        self._task = asyncio.create_task(self._run(named), name="load at start")

    async def close(self) -> None:
        """Load no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, named: Sequence[str]) -> None:
        for record in self._state.restorable():
            await self._load(record.id, record.options())
            self._state.settled(record.id)
        for model_id in named:
            await self._load(model_id, LoadOptions())

    async def _load(self, model_id: str, options: LoadOptions) -> None:
        try:
            await self._models.load(model_id, options)
        except LmxError as error:
            self._log.error("auto_load_failed", model=model_id, reason=error.message)
        except Exception as error:  # whatever is wrong with one model, those after it are loaded all the same
            self._log.error(
                "auto_load_failed", model=model_id, reason=f"{type(error).__name__}: {error}", exc_info=error
            )
