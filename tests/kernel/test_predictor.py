import asyncio
from typing import Any

import pytest

from kernel_support import Log, ScriptedEngine, info, lifecycle
from lmx.models.lifecycle import Lifecycle
from lmx.predictor import Predictor, Preloader
from lmx_hookspecs.errors import EngineFailed


def predictor(*models: str) -> Predictor:
    seen = Predictor()
    for model in models:
        seen.saw(model)
    return seen


@pytest.mark.parametrize(
    ("asked", "loaded", "guess"),
    [
        ("", "", None),
        ("aba", "", None),
        ("ababa", "", "b"),
        ("ababa", "ab", None),
        ("ababa", "b", "a"),
        ("abacaca", "a", "c"),
        ("acacaca", "c", "a"),
        ("aaab", "", "a"),
        ("aaab", "a", None),
        ("aabb", "", None),
    ],
)
def test_what_often_follows_comes_before_what_is_often_asked_for(asked: str, loaded: str, guess: str | None) -> None:
    assert predictor(*asked).predict(loaded) == guess


def test_the_counts_are_those_of_the_earlier_system() -> None:
    seen = predictor(*"aabababc", *"x" * 60)

    facts = seen.describe({"a"})

    assert facts == {
        "total_accesses": 68,
        "unique_models": 4,
        "history_size": 50,
        "top_models": [["x", 60], ["a", 4], ["b", 3], ["c", 1]],
        "transition_count": 7,
        "predicted_next": "x",
    }


def with_budget(budget_gb: float, engine: Any) -> Lifecycle:
    """Models `a`, which takes next to nothing, and `b` of 1 GB, in so much memory."""
    models = (info("a"), info("b", size_bytes=1_000_000_000))
    return lifecycle(engine, *models, config={"memory_budget_gb": budget_gb})


async def ended(preloader: Preloader, *asked: str) -> None:
    """So many requests, and what the last one set going."""
    for model in asked:
        preloader.predictor.saw(model)
    preloader.consider()
    if preloader._task is not None:
        await asyncio.wait([preloader._task])


async def test_the_guess_is_loaded_ahead_where_it_fits() -> None:
    models = with_budget(3, ScriptedEngine())
    await models.load("a")

    await ended(Preloader(Predictor(), models, enabled=True, log=Log()), *"abababa")

    assert models.is_ready("b")


async def test_nothing_is_loaded_ahead_unless_it_is_switched_on() -> None:
    models = with_budget(3, ScriptedEngine())

    await ended(Preloader(Predictor(), models, log=Log()), *"abababa")

    assert models.loaded() == []


async def test_a_guess_that_does_not_fit_is_not_loaded() -> None:
    models = with_budget(1, ScriptedEngine())

    await ended(Preloader(Predictor(), models, enabled=True, log=Log()), *"abababa")

    assert models.loaded() == []


async def test_nothing_is_loaded_ahead_while_something_loads() -> None:
    engine = ScriptedEngine(may_load=asyncio.Event())
    models = with_budget(3, engine)
    loading = asyncio.create_task(models.load("a"))
    await asyncio.sleep(0.05)

    await ended(Preloader(Predictor(), models, enabled=True, log=Log()), *"abababa")

    assert [resident.info.id for resident in models.loaded()] == ["a"]
    engine.may_load.set()  # type: ignore[union-attr]
    await loading


async def test_a_load_that_failed_is_not_tried_again() -> None:
    engines = {"a": ScriptedEngine(), "b": ScriptedEngine(load_error=EngineFailed("died"))}
    models = with_budget(3, lambda model: engines[model.id])
    await models.load("a")
    preloader = Preloader(Predictor(), models, enabled=True, log=Log())

    await ended(preloader, *"abababa")
    await ended(preloader, *"baba")

    assert engines["b"].starts == 1


async def test_a_preloader_that_is_closed_waits_no_longer() -> None:
    engine = ScriptedEngine(may_load=asyncio.Event())
    models = with_budget(3, engine)
    preloader = Preloader(Predictor(), models, enabled=True, log=Log())
    for model in "abababa":
        preloader.predictor.saw(model)
    preloader.consider()
    await asyncio.sleep(0.05)

    await preloader.close()

    assert preloader._task is not None
    assert preloader._task.cancelled()
    await models.close()


async def test_what_an_operator_unloaded_is_not_loaded_ahead_until_somebody_asks_for_it() -> None:
    models = with_budget(3, lambda _model: ScriptedEngine())
    await models.load("a")
    await models.load("b")
    preloader = Preloader(Predictor(), models, enabled=True, log=Log())

    await models.unload("b")
    await ended(preloader, *"abababa")
    undone = models.is_ready("b")
    async with models.lease("b"):
        pass
    await models._residency.evict(models._residency.by_id["b"])
    await ended(preloader, *"ba")

    assert not undone
    assert models.is_ready("b")


async def test_a_load_that_failed_is_tried_again_once_somebody_else_had_more_luck() -> None:
    failing = iter([EngineFailed("died"), None, None])
    models = with_budget(3, lambda model: ScriptedEngine(load_error=next(failing) if model.id == "b" else None))
    await models.load("a")
    preloader = Preloader(Predictor(), models, enabled=True, log=Log())
    await ended(preloader, *"abababa")

    await models.load("b")
    await ended(preloader, *"ba")
    await models._residency.evict(models._residency.by_id["b"])
    await ended(preloader, *"ba")

    assert models.is_ready("b")
