"""The life of models whose engines are real workers of plugin `echo`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import psutil
import pytest

from kernel_support import ROOMY, Listed, Log, chat
from lmx.config.schema import Memory, Models
from lmx.events import EventBus
from lmx.models.catalogue import Backend, Catalogue
from lmx.models.lifecycle import Lifecycle
from lmx.workers import EngineHandle, OnChange, engine_handle
from lmx_hookspecs import ModelInfo, ModelState, Piece
from lmx_hookspecs.errors import EngineFailed, InsufficientMemory, Unavailable
from worker_processes import worker_processes
from worker_support import SETTINGS, until
from worker_support import backend as echo_backend

FOREVER: Mapping[str, Any] = {"tokens_per_second": 20.0, "reply": "word " * 1000}


def model(model_id: str, size_gb: float = 4, **echo: Any) -> ModelInfo:
    return ModelInfo(id=model_id, format="echo-process", settings={"memory_estimate_gb": size_gb, "echo": echo})


@asynccontextmanager
async def workers(*models: ModelInfo, **settings: Any) -> AsyncIterator[Lifecycle]:
    """A life-cycle of worker processes within 10 GB; whatever happens, none is left."""

    def engine(chosen: Backend, info: ModelInfo, changed: OnChange) -> EngineHandle:
        return engine_handle(
            chosen.spec,
            plugin="echo",
            plugin_config={},
            model=info,
            settings=SETTINGS(**settings),
            log=Log(),
            on_change=changed,
        )

    catalogue = Catalogue({"list": Listed(models)}, [Backend("echo", echo_backend("echo-process"))])
    config = Models(memory_budget_gb=10, warmup_on_load=False)
    life = Lifecycle(
        catalogue, engine, EventBus(), Log(), config=lambda: config, memory_config=Memory, machine=ROOMY, drain_s=0.2
    )
    life.start()
    try:
        yield life
    finally:
        await life.close(2)
        assert children() == []
        assert life.ledger.held_bytes == 0


def children() -> list[int]:
    return [child.pid for child in worker_processes()]


def facts(models: Lifecycle, model_id: str) -> Mapping[str, Any]:
    return next(one for one in models.loaded() if one.info.id == model_id).engine.describe()


async def answer(models: Lifecycle, model_id: str, heard: list[Piece]) -> None:
    async with (
        models.lease(model_id) as resident,
        aclosing(resident.engine.generate(chat(model_id, stream=True))) as pieces,
    ):
        async for piece in pieces:
            heard.append(piece)  # noqa: PERF401  others look at it meanwhile


async def test_ten_callers_start_one_worker() -> None:
    async with workers(model("a")) as models:
        statuses = await asyncio.gather(*(models.load("a") for _ in range(10)))

        assert len(children()) == 1
        assert {status.state for status in statuses} == {ModelState.READY}


async def test_of_two_workers_that_race_for_the_last_space_one_is_started() -> None:
    async with workers(model("a", 6), model("b", 6)) as models:
        outcomes = await asyncio.gather(models.load("a"), models.load("b"), return_exceptions=True)

        assert len([outcome for outcome in outcomes if isinstance(outcome, InsufficientMemory)]) == 1
        assert len(children()) == 1


async def test_room_for_a_model_is_the_end_of_another_ones_worker() -> None:
    async with workers(model("a", 6), model("b", 6)) as models:
        await models.load("a")
        first = facts(models, "a")["pid"]

        await models.load("b")

        assert children() == [facts(models, "b")["pid"]]
        assert not psutil.pid_exists(first)


async def test_an_unload_during_a_load_ends_the_worker() -> None:
    async with workers(model("a", fail_load="hang")) as models:
        loading = asyncio.create_task(models.load("a"))
        await until(lambda: len(children()) == 1)

        await models.unload("a")

        assert children() == []
        assert models.ledger.held_bytes == 0
        with pytest.raises(Unavailable, match="cancelled"):
            await loading


async def test_an_unload_during_a_generation_drains_and_then_cuts() -> None:
    async with workers(model("a", **FOREVER)) as models:
        heard: list[Piece] = []
        answering = asyncio.create_task(answer(models, "a", heard))
        await until(lambda: len(heard) > 0)
        unloading = asyncio.create_task(models.unload("a"))
        before = len(heard)

        with pytest.raises(Unavailable):
            await answering
        await unloading

        assert len(heard) > before
        assert children() == []


async def test_a_load_that_kills_its_worker_three_times_is_a_quarantine_without_memory() -> None:
    async with workers(model("a", fail_load="crash")) as models:
        for _ in range(3):
            with pytest.raises(EngineFailed):
                await models.load("a")

        assert (await models.get("a")).state is ModelState.QUARANTINED
        assert "told to crash" in models.quarantined()["a"]
        assert models.ledger.held_bytes == 0


async def test_a_model_that_keeps_dying_at_work_is_a_quarantine_without_memory() -> None:
    async with workers(model("a", crash_after=0), quarantine_after=2) as models:
        await models.load("a")

        with pytest.raises((EngineFailed, Unavailable)):
            await answer(models, "a", [])
        await until(lambda: "a" in models.quarantined())

        assert models.ledger.held_bytes == 0
        with pytest.raises(Unavailable, match="quarantined"):
            await models.load("a")


async def test_a_worker_is_measured_while_it_runs() -> None:
    async with workers(model("a")) as models:
        await models.load("a")

        await models._upkeep.measure()

        (holding,) = models.memory().holdings
        assert (holding.name, holding.reserved_bytes, holding.measured_bytes) == ("a", 4_000_000_000, 0)
