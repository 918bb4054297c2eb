"""The scheduler where it stands: before loads that compete for memory."""

import asyncio
from typing import Any

from attrs import define, field

from kernel_support import Engines, chat, lifecycle, sized, until
from lmx.models.lifecycle import Lifecycle
from lmx.pipeline import Pipeline
from lmx_hookspecs import GenerationRequest, MemoryReport, ModelState
from lmx_priority.config import PriorityConfig
from lmx_priority.scheduler import PriorityScheduler
from pipeline_support import Bench, collect


@define(eq=False)
class Site:
    """Models of 4 GB each where 10 GB may be held, behind the real scheduler; loads wait for `may_load`."""

    names: tuple[str, ...] = ("a", "b", "c")
    may_load: asyncio.Event = field(factory=asyncio.Event)
    may_speak: asyncio.Event = field(factory=asyncio.Event)
    models: Lifecycle = field(init=False)
    scheduler: PriorityScheduler = field(init=False)
    pipeline: Pipeline = field(init=False)

    def __attrs_post_init__(self) -> None:
        engines = Engines({"may_load": self.may_load, "may_speak": self.may_speak})
        known = [sized(name, 4) for name in self.names]
        self.models = lifecycle(engines, *known, config={"memory_budget_gb": 10})
        self.scheduler = PriorityScheduler(config=PriorityConfig(adapt_to_memory=False), memory=self._memory)
        self.pipeline = Bench(self.models, door=self.scheduler).pipeline()  # type: ignore[arg-type]

    def ask(self, request: GenerationRequest) -> "asyncio.Task[list[Any]]":
        return asyncio.create_task(collect(self.pipeline, request))

    def waiting(self) -> int:
        return int(self.scheduler.describe()["waiting"])

    def _memory(self) -> MemoryReport:
        return self.models.memory()


async def test_of_three_cold_models_that_are_asked_for_at_once_the_one_without_room_waits_for_it() -> None:
    site = Site()
    asked = [site.ask(chat(name)) for name in site.names]
    await until(lambda: site.waiting() == 1 and len(site.models.loaded()) == 2)

    site.may_load.set()
    site.may_speak.set()
    answers = await asyncio.gather(*asked)

    assert [bool(answer) for answer in answers] == [True] * 3
    assert sum(one.state is ModelState.READY for one in site.models.loaded()) == 2
    await site.models.close()
