import asyncio

import pytest

from kernel_support import DESCRIPTION, GB, Engines, ScriptedEngine, lifecycle, sized, turns, until
from lmx.models.lifecycle import Lifecycle
from lmx_hookspecs import LoadOptions, ModelInfo, ModelState
from lmx_hookspecs.errors import Conflict, InsufficientMemory, ModelNotFound, Unavailable

BUDGET = {"memory_budget_gb": 10}


async def test_of_two_models_that_race_for_the_last_space_exactly_one_gets_it() -> None:
    models = lifecycle(Engines(), sized("a", 6), sized("b", 6), config=BUDGET)

    outcomes = await asyncio.gather(models.load("a"), models.load("b"), return_exceptions=True)

    refused = [outcome for outcome in outcomes if isinstance(outcome, InsufficientMemory)]
    assert len(refused) == 1
    assert any(words in refused[0].message for words in ("is loading", "is in use", "was used just now"))
    assert [status.state for status in await models.list()] == [ModelState.READY, ModelState.ON_DISK]
    assert models.ledger.held_bytes == 6 * GB


async def test_many_requests_for_two_models_that_do_not_fit_together_are_all_answered() -> None:
    models = lifecycle(Engines(), sized("a", 6), sized("b", 6), config=BUDGET)
    answered = []

    async def ask(model_id: str) -> None:
        while True:
            try:
                async with models.lease(model_id):
                    await turns(3)
                    answered.append(model_id)
                    return
            except (InsufficientMemory, Unavailable):
                await asyncio.sleep(0.002)

    async with asyncio.timeout(20):
        await asyncio.gather(*(ask(model_id) for model_id in "abababab"))

    assert sorted(answered) == ["a"] * 4 + ["b"] * 4


async def test_who_waited_for_a_load_gets_to_use_it_before_it_can_make_room() -> None:
    may_load = asyncio.Event()
    engines = Engines({"may_load": may_load})
    models = lifecycle(engines, sized("a", 6), sized("b", 6), config=BUDGET)
    used = []

    async def use() -> None:
        async with models.lease("a") as resident:
            used.append(resident)
            await turns(30)

    using = asyncio.create_task(use())
    await until(lambda: "a" in engines.by_model and engines.of("a").starts == 1)
    may_load.set()
    with pytest.raises(InsufficientMemory):
        await models.load("b")
    await using

    assert [resident.request_count for resident in used] == [1]
    assert len(engines.by_model["a"]) == 1


async def test_an_unload_during_a_load_tells_all_who_wait_and_leaves_nothing_behind() -> None:
    engine = ScriptedEngine(may_load=asyncio.Event())
    models = lifecycle(engine, sized("m", 6), config=BUDGET)
    waiting = [asyncio.create_task(models.load("m")) for _ in range(3)]
    await until(lambda: engine.starts == 1 and models.loaded()[0]._waiting == 3)

    freed = await models.unload("m")
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert freed == 0
    assert [(type(outcome), getattr(outcome, "code", "")) for outcome in outcomes] == [
        (Unavailable, "model_draining")
    ] * 3
    assert (engine.starts, engine.stops) == (1, 1)
    assert models.ledger.held_bytes == 0
    assert (await models.get("m")).state is ModelState.ON_DISK


async def test_an_unload_in_the_turn_in_which_the_load_begins_cancels_it_too() -> None:
    engine = ScriptedEngine()
    models = lifecycle(engine, sized("m", 6), config=BUDGET)
    loading = asyncio.create_task(models.load("m"))
    await until(lambda: bool(models.loaded()))

    await models.unload("m")

    with pytest.raises(Unavailable):
        await loading
    assert models.ledger.held_bytes == 0


async def test_a_load_can_be_cancelled_while_it_waits_for_room() -> None:
    models = lifecycle(Engines(), sized("a", 6), sized("b", 6), config=BUDGET)
    async with models.lease("a"):
        unloading = asyncio.create_task(models.unload("a"))
        loading = asyncio.create_task(models.load("b"))
        await asyncio.sleep(0.02)
        assert models.ledger.held_bytes == 6 * GB

        await models.unload("b")

    await unloading
    with pytest.raises(Unavailable, match="cancelled"):
        await loading
    assert models.ledger.held_bytes == 0
    assert (await models.load("b")).state is ModelState.READY


async def test_a_load_after_a_cancelled_one_starts_anew() -> None:
    engines = Engines({"may_load": asyncio.Event()})
    models = lifecycle(engines, sized("m", 6), config=BUDGET)
    first = asyncio.create_task(models.load("m"))
    await until(lambda: "m" in engines.by_model and engines.of("m").starts == 1)
    unloading = asyncio.create_task(models.unload("m"))
    await asyncio.sleep(0)
    engines.facts = {}

    second = await models.load("m")

    await asyncio.gather(first, unloading, return_exceptions=True)
    assert second.state is ModelState.READY
    assert models.ledger.held_bytes == 6 * GB


async def test_an_eviction_that_nobody_waits_for_any_more_ends_all_the_same() -> None:
    engine = ScriptedEngine()
    models = lifecycle(
        lambda model: engine if model.id == "a" else ScriptedEngine(), sized("a", 6), sized("b", 6), config=BUDGET
    )
    await models.load("a")
    loading = asyncio.create_task(models.load("b"))
    await until(lambda: models.loaded()[0].state is ModelState.DRAINING)

    loading.cancel()
    await models.unload("b")

    assert (engine.stops, models.ledger.held_bytes) == (1, 0)


async def test_two_loads_that_make_room_at_once_do_not_evict_for_each_other() -> None:
    models = lifecycle(Engines(), sized("a", 5), sized("b", 5), sized("c", 5), sized("d", 5), config=BUDGET)
    await models.load("a")
    await models.load("b")

    await asyncio.gather(models.load("c"), models.load("d"))

    assert [resident.info.id for resident in models.loaded()] == ["c", "d"]
    assert models.ledger.held_bytes == 10 * GB


class Deletable:
    """A source that waits before it deletes."""

    def __init__(self, model: ModelInfo, deleting: "asyncio.Event", loop: asyncio.AbstractEventLoop) -> None:
        self.infos, self.deleting, self.loop = [model], deleting, loop

    def models(self) -> list[ModelInfo]:
        return list(self.infos)

    def find(self, model_id: str) -> ModelInfo | None:
        return next((model for model in self.infos if model.id == model_id), None)

    def delete(self, _model_id: str) -> int:
        self.loop.call_soon_threadsafe(self.deleting.set)
        self.infos.clear()
        return DESCRIPTION.memory_bytes


def deletable(models: Lifecycle, model: ModelInfo) -> asyncio.Event:
    deleting = asyncio.Event()
    models.catalogue.sources = {"files": Deletable(model, deleting, asyncio.get_running_loop())}
    return deleting


async def test_a_model_in_use_is_not_deleted_and_one_that_is_deleted_is_not_loaded() -> None:
    models = lifecycle(ScriptedEngine())
    deleting = deletable(models, sized("m", 1))
    await models.load("m")

    with pytest.raises(Conflict) as caught:
        await models.delete("m")
    await models.unload("m")
    gone = asyncio.create_task(models.delete("m"))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="being deleted"):
        await models.load("m", LoadOptions(pinned=True))
    await deleting.wait()

    assert (caught.value.code, caught.value.param) == ("model_in_use", "model_id")
    assert await gone == DESCRIPTION.memory_bytes
    with pytest.raises(ModelNotFound):
        await models.load("m")
