"""Requests whose answers are read late, or not at all."""

import asyncio

import pytest

from kernel_support import ScriptedEngine, chat, lifecycle, turns, until
from lmx_hookspecs import LmxError, Outcome, Piece
from lmx_hookspecs.errors import EngineFailed, TimedOut
from pipeline_support import Bench

ENDLESS = [Piece(text="word ", tokens=1)] * 1000


async def test_a_request_that_nobody_reads_ends_with_its_time_and_is_accounted_as_a_timeout() -> None:
    engine = ScriptedEngine(script=ENDLESS)
    bench = Bench(lifecycle(engine), timeout_s=0.05)
    generation = await bench.pipeline().generate(chat(stream=True))
    await anext(generation)

    await until(lambda: bool(bench.log.named("generation")))

    assert (bench.line()["outcome"], bench.metric("lmx_errors_total")) == ("timeout", 1)
    assert (bench.door.inside, engine.cancelled) == (0, 1)
    assert bench.witness.told == [("m", Outcome.CANCELLED)]
    with pytest.raises(TimedOut, match="was not read within"):
        await anext(generation)


async def test_one_that_was_being_read_when_its_time_ran_out_ends_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmx.pipeline.LOOK_AGAIN_S", 0.01)
    may_speak = asyncio.Event()
    bench = Bench(lifecycle(ScriptedEngine(may_speak=may_speak)), timeout_s=10.0)
    generation = await bench.pipeline().generate(chat(stream=True))
    reading = asyncio.create_task(anext(generation))
    await turns()

    generation._time_is_up()
    may_speak.set()
    await reading

    await until(lambda: bool(bench.log.named("generation")))
    assert bench.line()["outcome"] == "timeout"


async def test_a_time_limit_that_has_not_passed_ends_nothing() -> None:
    bench = Bench(lifecycle(ScriptedEngine()), timeout_s=0.05)
    generation = await bench.pipeline().generate(chat(stream=True))
    pieces = [piece async for piece in generation]

    await asyncio.sleep(0.1)

    assert len(pieces) == 2
    assert [line["outcome"] for line in bench.log.named("generation")] == ["ok"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, Outcome.OK), (TimedOut("not read"), Outcome.CANCELLED), (EngineFailed("died"), Outcome.FAULT)],
)
async def test_what_the_engine_is_done_with_holds_no_place_while_it_waits_to_be_read(
    error: LmxError | None, outcome: Outcome
) -> None:
    engine = ScriptedEngine(script=ENDLESS)
    bench = Bench(lifecycle(engine))
    pipeline = bench.pipeline()
    generation = await pipeline.generate(chat(stream=True))
    await anext(generation)
    (resident,) = bench.models.loaded()

    engine.over(error)
    engine.over(error)
    await turns()

    assert (bench.door.inside, resident.in_flight) == (0, 0)
    assert bench.witness.told == [("m", outcome)]
    assert pipeline.accounting.in_flight == 1
    assert (await anext(generation)).text == "word "
    await generation.aclose()
    assert (bench.line()["outcome"], pipeline.accounting.in_flight) == ("cancelled", 0)
    assert bench.witness.told == [("m", outcome)]


async def test_what_is_being_read_gives_its_place_back_when_it_has_been_read() -> None:
    may_speak = asyncio.Event()
    engine = ScriptedEngine(may_speak=may_speak)
    bench = Bench(lifecycle(engine))
    generation = await bench.pipeline().generate(chat(stream=True))
    reading = asyncio.create_task(anext(generation))
    await turns()

    engine.over(None)
    await turns()
    inside = bench.door.inside
    may_speak.set()
    await reading
    rest = [piece async for piece in generation]

    assert inside == 1
    assert len(rest) == 1
    assert bench.witness.told == [("m", Outcome.OK)]
