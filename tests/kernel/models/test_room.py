import asyncio
from contextlib import AsyncExitStack

import pytest
from attrs import evolve

from kernel_support import (
    DESCRIPTION,
    GB,
    Clock,
    Engines,
    MachineMemory,
    ScriptedEngine,
    info,
    lifecycle,
    sized,
    turns,
    until,
)
from lmx.models.lifecycle import Lifecycle
from lmx.models.machine import Machine
from lmx_hookspecs import LoadOptions, ModelInfo, ModelState
from lmx_hookspecs.errors import InsufficientMemory
from lmx_hookspecs.testing import FakeEvents


def of_ten_gb(*models: ModelInfo, engines: Engines | None = None, **options: object) -> Lifecycle:
    return lifecycle(engines or Engines(), *models, **{"config": {"memory_budget_gb": 10}, **options})  # type: ignore[arg-type]


def ready(models: Lifecycle) -> set[str]:
    return {resident.info.id for resident in models.loaded() if resident.ready}


async def test_the_model_that_was_used_least_recently_makes_room() -> None:
    clock, events = Clock(), FakeEvents()
    models = of_ten_gb(sized("a", 4), sized("b", 4), sized("c", 4), clock=clock, events=events)
    for model_id in ("a", "b"):
        clock.now_s += 1
        await models.load(model_id)
    clock.now_s += 1
    async with models.lease("a"):
        clock.now_s += 1

    await models.load("c")

    assert ready(models) == {"a", "c"}
    assert ("model_evicted", {"model_id": "b", "for": "c"}) in events.published
    assert [data["model_id"] for name, data in events.published if name == "model_unloaded"] == ["b"]


async def test_no_more_goes_than_has_to() -> None:
    clock = Clock()
    models = of_ten_gb(sized("a", 3), sized("b", 3), sized("c", 3), sized("d", 4), clock=clock)
    for model_id in ("a", "b", "c"):
        clock.now_s += 1
        await models.load(model_id)

    await models.load("d")

    assert ready(models) == {"b", "c", "d"}
    assert models.ledger.held_bytes == 10 * GB


async def test_a_request_for_a_model_on_disk_makes_room_too() -> None:
    models = of_ten_gb(sized("a", 6), sized("b", 6))
    await models.load("a")

    async with models.lease("b"):
        assert ready(models) == {"b"}


async def test_a_model_in_use_is_never_unloaded_for_another() -> None:
    models = of_ten_gb(sized("a", 6), sized("b", 6))

    async with models.lease("a"):
        with pytest.raises(InsufficientMemory, match=r"a \(6.0 GB\) is in use"):
            await models.load("b")

    assert ready(models) == {"a"}
    assert (await models.get("b")).state is ModelState.ON_DISK


@pytest.mark.parametrize("by", ["settings", "options", "pin"])
async def test_a_pinned_model_is_never_unloaded_for_another(by: str) -> None:
    models = of_ten_gb(sized("a", 6, **({"pinned": True} if by == "settings" else {})), sized("b", 6))
    await models.load("a", LoadOptions(pinned=True) if by == "options" else LoadOptions())
    if by == "pin":
        await models.pin("a", pinned=True)

    with pytest.raises(InsufficientMemory, match=r"a \(6.0 GB\) is pinned"):
        await models.load("b")
    await models.pin("a", pinned=False)
    await models.load("b")

    assert ready(models) == {"b"}


async def test_nobody_goes_where_even_all_would_not_be_enough() -> None:
    models = of_ten_gb(sized("a", 3), sized("b", 3), sized("c", 8))
    await models.load("a")

    async with models.lease("b"):
        with pytest.raises(InsufficientMemory, match=r"unloading a \(3.0 GB\) would not be enough; b \(3.0 GB\) is in"):
            await models.load("c")

    assert ready(models) == {"a", "b"}


async def test_without_eviction_the_refusal_holds_the_arithmetic_and_what_could_be_unloaded() -> None:
    plain = info("b", size_bytes=4 * GB)
    models = of_ten_gb(sized("a", 6), plain, memory={"auto_evict_lru": False})
    await models.load("a")

    with pytest.raises(InsufficientMemory) as caught:
        await models.load("b")

    assert caught.value.message == (
        "model 'b' needs 4.7 GB (weights 4.0 GB x 1.15 + KV caches 0 GB + worker 0.12 GB) and 4.0 GB are free: "
        "6.0 GB of the budget of 10.0 GB are held; unload a (6.0 GB), or raise models.memory_budget_gb if the machine "
        "has more"
    )
    assert ready(models) == {"a"}


async def test_a_model_that_is_larger_than_the_budget_is_refused_before_its_engine_is_started() -> None:
    engines = Engines()
    models = of_ten_gb(sized("huge", 11), engines=engines)

    with pytest.raises(InsufficientMemory, match=r"raise models\.memory_budget_gb"):
        await models.load("huge")

    assert engines.of("huge").starts == 0
    assert models.ledger.held_bytes == 0


async def test_a_refusal_for_lack_of_memory_is_no_failure_of_the_model() -> None:
    models = of_ten_gb(sized("huge", 11))
    for _ in range(4):
        with pytest.raises(InsufficientMemory):
            await models.load("huge")

    status = await models.get("huge")

    assert (status.state, status.reason) == (ModelState.ON_DISK, None)


async def test_a_model_that_takes_more_than_fits_has_others_unloaded_for_it() -> None:
    engines = Engines({"description": evolve(DESCRIPTION, memory_bytes=8 * GB)})
    models = of_ten_gb(sized("a", 4), info("grows", size_bytes=3 * GB), engines=engines)
    engines.facts = {}
    await models.load("a")
    engines.facts = {"description": evolve(DESCRIPTION, memory_bytes=8 * GB)}

    await models.load("grows")

    assert ready(models) == {"grows"}
    assert models.ledger.held_bytes == 8 * GB


async def test_a_model_that_takes_more_than_fits_is_unloaded_again_where_nothing_else_can_go() -> None:
    engines = Engines({"description": evolve(DESCRIPTION, memory_bytes=8 * GB)})
    models = of_ten_gb(sized("a", 4, pinned=True), info("grows", size_bytes=3 * GB), engines=engines)
    engines.facts = {}
    await models.load("a")
    engines.facts = {"description": evolve(DESCRIPTION, memory_bytes=8 * GB)}

    with pytest.raises(InsufficientMemory, match=r"took 8.0 GB.*unloaded again: with it 12.0 GB of the budget of 10.0"):
        await models.load("grows")

    assert engines.of("grows").stops == 1
    assert models.ledger.held_bytes == 4 * GB
    assert (await models.get("grows")).state is ModelState.ON_DISK


async def test_a_model_on_its_way_out_is_waited_for_rather_than_refused() -> None:
    models = of_ten_gb(sized("a", 6), sized("b", 6))
    async with AsyncExitStack() as held:
        await held.enter_async_context(models.lease("a"))
        unloading = asyncio.create_task(models.unload("a"))
        await turns()
        loading = asyncio.create_task(models.load("b"))
        await turns()
        assert not loading.done()

    await unloading

    assert (await loading).state is ModelState.READY


async def test_a_request_brings_back_what_was_unloaded_to_make_room() -> None:
    engines = Engines()
    models = of_ten_gb(sized("a", 6), sized("b", 6), engines=engines)
    await models.load("a")
    loading = asyncio.create_task(models.load("b"))
    await until(lambda: models.loaded()[0].state is ModelState.DRAINING)

    async with models.lease("a") as resident:
        again = resident.engine

    await loading
    assert again is engines.by_model["a"][1]


def machine_with(available: int) -> Machine:
    return Machine(
        virtual_memory=lambda: MachineMemory(total=20 * GB, available=available), groups=(), gpu_limit_bytes=0
    )


async def test_without_a_stated_budget_the_memory_of_other_programs_counts() -> None:
    models = lifecycle(Engines(), sized("a", 6), machine=machine_with(5 * GB))

    with pytest.raises(InsufficientMemory, match=r"the system has 5\.0 GB to give"):
        await models.load("a")


async def test_a_stated_budget_counts_alone() -> None:
    models = lifecycle(Engines(), sized("a", 6), machine=machine_with(5 * GB), config={"memory_budget_gb": 10})

    await models.load("a")

    assert ready(models) == {"a"}


async def test_what_a_load_in_progress_really_took_is_awaited_before_another_is_refused() -> None:
    left = [12 * GB]
    machine = Machine(virtual_memory=lambda: MachineMemory(20 * GB, left[0]), groups=(), gpu_limit_bytes=0)
    may_load = asyncio.Event()
    slow = ScriptedEngine(may_load=may_load, description=evolve(DESCRIPTION, memory_bytes=8 * GB))
    models = lifecycle(
        lambda model: slow if model.id == "a" else ScriptedEngine(), sized("a", 8), sized("b", 3.5), machine=machine
    )
    first = asyncio.create_task(models.load("a"))
    await until(lambda: slow.starts == 1)
    left[0] = 4 * GB  # the load has taken all that it is going to take, but nobody knows yet
    second = asyncio.create_task(models.load("b"))
    await turns(50)

    still_waiting = not second.done()
    may_load.set()
    await asyncio.gather(first, second)

    assert still_waiting
    assert ready(models) == {"a", "b"}


async def test_idle_models_go_for_a_store_that_has_grown() -> None:
    clock, events = Clock(), FakeEvents()
    models = of_ten_gb(sized("a", 3), sized("b", 3), clock=clock, events=events)
    for model_id in ("a", "b"):
        clock.now_s += 1
        await models.load(model_id)
    models.ledger.enter("hybrid", 5 * GB, "store")

    await models.relieve("hybrid")

    assert ready(models) == {"b"}
    assert ("model_evicted", {"model_id": "a", "for": "hybrid"}) in events.published


async def test_no_model_goes_for_a_store_that_would_not_fit_all_the_same() -> None:
    models = of_ten_gb(sized("a", 3), sized("b", 3))
    for model_id in ("a", "b"):
        await models.load(model_id)
    models.ledger.enter("hybrid", 11 * GB, "store")

    await models.relieve("hybrid")

    assert ready(models) == {"a", "b"}
    assert models.ledger.over_bytes == 7 * GB
