"""What a request is held to have cost that ends early, or whose counts make no sense."""

import asyncio

import pytest

from kernel_support import ScriptedEngine, chat, lifecycle, until
from lmx_hookspecs import GenerationRequest, Piece, Usage
from pipeline_support import Bench, Door, collect


async def test_counts_that_nobody_can_add_spoil_no_answer() -> None:
    odd = Piece(finish_reason="stop", usage=Usage(prompt_tokens=-1, completion_tokens=1))
    bench = Bench(lifecycle(ScriptedEngine(script=[odd])))
    pipeline = bench.pipeline()

    pieces = await collect(pipeline, chat())

    assert len(pieces) == 1
    assert (pipeline.accounting.in_flight, bench.door.inside) == (0, 0)
    assert len(bench.log.named("accounting_failed")) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_is_dropped_is_accounted_with_what_the_engine_has_read_and_made(*, stream: bool) -> None:
    engine = ScriptedEngine(may_speak=asyncio.Event())
    bench = Bench(lifecycle(engine))
    generation = await bench.pipeline().generate(chat(stream=stream))
    reading = asyncio.create_task(anext(generation))
    await asyncio.sleep(0)
    assert engine.requests
    engine.progress.saw(Piece(prompt_tokens=100_000))
    engine.progress.saw(Piece(text="x", tokens=1))

    reading.cancel()
    await asyncio.wait([reading])

    line = bench.line()
    assert (line["outcome"], line["prompt_tokens"], line["completion_tokens"]) == ("cancelled", 100_000, 1)
    assert line["estimated_prompt_tokens"] == 0
    assert bench.metric("lmx_prompt_tokens_total") == 100_000


async def test_a_prompt_that_an_engine_has_had_without_counting_it_is_estimated() -> None:
    engine = ScriptedEngine(may_speak=asyncio.Event())
    bench = Bench(lifecycle(engine))
    request = GenerationRequest(model="m", prompts=["four" * 25, range(20)])
    generation = await bench.pipeline().generate(request)
    reading = asyncio.create_task(anext(generation))
    await asyncio.sleep(0)
    assert engine.requests

    reading.cancel()
    await asyncio.wait([reading])

    assert (bench.line()["prompt_tokens"], bench.line()["estimated_prompt_tokens"]) == (0, 45)


async def test_a_request_that_no_engine_has_had_costs_nothing() -> None:
    bench = Bench(lifecycle(ScriptedEngine()), door=Door(may_enter=asyncio.Event()))
    entering = asyncio.create_task(bench.pipeline().generate(chat()))
    await until(lambda: bool(bench.door.tickets))

    entering.cancel()
    await asyncio.wait([entering])

    assert (bench.line()["outcome"], bench.line()["estimated_prompt_tokens"]) == ("cancelled", 0)
