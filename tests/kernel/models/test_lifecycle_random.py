"""Whatever happens in whatever order: the ledger never holds more than the budget, and nothing is left at the end."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel_support import GB, ScriptedEngine, lifecycle, sized, turns
from lmx.models.lifecycle import Lifecycle
from lmx_hookspecs import LmxError, LoadOptions, ModelInfo, ModelState
from lmx_hookspecs.errors import EngineFailed

SIZES_GB = {"a": 2, "b": 3, "c": 4, "d": 6, "e": 11}
BUDGET_GB = 10
NAMES = st.sampled_from(sorted(SIZES_GB))
ACTIONS = st.sampled_from(["load", "load", "use", "use", "unload", "pin", "unpin", "expire", "give up"])


def some_engine(chance: Random) -> Callable[[ModelInfo], ScriptedEngine]:
    """Engines that take some turns to load, or fail."""

    def make(_model: ModelInfo) -> ScriptedEngine:
        may_load = asyncio.Event()
        asyncio.get_running_loop().call_later(chance.choice([0, 0.0005, 0.002]), may_load.set)
        error = EngineFailed("it died") if chance.random() < 0.1 else None
        return ScriptedEngine(may_load=may_load, load_error=error)

    return make


async def use(models: Lifecycle, model_id: str) -> None:
    async with models.lease(model_id) as resident:
        assert resident.state is ModelState.READY
        await turns(3)
        assert not resident.evicted, "a model was evicted while somebody used it"


async def expire(models: Lifecycle, model_id: str) -> None:
    await models.load(model_id, LoadOptions(keep_alive_s=1e-6))


async def give_up(models: Lifecycle, model_id: str) -> None:
    async with asyncio.timeout(0.0004):
        await models.load(model_id)


DEEDS: Mapping[str, Callable[[Lifecycle, str], Awaitable[object]]] = {
    "load": lambda models, model_id: models.load(model_id),
    "use": use,
    "unload": lambda models, model_id: models.unload(model_id),
    "pin": lambda models, model_id: models.pin(model_id, pinned=True),
    "unpin": lambda models, model_id: models.pin(model_id, pinned=False),
    "expire": expire,
    "give up": give_up,
}


async def attempt(models: Lifecycle, action: str, model_id: str) -> None:
    try:
        await DEEDS[action](models, model_id)
    except (LmxError, TimeoutError):
        return


def check(models: Lifecycle) -> None:
    assert models.ledger.held_bytes <= BUDGET_GB * GB
    for resident in models.loaded():
        assert resident.state in {ModelState.LOADING, ModelState.READY, ModelState.DRAINING}


async def play(script: list[tuple[str, str, int]], seed: int) -> None:
    infos = [sized(name, size_gb) for name, size_gb in SIZES_GB.items()]
    models = lifecycle(some_engine(Random(seed)), *infos, config={"memory_budget_gb": BUDGET_GB}, drain_s=1.0)
    models.start()
    deeds = []
    async with asyncio.timeout(30):
        for action, model_id, pause in script:
            deeds.append(asyncio.create_task(attempt(models, action, model_id)))
            for _ in range(pause):
                await asyncio.sleep(0)
                check(models)
        while not all(deed.done() for deed in deeds):
            await asyncio.sleep(0)
            check(models)
        await models.close()
    await asyncio.gather(*deeds)
    assert (models.ledger.held_bytes, models.loaded()) == (0, [])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(script=st.lists(st.tuples(ACTIONS, NAMES, st.integers(0, 40)), max_size=25), seed=st.integers(0, 1000))
def test_the_ledger_never_exceeds_the_budget_and_ends_at_zero(script: list[tuple[str, str, int]], seed: int) -> None:
    asyncio.run(play(script, seed))
