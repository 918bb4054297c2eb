import asyncio
from pathlib import Path

import pytest

from kernel_support import ALL, END, Log, ScriptedEngine, backend, chat, info, lifecycle, until
from lmx.presets import PresetLibrary
from lmx_hookspecs import GenerationRequest, Message, Outcome, Piece, Sampling
from lmx_hookspecs.errors import Busy, EngineFailed, ModelNotFound, TimedOut, UnsupportedParameter
from pipeline_support import Bench, BrokenWitness, Door, collect


async def test_pieces_arrive_and_everything_is_freed_and_accounted_for_at_the_end() -> None:
    bench = Bench(lifecycle(ScriptedEngine()))

    pieces = await collect(bench.pipeline(), chat(client="bot"))

    assert [piece.text for piece in pieces] == ["hi", "!"]
    assert bench.door.inside == 0
    assert bench.witness.told == [("m", Outcome.OK)]
    assert (bench.line()["outcome"], bench.line()["completion_tokens"]) == ("ok", 2)
    assert bench.metric("lmx_requests_total") == 1
    assert bench.metric("lmx_completion_tokens_total") == 2


async def test_the_ticket_says_what_a_scheduler_needs_to_know() -> None:
    bench = Bench(lifecycle(ScriptedEngine()))

    await collect(bench.pipeline(), chat(n=3, key="k", client="c", priority="high", timeout_s=5))

    ticket = bench.door.tickets[0]
    assert (ticket.model, ticket.weight, ticket.key, ticket.client, ticket.priority) == ("m", 3, "k", "c", "high")
    assert ticket.resident is False
    assert ticket.deadline is not None


async def test_a_single_mode_model_takes_one_row() -> None:
    bench = Bench(lifecycle(ScriptedEngine(), info("m", settings={"mode": "single"})))

    await collect(bench.pipeline(), chat())

    assert bench.door.tickets[0].limit == 1


async def test_a_refused_request_frees_nothing_twice_and_counts_as_an_error() -> None:
    bench = Bench(lifecycle(ScriptedEngine()), door=Door(refuse=True))
    pipeline = bench.pipeline()

    with pytest.raises(Busy):
        await pipeline.generate(chat())

    assert bench.metric("lmx_errors_total") == 1
    assert pipeline.accounting.in_flight == 0


async def test_an_engine_that_dies_before_the_first_piece_is_replaced_by_the_next_target() -> None:
    engines = {"a": ScriptedEngine(script=[EngineFailed("died")]), "b": ScriptedEngine()}
    models = lifecycle(lambda model: engines[model.id], info("a"), info("b"))
    bench = Bench(models, aliases={"either": ["a", "b"]})

    generation = await bench.pipeline().generate(chat("either"))
    pieces = [piece async for piece in generation]

    assert generation.model == "b"
    assert [piece.text for piece in pieces] == ["hi", "!"]
    assert bench.witness.told == [("a", Outcome.FAULT), ("b", Outcome.OK)]
    assert bench.door.inside == 0


async def test_an_engine_that_dies_after_the_first_piece_fails_the_request() -> None:
    engines = {"a": ScriptedEngine(script=[Piece(text="x"), EngineFailed("died")]), "b": ScriptedEngine()}
    models = lifecycle(lambda model: engines[model.id], info("a"), info("b"))
    bench = Bench(models, aliases={"either": ["a", "b"]})

    with pytest.raises(EngineFailed):
        await collect(bench.pipeline(), chat("either"))

    assert engines["b"].requests == []
    assert bench.line()["outcome"] == "engine_failed"


async def test_a_target_that_cannot_honour_a_parameter_is_passed_over() -> None:
    models = lifecycle(
        ScriptedEngine(),
        info("a", settings={"backend": "plain"}),
        info("b", settings={"backend": "rich"}),
        backends=[backend("plain", capabilities=ALL - {"top_k"}), backend("rich")],
    )
    bench = Bench(models, aliases={"either": ["a", "b"]})

    generation = await bench.pipeline().generate(chat("either", sampling=Sampling(top_k=5)))
    await generation.aclose()

    assert (generation.model, list(generation.warnings)) == ("b", [])


async def test_token_prompts_need_a_backend_that_takes_them() -> None:
    bench = Bench(lifecycle(ScriptedEngine(), backends=[backend(capabilities=ALL - {"token_prompts"})]))

    with pytest.raises(UnsupportedParameter) as caught:
        await collect(bench.pipeline(), GenerationRequest(model="m", prompts=[[1, 2]]))

    assert caught.value.param == "prompt"


async def test_a_guard_that_breaks_when_told_spoils_nothing() -> None:
    bench = Bench(lifecycle(ScriptedEngine()))
    bench.witness = BrokenWitness()

    pieces = await collect(bench.pipeline(), chat())

    assert len(pieces) == 2
    assert bench.door.inside == 0
    assert len(bench.log.named("guard_failed")) == 1


async def test_closing_a_generation_cancels_the_engine_and_tells_the_guard() -> None:
    engine = ScriptedEngine()
    bench = Bench(lifecycle(engine))
    generation = await bench.pipeline().generate(chat())
    await anext(aiter(generation))

    await generation.aclose()
    await generation.aclose()

    assert engine.cancelled == 1
    assert bench.witness.told == [("m", Outcome.CANCELLED)]
    assert bench.line()["outcome"] == "cancelled"
    assert bench.door.inside == 0


async def test_a_cancelled_reader_frees_its_place() -> None:
    engine = ScriptedEngine(may_speak=asyncio.Event())
    bench = Bench(lifecycle(engine))
    reading = asyncio.create_task(collect(bench.pipeline(), chat()))
    await until(lambda: bool(engine.requests))

    reading.cancel()
    await asyncio.wait([reading])

    assert engine.cancelled == 1
    assert bench.door.inside == 0


@pytest.mark.parametrize("stage", ["may_load", "may_speak"])
async def test_the_time_limit_holds_while_loading_and_while_generating(stage: str) -> None:
    engine = ScriptedEngine(**{stage: asyncio.Event()})  # type: ignore[arg-type]
    bench = Bench(lifecycle(engine))

    with pytest.raises(TimedOut, match="X-Timeout"):
        await collect(bench.pipeline(), chat(timeout_s=0.02))

    assert bench.door.inside == 0
    assert bench.line()["outcome"] == "timeout"
    await bench.models.close()


@pytest.mark.parametrize(("made", "outcome"), [([], Outcome.FAULT), ([Piece(text="x")], Outcome.CANCELLED)])
async def test_an_answer_that_is_held_until_its_end_and_takes_too_long_is_no_fault(
    made: list[Piece], outcome: Outcome
) -> None:
    engine = ScriptedEngine(may_speak=asyncio.Event())
    bench = Bench(lifecycle(engine), timeout_s=0.02)
    generation = await bench.pipeline().generate(chat())
    reading = asyncio.create_task(anext(generation))
    await until(lambda: bool(engine.requests))

    for piece in made:
        engine.progress.saw(piece)

    with pytest.raises(TimedOut):
        await reading
    assert bench.witness.told == [("m", outcome)]


async def test_the_engine_has_the_request_before_anybody_reads_and_may_be_done_by_then() -> None:
    engine = ScriptedEngine()
    bench = Bench(lifecycle(engine))

    generation = await bench.pipeline().generate(chat(stream=True))
    assert len(engine.requests) == 1
    engine.progress.over(None)
    await until(lambda: bench.door.inside == 0)

    assert [piece.text async for piece in generation if piece.text]
    assert bench.witness.told == [("m", Outcome.OK)]


async def test_a_parameter_that_the_backend_lacks_is_refused_by_name() -> None:
    bench = Bench(lifecycle(ScriptedEngine(), backends=[backend(capabilities=ALL - {"top_k"})]))

    with pytest.raises(UnsupportedParameter) as caught:
        await collect(bench.pipeline(), chat(sampling=Sampling(top_k=5)))

    assert caught.value.param == "top_k"
    assert bench.door.tickets == []


async def test_a_lenient_request_loses_the_parameter_and_is_told() -> None:
    engine = ScriptedEngine()
    bench = Bench(lifecycle(engine, backends=[backend(capabilities=ALL - {"top_k"})]))

    generation = await bench.pipeline().generate(chat(sampling=Sampling(top_k=5), lenient=True))
    await generation.aclose()

    assert len(generation.warnings) == 1
    assert "top_k" in generation.warnings[0]


async def test_what_cannot_be_dropped_is_refused_even_when_lenient() -> None:
    bench = Bench(lifecycle(ScriptedEngine(), backends=[backend(capabilities=ALL - {"chat"})]))

    with pytest.raises(UnsupportedParameter):
        await collect(bench.pipeline(), chat(lenient=True))


async def test_the_exact_capabilities_of_the_loaded_model_count() -> None:
    engine = ScriptedEngine(script=[END])
    bench = Bench(lifecycle(engine))

    await collect(bench.pipeline(), chat(sampling=Sampling(top_k=5)))

    assert engine.requests[0].sampling.top_k == 5
    assert engine.requests[0].messages == [Message(role="user", content="hello")]


async def test_the_models_own_sampling_counts_where_the_client_left_it_open() -> None:
    engine = ScriptedEngine()
    bench = Bench(lifecycle(engine, info("m", sampling={"temperature": 0.0, "top_p": 0.5})))

    await collect(bench.pipeline(), chat(sampling=Sampling(top_p=0.9), open_sampling=frozenset({"temperature"})))

    assert (engine.requests[0].sampling.temperature, engine.requests[0].sampling.top_p) == (0.0, 0.9)


async def preset(folder: Path, text: str) -> PresetLibrary:
    (folder / "p.yaml").write_text(f"name: p\n{text}")
    presets = PresetLibrary(folder, log=Log())
    await presets.reload()
    return presets


async def test_a_presets_parameters_come_before_the_models_own_and_after_the_clients(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    models = lifecycle(engine, info("m", sampling={"temperature": 0.0, "top_p": 0.5, "min_p": 0.1}))
    presets = await preset(tmp_path, "model: m\nparameters: {temperature: 1.5, top_p: 0.8, max_tokens: 3}\n")
    bench = Bench(models, presets=presets)
    wanted = chat("preset:p", sampling=Sampling(top_p=1.0), open_sampling=frozenset({"temperature", "min_p"}))

    generation = await bench.pipeline().generate(wanted)
    await anext(generation)
    await generation.aclose()

    asked = engine.requests[0]
    assert (asked.sampling.temperature, asked.sampling.top_p, asked.sampling.min_p) == (1.5, 1.0, 0.1)
    assert (asked.max_tokens, generation.model) == (3, "m")


async def test_a_preset_asks_for_no_more_than_its_backend_can_do(tmp_path: Path) -> None:
    presets = await preset(tmp_path, "model: m\nparameters: {response_format: {type: json_object}}\n")
    limited = backend(capabilities=ALL - {"response_format"})
    bench = Bench(lifecycle(ScriptedEngine(), backends=[limited]), presets=presets)

    with pytest.raises(UnsupportedParameter) as caught:
        await collect(bench.pipeline(), chat("preset:p"))

    assert caught.value.param == "response_format"


async def test_what_a_preset_could_not_add_is_told_whichever_target_answers(tmp_path: Path) -> None:
    engines = {"a": ScriptedEngine(script=[EngineFailed("died")]), "b": ScriptedEngine()}
    models = lifecycle(lambda model: engines[model.id], info("a"), info("b"))
    presets = await preset(tmp_path, "model: either\nsystem_prompt: Be brief.\n")
    bench = Bench(models, aliases={"either": ["a", "b"]}, presets=presets)

    generation = await bench.pipeline().generate(GenerationRequest(model="preset:p", prompts=["once"]))
    pieces = [piece async for piece in generation]

    assert (len(pieces), generation.model) == (2, "b")
    assert len(generation.warnings) == 1
    assert generation.warnings[0].startswith("system_prompt of preset:p")


async def test_every_request_for_a_known_model_is_counted_and_its_end_is_told() -> None:
    bench, ends = Bench(lifecycle(ScriptedEngine()), door=Door(refuse=True)), []
    pipeline = bench.pipeline()
    pipeline.on_end = lambda: ends.append("end")

    with pytest.raises(Busy):
        await pipeline.generate(chat("m"))
    with pytest.raises(ModelNotFound):
        await pipeline.generate(chat("nope"))

    assert pipeline.predictor.describe(())["top_models"] == [["m", 1]]
    assert ends == ["end"]
