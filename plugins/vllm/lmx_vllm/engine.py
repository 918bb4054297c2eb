"""The TextEngine on vllm-mlx."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

from attrs import define, field

from lmx_hookspecs import EngineDescription, GenerationRequest, Piece
from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.stops import StopStrings
from lmx_vllm.answers import Answer, Output, Row
from lmx_vllm.cache_facts import cache_facts
from lmx_vllm.core import Core
from lmx_vllm.planning import Plan, planned
from lmx_vllm.prompts import Prompts

CHECK_INTERVAL_S = 0.5

Arrival = tuple[Row, Output | Exception]


@define(eq=False, kw_only=True)
class VllmEngine:
    """A request becomes rows of vllm-mlx's engine, and what they get becomes pieces."""

    core: Core
    prompts: Prompts
    context_length: int
    capabilities: frozenset[str]
    max_rows: int
    used_bytes: Callable[[], int]
    details: Mapping[str, Any]
    _preparing: ThreadPoolExecutor = field(
        factory=lambda: ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare"), init=False
    )
    """Tokenizers are for one thread at a time, and a long prompt must not hold up the others' pieces."""

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Piece]:
        """The pieces of all choices; closing the iterator aborts what still runs."""
        arrived_s = time.monotonic()
        answer = Answer.of(await self._plan(request), StopStrings.compile(request.stop), arrived_s)
        arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
        running = {id(row): asyncio.create_task(self._follow(row, arrivals)) for row in answer.rows}
        try:
            while not answer.complete:
                row, output = await arrivals.get()
                if row.ended:
                    continue  # after a stop string
                piece = row.take(_given(output), time.monotonic())
                if row.cut:
                    running[id(row)].cancel()
                if piece is not None:
                    yield piece
        finally:
            await _ended(running.values())

    def describe(self) -> EngineDescription:
        """What it is and holds now."""
        return EngineDescription(
            context_length=self.context_length,
            capabilities=self.capabilities,
            memory_bytes=self.used_bytes(),
            max_rows=self.max_rows,
            details={
                **self.details,
                "rows": self.core.rows(),
                "cache": cache_facts(self.core.cache(), self.core.last_match()),
            },
        )

    def steps(self) -> int:
        """How many vllm-mlx has made so far."""
        return self.core.steps()

    async def death(self) -> str:
        """Waits until vllm-mlx's loop is beyond repair, and says why."""
        while (fault := self.core.fault()) is None:  # noqa: ASYNC110  vllm-mlx tells nobody
            await asyncio.sleep(CHECK_INTERVAL_S)
        return f"vllm-mlx is beyond repair: {fault}"

    async def close(self) -> None:
        """End what runs and give everything back."""
        self._preparing.shutdown(wait=False, cancel_futures=True)
        await self.core.close()

    async def _plan(self, request: GenerationRequest) -> Plan:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._preparing, planned, request, self.prompts, self.context_length)

    async def _follow(self, row: Row, arrivals: asyncio.Queue[Arrival]) -> None:
        ended = False
        try:
            async with aclosing(self.core.outputs(row.plan)) as outputs:
                async for output in outputs:
                    ended = output.reason is not None
                    arrivals.put_nowait((row, output))
        except Exception as error:  # the boundary of one row: its request is told, the others go on
            arrivals.put_nowait((row, error))
        else:
            if not ended:  # vllm-mlx swallows a cancellation, and ends the stream when it closes
                arrivals.put_nowait((row, EngineFailed("vllm-mlx ended this answer before its end")))


def _given(output: Output | Exception) -> Output:
    if isinstance(output, Exception):
        raise output
    return output


async def _ended(tasks: Any) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
