"""What operators change is acknowledged once it outlives a crash."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from attrs import define, field

from kernel_support import ScriptedEngine, info, lifecycle, turns
from lmx.models.lifecycle import Lifecycle


@define(eq=False)
class Disk:
    """Keeps what there is to keep when it is let to."""

    free: asyncio.Event = field(factory=asyncio.Event)
    waiting: int = 0

    async def kept(self) -> None:
        self.waiting += 1
        await self.free.wait()


CHANGES: dict[str, Callable[[Lifecycle], Awaitable[object]]] = {
    "load": lambda models: models.load("b"),
    "pin": lambda models: models.pin("a", pinned=True),
    "unload": lambda models: models.unload("a"),
    "forgive": lambda models: models.unload("bad"),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
async def test_a_change_is_acknowledged_once_it_is_kept(change: str) -> None:
    disk = Disk()
    models = lifecycle(lambda _model: ScriptedEngine(), info("a"), info("b"), info("bad"), kept=disk.kept)
    models.quarantine("bad", "it kills its workers")
    async with models.lease("a"):
        waited_for_a_request = disk.waiting

    changing = asyncio.ensure_future(CHANGES[change](models))
    await turns(200)
    early = changing.done()
    disk.free.set()
    await changing

    assert (waited_for_a_request, early, disk.waiting) == (0, False, 1)
