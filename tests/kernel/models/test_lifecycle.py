import asyncio

import pytest

from kernel_support import ScriptedEngine, info, lifecycle
from lmx_hookspecs import Capability, EmbeddingRequest, EngineDescription, ModelState
from lmx_hookspecs.errors import EngineFailed, InvalidRequest, ModelNotFound, Unavailable


async def state(models: object, model_id: str = "m") -> ModelState:
    return (await models.get(model_id)).state  # type: ignore[attr-defined,no-any-return]


async def test_ten_callers_of_one_model_load_it_once() -> None:
    engine = ScriptedEngine()
    models = lifecycle(engine)

    statuses = await asyncio.gather(*(models.load("m") for _ in range(10)))

    assert {status.state for status in statuses} == {ModelState.READY}
    assert engine.starts == 1


async def test_a_caller_that_gives_up_does_not_cancel_the_load_of_the_others() -> None:
    engine = ScriptedEngine(may_load=asyncio.Event())
    models = lifecycle(engine)
    impatient, patient = asyncio.create_task(models.load("m")), asyncio.create_task(models.load("m"))
    await asyncio.sleep(0.01)

    impatient.cancel()
    await asyncio.wait([impatient])
    engine.may_load.set()  # type: ignore[union-attr]

    assert (await patient).state is ModelState.READY


async def test_a_failed_load_is_told_to_all_who_wait_and_can_be_tried_again() -> None:
    may_load = asyncio.Event()
    broken = ScriptedEngine(load_error=InvalidRequest("no such tensor"), may_load=may_load)
    engines = iter([broken, ScriptedEngine()])
    models = lifecycle(lambda _info: next(engines))

    waiting = asyncio.gather(models.load("m"), models.load("m"), return_exceptions=True)
    await asyncio.sleep(0.05)
    may_load.set()
    errors = await waiting
    failed = await models.get("m")
    again = await models.load("m")

    assert [str(error) for error in errors] == ["no such tensor"] * 2
    assert (failed.state, failed.reason) == (ModelState.FAILED, "no such tensor")
    assert broken.stops == 1
    assert again.state is ModelState.READY


async def test_unload_waits_for_the_running_request() -> None:
    engine = ScriptedEngine()
    models = lifecycle(engine)

    async with models.lease("m"):
        unloading = asyncio.create_task(models.unload("m"))
        await asyncio.sleep(0.01)
        assert not unloading.done()
        assert await state(models) is ModelState.DRAINING

    assert await unloading == 1_000_000_000
    assert engine.stops == 1
    assert await state(models) is ModelState.ON_DISK


async def test_unload_does_not_wait_for_ever() -> None:
    engine = ScriptedEngine()
    models = lifecycle(engine, drain_s=0.01)

    async with models.lease("m"):
        await models.unload("m")

    assert engine.stops == 1


async def test_a_load_during_an_unload_waits_and_loads_anew() -> None:
    engines = [ScriptedEngine(), ScriptedEngine()]
    supply = iter(engines)
    models = lifecycle(lambda _info: next(supply))

    async with models.lease("m"):
        unloading = asyncio.create_task(models.unload("m"))
        await asyncio.sleep(0.01)
        loading = asyncio.create_task(models.load("m"))
        await asyncio.sleep(0.01)
        assert engines[1].starts == 0
    await asyncio.gather(unloading, loading)

    assert await state(models) is ModelState.READY
    assert engines[1].starts == 1


async def test_an_unload_during_a_load_cancels_it() -> None:
    engine = ScriptedEngine(may_load=asyncio.Event())
    models = lifecycle(engine)
    loading = asyncio.create_task(models.load("m"))
    await asyncio.sleep(0.01)

    await models.unload("m")

    with pytest.raises(Unavailable):
        await loading
    assert await state(models) is ModelState.ON_DISK


async def test_what_is_not_loaded_cannot_be_unloaded() -> None:
    with pytest.raises(ModelNotFound, match="not loaded"):
        await lifecycle(ScriptedEngine()).unload("m")


async def test_without_jit_load_a_request_for_an_unloaded_model_is_refused() -> None:
    engine = ScriptedEngine()
    models = lifecycle(engine, jit_load=False)

    with pytest.raises(ModelNotFound, match="lmx load m"):
        async with models.lease("m"):
            pass

    assert engine.starts == 0


async def test_a_warm_up_that_the_template_refuses_is_no_failure() -> None:
    engine = ScriptedEngine(script=[InvalidRequest("this template wants a system message")])
    models = lifecycle(engine, warmup=True)

    status = await models.load("m")

    assert status.state is ModelState.READY
    assert len(engine.requests) == 1


async def test_a_model_that_only_embeds_is_warmed_up_by_embedding() -> None:
    described = EngineDescription(context_length=100, capabilities=frozenset({Capability.EMBED}), memory_bytes=0)
    engine = ScriptedEngine(description=described)

    await lifecycle(engine, warmup=True).load("m")

    assert engine.requests == []
    assert [type(call) for call in engine.calls] == [EmbeddingRequest]


async def test_a_warm_up_that_kills_the_engine_is_a_failure() -> None:
    models = lifecycle(ScriptedEngine(script=[EngineFailed("died")]), warmup=True)

    with pytest.raises(EngineFailed):
        await models.load("m")


async def test_loaded_models_are_listed_first() -> None:
    models = lifecycle(ScriptedEngine(), info("a"), info("z"), info("n", format="alien"))
    await models.load("z")

    listed = await models.list()

    assert [(status.info.id, status.state) for status in listed] == [
        ("z", ModelState.READY),
        ("a", ModelState.ON_DISK),
        ("n", ModelState.NO_ENGINE),
    ]


async def test_closing_stops_every_engine_and_refuses_new_loads() -> None:
    engines: list[ScriptedEngine] = []

    def make(_info: object) -> ScriptedEngine:
        engines.append(ScriptedEngine())
        return engines[-1]

    models = lifecycle(make, info("a"), info("b"))
    await asyncio.gather(models.load("a"), models.load("b"))

    await models.close()

    assert [engine.stops for engine in engines] == [1, 1]
    with pytest.raises(Unavailable, match="shutting down"):
        await models.load("a")


async def test_the_description_of_the_engine_is_what_operators_see() -> None:
    models = lifecycle(ScriptedEngine(), info("m", context_length=999))

    status = await models.load("m")

    description = EngineDescription(context_length=100, capabilities=frozenset(), memory_bytes=0)
    assert status.context_length == description.context_length
    assert status.memory_bytes == 1_000_000_000


async def test_a_caller_that_gives_up_an_unload_does_not_leave_the_model_draining() -> None:
    engine = ScriptedEngine()
    models = lifecycle(engine)

    async with models.lease("m"):
        impatient = asyncio.create_task(models.unload("m"))
        await asyncio.sleep(0.01)
        impatient.cancel()
        await asyncio.wait([impatient])
        patient = asyncio.create_task(models.unload("m"))
        await asyncio.sleep(0.01)

    assert await asyncio.wait_for(patient, 5) == 1_000_000_000
    assert await state(models) is ModelState.ON_DISK


async def test_a_request_does_not_bring_back_a_model_that_is_being_unloaded() -> None:
    models = lifecycle(ScriptedEngine())

    async with models.lease("m"):
        unloading = asyncio.create_task(models.unload("m"))
        await asyncio.sleep(0.01)
        with pytest.raises(Unavailable) as caught:
            async with models.lease("m"):
                pass
    await unloading

    assert caught.value.code == "model_draining"


async def test_a_model_whose_loads_keep_killing_the_engine_is_quarantined_until_it_is_unloaded() -> None:
    engine = ScriptedEngine(load_error=EngineFailed("killed by signal 9"))
    models = lifecycle(engine)
    for _ in range(3):
        with pytest.raises(EngineFailed):
            await models.load("m")

    with pytest.raises(Unavailable) as caught:
        await models.load("m")
    quarantined = await state(models)
    await models.unload("m")
    engine.load_error = None

    assert (caught.value.code, quarantined) == ("model_quarantined", ModelState.QUARANTINED)
    assert engine.starts == 3
    assert (await models.load("m")).state is ModelState.READY


async def test_a_bug_in_a_load_is_a_failed_model_and_not_one_that_loads_for_ever() -> None:
    models = lifecycle(ScriptedEngine(load_error=RuntimeError("a bug")))

    with pytest.raises(RuntimeError):
        await models.load("m")

    assert await state(models) is ModelState.FAILED


async def test_without_jit_load_a_quarantined_model_says_so() -> None:
    engine = ScriptedEngine(load_error=EngineFailed("died"))
    models = lifecycle(engine, jit_load=False)
    for _ in range(3):
        with pytest.raises(EngineFailed):
            await models.load("m")

    with pytest.raises(Unavailable, match="quarantined"):
        async with models.lease("m"):
            pass
