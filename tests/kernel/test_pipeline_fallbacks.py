import asyncio
from collections.abc import Mapping, Sequence

import pytest

from kernel_support import ALL, Engines, ScriptedEngine, backend, chat, info, lifecycle, until
from lmx.workers import Deadly, EngineState
from lmx_hookspecs import LmxError, ModelInfo, Outcome, Piece, Sampling
from lmx_hookspecs.errors import (
    Busy,
    ContextLengthExceeded,
    EngineFailed,
    InsufficientMemory,
    InvalidRequest,
    TimedOut,
    Unavailable,
    UnsupportedParameter,
)
from pipeline_support import Bench, Door, collect


def bench(scripts: Mapping[str, Sequence[Piece | Exception] | None], **fallbacks: Sequence[str]) -> Bench:
    """Models with these scripts (None: the usual answer), each with these fallbacks."""
    engines = {name: ScriptedEngine() if script is None else ScriptedEngine(script) for name, script in scripts.items()}
    models = lifecycle(lambda model: engines[model.id], *(info(name) for name in scripts))
    models.catalogue.settings = {name: {"fallback": to} for name, to in fallbacks.items()}
    return Bench(models)


FAILURES = [EngineFailed("died"), Unavailable("gone", code="model_quarantined"), InsufficientMemory("full")]


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_model_that_cannot_answer_leaves_it_to_its_fallback(failure: LmxError) -> None:
    made = bench({"a": [failure], "b": None}, a=["b"])

    generation = await made.pipeline().generate(chat("a"))
    pieces = [piece async for piece in generation]

    assert (len(pieces), generation.model, generation.served_by) == (2, "b", "scripted/b")
    assert (made.line()["tried"], made.line()["served_by"]) == (["a", "b"], "scripted/b")
    assert made.door.inside == 0


async def test_a_model_whose_queue_is_full_leaves_it_to_its_fallback() -> None:
    made = bench({"a": None, "b": None}, a=["b"])
    made.door = Door(refused_models=frozenset({"a"}))

    generation = await made.pipeline().generate(chat("a"))
    await generation.aclose()

    assert generation.model == "b"


async def test_what_is_counted_per_model_is_that_of_the_one_that_answered() -> None:
    made = bench({"a": [EngineFailed("died")], "b": None}, a=["b"])

    await collect(made.pipeline(), chat("a"))

    counted = made.metrics.samples("lmx_model_requests_total", "lmx_model_tokens_total")
    assert {(sample.name, sample.labels["model"], sample.value) for sample in counted} == {
        ("lmx_model_requests_total", "b", 1.0),
        ("lmx_model_tokens_total", "b", 2.0),
    }


@pytest.mark.parametrize("deadly", ["a", "b"])
async def test_a_request_that_two_workers_died_of_goes_no_further(deadly: str) -> None:
    scripts = {"a": [EngineFailed("died")], "b": None, "c": None, deadly: [Deadly("died twice")]}
    made = bench(scripts, a=["b"], b=["c"])

    with pytest.raises(EngineFailed, match="died twice"):
        await collect(made.pipeline(), chat("a"))

    assert made.line()["tried"][-1] == deadly
    assert made.witness.told[-1] == (deadly, Outcome.FAULT)


async def test_a_chain_is_followed_to_its_end_and_a_circle_only_once() -> None:
    dead = [EngineFailed("died")]
    made = bench({"a": dead, "b": dead, "c": dead}, a=["b", "gone"], b=["c", "a"], c=["a", "b"])

    with pytest.raises(EngineFailed):
        await collect(made.pipeline(), chat("a"))

    assert made.line()["tried"] == ["a", "b", "gone", "c"]


async def test_the_models_of_an_alias_come_before_their_fallbacks() -> None:
    dead = [EngineFailed("died")]
    made = bench({"a": dead, "b": dead, "spare": None}, a=["spare"])
    made.aliases = {"either": ["a", "b"]}

    generation = await made.pipeline().generate(chat("either"))
    [_ async for _ in generation]

    assert made.line()["tried"] == ["a", "b", "spare"]


async def test_a_fallback_stands_in_for_a_model_and_forgives_no_request() -> None:
    models = lifecycle(
        ScriptedEngine(),
        info("a", settings={"backend": "plain"}),
        info("b", settings={"backend": "rich"}),
        backends=[backend("plain", capabilities=ALL - {"top_k"}), backend("rich")],
    )
    models.catalogue.settings = {"a": {"backend": "plain", "fallback": ["b"]}}
    made = Bench(models)

    with pytest.raises(UnsupportedParameter):
        await made.pipeline().generate(chat("a", sampling=Sampling(top_k=5)))

    assert made.line()["tried"] == ["a"]


@pytest.mark.parametrize("refusal", [ContextLengthExceeded("too long"), InvalidRequest("odd"), Busy("full")])
async def test_what_a_fallback_says_is_not_held_against_the_request(refusal: LmxError) -> None:
    made = bench({"a": [Unavailable("down", code="circuit_open", retry_after_s=42)], "b": [refusal]}, a=["b"])

    with pytest.raises(Unavailable) as caught:
        await collect(made.pipeline(), chat("a"))

    assert (caught.value.code, caught.value.retry_after_s) == ("circuit_open", 42)


async def test_each_guard_hears_of_its_own_target_only() -> None:
    made = bench({"a": [EngineFailed("died")], "b": [InvalidRequest("odd")]}, a=["b"])

    with pytest.raises(EngineFailed):
        await collect(made.pipeline(), chat("a"))

    assert made.witness.told == [("a", Outcome.FAULT), ("b", Outcome.CLIENT_ERROR)]


async def test_nothing_goes_elsewhere_once_a_piece_is_out() -> None:
    made = bench({"a": [Piece(text="x"), EngineFailed("died")], "b": None}, a=["b"])

    with pytest.raises(EngineFailed):
        await collect(made.pipeline(), chat("a"))

    assert made.line()["tried"] == ["a"]


async def test_an_exact_request_has_no_fallback() -> None:
    made = bench({"a": [EngineFailed("died")], "b": None}, a=["b"])

    with pytest.raises(EngineFailed):
        await collect(made.pipeline(), chat("a", exact=True))


async def test_a_time_limit_is_the_end_whatever_fallbacks_there_are() -> None:
    engines = {"a": ScriptedEngine(may_speak=asyncio.Event()), "b": ScriptedEngine()}
    models = lifecycle(lambda model: engines[model.id], info("a"), info("b"))
    models.catalogue.settings = {"a": {"fallback": ["b"]}}
    made = Bench(models)

    with pytest.raises(TimedOut):
        await collect(made.pipeline(), chat("a", timeout_s=0.02))

    assert made.line()["tried"] == ["a"]


async def restarting(made: Bench, *names: str) -> Engines:
    """Loads these models, and takes their workers away."""
    engines = Engines()
    made.models = lifecycle(engines, *(info(name) for name in ("a", "b")))
    for name in names:
        await made.models.load(name)
        engines.of(name).change(EngineState.RESTARTING, "died")
    return engines


async def test_a_model_whose_worker_restarts_leaves_it_to_its_fallback_without_waiting() -> None:
    made = bench({})
    engines = await restarting(made, "a")
    made.models.catalogue.settings = {"a": {"fallback": ["b"]}}

    generation = await made.pipeline().generate(chat("a"))
    await generation.aclose()

    assert generation.model == "b"
    assert engines.of("a").requests == []


@pytest.mark.parametrize("fallback", [[], ["gone"]])
async def test_without_a_usable_fallback_it_waits_for_its_worker(fallback: list[str]) -> None:
    made = bench({})
    await restarting(made, "a")
    made.models.catalogue.settings = {"a": {"fallback": fallback}}

    generation = await made.pipeline().generate(chat("a"))
    await generation.aclose()

    assert generation.model == "a"


async def test_when_all_fallbacks_refuse_it_comes_back_to_wait_for_the_worker() -> None:
    made = bench({})
    await restarting(made, "a", "b")
    made.models.catalogue.settings = {"a": {"fallback": ["b"]}}

    generation = await made.pipeline().generate(chat("a"))
    await generation.aclose()

    assert generation.model == "a"
    assert made.line()["tried"] == ["a", "b", "a"]


async def test_a_worker_that_goes_away_while_the_request_waits_for_its_turn_counts_too() -> None:
    made = bench({})
    engines = await restarting(made)
    await made.models.load("a")
    made.models.catalogue.settings = {"a": {"fallback": ["b"]}}
    made.door.may_enter = asyncio.Event()
    waiting = asyncio.create_task(made.pipeline().generate(chat("a")))
    await until(lambda: bool(made.door.tickets))

    engines.of("a").change(EngineState.RESTARTING, "died")
    made.door.may_enter.set()
    generation = await waiting
    await generation.aclose()

    assert generation.model == "b"


async def test_a_fallback_gets_warnings_of_its_own() -> None:
    def made_of(model: ModelInfo) -> ScriptedEngine:
        return ScriptedEngine(script=[EngineFailed("died")]) if model.id == "a" else ScriptedEngine()

    models = lifecycle(
        made_of,
        info("a", settings={"backend": "plain"}),
        info("b", settings={"backend": "plain"}),
        backends=[backend("plain", capabilities=ALL - {"top_k"})],
    )
    models.catalogue.settings = {"a": {"backend": "plain", "fallback": ["b"]}}
    made = Bench(models)

    generation = await made.pipeline().generate(chat("a", sampling=Sampling(top_k=5), lenient=True))
    [_ async for _ in generation]

    assert len(generation.warnings) == 1
