"""Prompts counted on the way of a generation: routed, fitted, admitted, and not accounted for as one."""

import asyncio
import re

import pytest
from attrs import evolve

from kernel_support import ScriptedEngine, backend, chat, info, lifecycle, until
from lmx.canonical import Canonicaliser
from lmx.counting import count_tokens
from lmx_hookspecs import Capability, GenerationRequest, Message, Outcome
from lmx_hookspecs.errors import EngineFailed, ModelNotFound, TimedOut, UnsupportedParameter
from pipeline_support import Bench

PLAIN = backend(capabilities=frozenset({Capability.CHAT}))


async def test_a_count_names_who_counted_and_gives_its_place_back() -> None:
    engine = ScriptedEngine()
    made = Bench(lifecycle(engine))

    count = await count_tokens(made.pipeline(), chat("m"))

    assert (count.prompt_tokens, count.model, count.served_by) == (1, "m", "scripted/m")
    assert made.door.inside == 0
    assert made.witness.told == [("m", Outcome.OK)]
    assert made.log.named("generation") == []


async def test_an_alias_goes_to_the_next_of_its_models_where_the_first_is_out_of_order() -> None:
    engines = {"a": ScriptedEngine(answer=EngineFailed("died")), "b": ScriptedEngine()}
    models = lifecycle(lambda model: engines[model.id], info("a"), info("b"))
    made = Bench(models, aliases={"either": ["a", "b"]})

    count = await count_tokens(made.pipeline(), chat("either"))

    assert count.model == "b"


async def test_a_fallback_is_not_asked_since_it_counts_otherwise() -> None:
    engines = {"a": ScriptedEngine(answer=EngineFailed("died")), "b": ScriptedEngine()}
    models = lifecycle(lambda model: engines[model.id], info("a"), info("b"))
    models.catalogue.settings = {"a": {"fallback": ["b"]}}

    with pytest.raises(EngineFailed, match="died"):
        await count_tokens(Bench(models).pipeline(), chat("a"))

    assert engines["b"].requests == []


async def test_what_a_generation_would_refuse_is_refused() -> None:
    made = Bench(lifecycle(ScriptedEngine(), backends=[PLAIN]))

    with pytest.raises(UnsupportedParameter, match="tools"):
        await count_tokens(made.pipeline(), evolve(chat("m"), tools=[{"type": "function"}]))
    with pytest.raises(ModelNotFound):
        await count_tokens(made.pipeline(), chat("nobody"))


async def test_a_field_that_is_only_a_wish_is_dropped_and_told_where_the_model_lacks_it() -> None:
    engine = ScriptedEngine()
    made = Bench(lifecycle(engine, backends=[PLAIN]))
    wish = evolve(chat("m"), reasoning_effort="none", dispensable=frozenset({"reasoning_effort"}))

    generation = await made.pipeline().generate(wish)
    pieces = [piece async for piece in generation]

    assert pieces
    assert engine.requests[0].reasoning_effort is None
    assert generation.warnings == ["reasoning_effort was dropped: the model's backend does not support it"]


async def test_a_wish_spares_no_other_field() -> None:
    made = Bench(lifecycle(ScriptedEngine(), backends=[PLAIN]))
    wish = evolve(chat("m"), reasoning_effort="none", grammar="x", dispensable=frozenset({"reasoning_effort"}))

    with pytest.raises(UnsupportedParameter, match="grammar"):
        await made.pipeline().generate(wish)


async def test_a_count_that_takes_too_long_ends_with_its_time() -> None:
    made = Bench(lifecycle(ScriptedEngine(may_speak=asyncio.Event())))

    with pytest.raises(TimedOut):
        await count_tokens(made.pipeline(), evolve(chat("m"), timeout_s=0.05))

    assert made.door.inside == 0


async def test_a_caller_who_leaves_frees_the_place() -> None:
    engine = ScriptedEngine(may_speak=asyncio.Event())
    made = Bench(lifecycle(engine))
    task = asyncio.create_task(count_tokens(made.pipeline(), chat("m")))
    await until(lambda: bool(engine.requests))

    task.cancel()
    await asyncio.wait([task])

    assert made.door.inside == 0
    assert made.witness.told == [("m", Outcome.CANCELLED)]


async def test_lines_that_are_moved_count_where_they_go() -> None:
    engine = ScriptedEngine()
    made = Bench(lifecycle(engine))
    pipeline = made.pipeline()
    pipeline.canonicaliser = Canonicaliser(volatile=[re.compile("stamp .*")])
    messages = [Message(role="system", content="stamp 7\nBe brief."), Message(role="user", content="hi")]

    await count_tokens(pipeline, GenerationRequest(model="m", messages=messages))

    assert [message.content for message in engine.requests[0].messages or ()] == ["Be brief.", "hi\n\nstamp 7"]
