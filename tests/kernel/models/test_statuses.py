import asyncio

import pytest
from attrs import evolve

from kernel_support import DESCRIPTION, Engines, Listed, Log, ScriptedEngine, info, lifecycle, until
from lmx.workers import EngineState
from lmx_hookspecs import LoadOptions, ModelState
from lmx_hookspecs.errors import EngineFailed, InvalidRequest, ModelNotFound, Unavailable
from lmx_hookspecs.testing import FakeEvents


async def test_a_model_on_its_way_here_is_listed_and_cannot_be_loaded_yet() -> None:
    coming = {"org/new", "m"}
    models = lifecycle(ScriptedEngine(), info("m"), info("z"), downloading=lambda: coming)

    listed = [(status.info.id, status.state) for status in await models.list()]
    with pytest.raises(Unavailable, match="is being downloaded") as caught:
        await models.load("m")

    assert listed == [("m", ModelState.DOWNLOADING), ("org/new", ModelState.DOWNLOADING), ("z", ModelState.ON_DISK)]
    assert (await models.get("org/new")).state is ModelState.DOWNLOADING
    assert (caught.value.code, caught.value.retry_after_s) == ("model_loading", 30)


async def test_a_loaded_model_whose_files_are_fetched_again_stays_loaded() -> None:
    coming: set[str] = set()
    models = lifecycle(ScriptedEngine(), downloading=lambda: coming)
    await models.load("m")
    coming.add("m")

    async with models.lease("m"):
        assert (await models.get("m")).state is ModelState.READY


async def test_a_failed_model_is_listed_with_its_reason_until_its_files_are_gone() -> None:
    models = lifecycle(ScriptedEngine(load_error=InvalidRequest("no such tensor")), info("a"), info("m"))
    with pytest.raises(InvalidRequest):
        await models.load("m")

    before = {status.info.id: (status.state, status.reason) for status in await models.list()}
    models.catalogue.sources = {"list": Listed([info("a")])}
    after = [status.info.id for status in await models.list()]

    assert before["m"] == (ModelState.FAILED, "no such tensor")
    assert after == ["a"]


async def test_unloading_a_failed_model_forgets_the_failure() -> None:
    events = FakeEvents()
    models = lifecycle(ScriptedEngine(load_error=InvalidRequest("no such tensor")), events=events)
    with pytest.raises(InvalidRequest):
        await models.load("m")

    freed = await models.unload("m")

    assert (freed, (await models.get("m")).state) == (0, ModelState.ON_DISK)
    assert events.published[-1] == ("model_state", {"model_id": "m", "state": "on_disk", "reason": None})
    with pytest.raises(ModelNotFound):
        await models.unload("m")


async def test_a_quarantine_that_a_restart_found_holds_until_an_unload() -> None:
    models = lifecycle(ScriptedEngine())

    models.quarantine("m", "its workers kept dying")

    status = await models.get("m")
    assert (status.state, status.reason) == (ModelState.QUARANTINED, "its workers kept dying")
    with pytest.raises(Unavailable) as caught:
        await models.load("m")
    assert caught.value.code == "model_quarantined"
    await models.unload("m")
    assert (await models.load("m")).state is ModelState.READY
    assert models.quarantined() == {}


async def test_a_model_whose_workers_keep_dying_gives_its_memory_back_and_is_quarantined() -> None:
    engine = ScriptedEngine()
    changes: list[str] = []
    models = lifecycle(engine, changed=lambda: changes.append("changed"))
    await models.load("m")
    changes.clear()

    engine.change(EngineState.RESTARTING, "killed by signal 9")
    replaced = await models.get("m")
    engine.change(EngineState.QUARANTINED, "3 workers died")
    quarantined = await models.get("m")
    await models.close()

    assert (replaced.state, replaced.reason) == (ModelState.LOADING, "killed by signal 9")
    assert (quarantined.state, quarantined.reason) == (ModelState.QUARANTINED, "3 workers died")
    assert (models.ledger.held_bytes, engine.stops, changes) == (0, 1, ["changed"])
    assert models.quarantined() == {"m": "3 workers died"}


async def test_a_warm_up_that_ends_in_quarantine_is_no_ready_model() -> None:
    engine = ScriptedEngine(script=[Unavailable("quarantined", code="model_quarantined")], may_speak=asyncio.Event())
    models = lifecycle(engine, warmup=True)
    loading = asyncio.create_task(models.load("m"))
    await until(lambda: bool(engine.requests))
    engine.change(EngineState.QUARANTINED, "3 workers died")
    engine.may_speak.set()  # type: ignore[union-attr]

    with pytest.raises(EngineFailed, match="keep dying"):
        await loading

    assert models.quarantined() == {"m": "3 workers died"}


async def test_every_change_of_state_is_told_in_order() -> None:
    events = FakeEvents()
    models = lifecycle(ScriptedEngine(), events=events)

    await models.load("m")
    await models.unload("m")

    told = [data["state"] for name, data in events.published if name == "model_state"]
    others = [name for name, _ in events.published if name != "model_state"]
    assert told == ["loading", "ready", "draining", "on_disk"]
    assert others == ["model_loaded", "model_unloaded"]


async def test_what_a_restart_has_to_know_is_what_the_loads_asked_for_and_what_changed_since() -> None:
    changes: list[int] = []
    models = lifecycle(Engines(), info("a"), info("b", settings={"pinned": True}), changed=lambda: changes.append(1))
    await models.load("a", LoadOptions(keep_alive_s=60))
    await models.load("b")
    so_far = len(changes)

    await models.pin("a", pinned=True)
    await models.pin("a", pinned=True)

    records = {record.id: (record.keep_alive_s, record.pinned) for record in models.snapshot()}
    assert records == {"a": (60, True), "b": (None, None)}
    assert (await models.get("b")).pinned
    assert len(changes) == so_far + 1


async def test_what_a_stop_unloads_is_no_change_worth_keeping() -> None:
    changes: list[int] = []
    models = lifecycle(ScriptedEngine(), changed=lambda: changes.append(1))
    await models.load("m")
    so_far = len(changes)

    await models.close()

    assert len(changes) == so_far


async def test_only_a_loaded_model_can_be_pinned() -> None:
    with pytest.raises(ModelNotFound, match="not loaded"):
        await lifecycle(ScriptedEngine()).pin("m", pinned=True)


async def test_an_engine_whose_own_clean_up_breaks_is_gone_all_the_same() -> None:
    class Broken(ScriptedEngine):
        async def stop(self, grace_s: float | None = None) -> None:
            await super().stop(grace_s)
            raise OSError("device is gone")

    models = lifecycle(Broken())
    await models.load("m")

    await models.unload("m")

    log = models.log
    assert isinstance(log, Log)
    assert len(log.named("engine_stop_failed")) == 1
    assert models.ledger.held_bytes == 0


async def test_a_fresh_status_tells_what_the_engine_holds_now() -> None:
    engine = ScriptedEngine()
    models = lifecycle(engine)
    await models.load("m")
    engine.description = evolve(DESCRIPTION, memory_bytes=7)

    known, fresh = await models.get("m"), await models.get("m", fresh=True)

    assert (known.memory_bytes, fresh.memory_bytes) == (DESCRIPTION.memory_bytes, 7)


@pytest.mark.parametrize("error", [EngineFailed("it is dead"), RuntimeError("a bug"), TimeoutError()])
async def test_an_engine_that_does_not_answer_is_shown_as_it_last_was(error: Exception) -> None:
    models = lifecycle(ScriptedEngine(stats_error=error))
    await models.load("m")

    assert (await models.get("m", fresh=True)).memory_bytes == DESCRIPTION.memory_bytes


async def test_what_runs_elsewhere_is_on_no_disk_here_and_tells_how_its_node_is_now() -> None:
    well = info("box/m", details={"node": "box", "healthy": True})
    events = FakeEvents()
    models = lifecycle(ScriptedEngine(), well, events=events)

    before = await models.get("box/m")
    await models.load("box/m")
    ill = evolve(well, details={"node": "box", "healthy": False}, trouble="box is down")
    models.catalogue.sources = {"list": Listed([ill])}
    loaded = [await models.get("box/m"), *(await models.list())]
    await models.unload("box/m")
    after = await models.get("box/m")

    assert (before.state, before.reason) == (ModelState.REMOTE, None)
    assert {(one.state, one.reason, one.info.details["healthy"]) for one in loaded} == {
        (ModelState.READY, "box is down", False)
    }
    assert (after.state, after.reason) == (ModelState.REMOTE, "box is down")
    assert events.published[-2] == ("model_state", {"model_id": "box/m", "state": "remote", "reason": None})


async def test_a_loaded_model_that_its_node_has_forgotten_is_still_told_of() -> None:
    models = lifecycle(ScriptedEngine(), info("box/m", details={"node": "box"}))
    await models.load("box/m")
    models.catalogue.sources = {}

    assert (await models.get("box/m")).state is ModelState.READY
