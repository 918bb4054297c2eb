import asyncio
from typing import Any

import pytest

from http_support import (
    HASTY,
    FakeServices,
    ScriptedGeneration,
    data_of,
    said,
    serving,
    until,
)
from lmx_hookspecs import Piece
from lmx_hookspecs.errors import EngineFailed, TimedOut
from lmx_hookspecs.relay import MAX_AHEAD, Relay
from lmx_openai import lmx_surfaces
from lmx_openai.chunks import ChunkEncoder, CompletionShape
from lmx_openai.gather import Identity

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


def relay(script: list[Any], heartbeat_s: float = 30.0) -> tuple[Relay, ScriptedGeneration]:
    generation = ScriptedGeneration(script)
    encoder = ChunkEncoder(Identity("cmpl-1", 1), CompletionShape(), generation, 1, False, [])
    return Relay(generation, encoder, heartbeat_s), generation


async def test_pieces_that_have_gathered_are_written_at_once() -> None:
    chunks, generation = relay(said("a", "b", "c"))
    await until(lambda: not generation.script)

    first = await anext(chunks)

    assert first.count(b"data: ") == 5
    await chunks.aclose()


async def test_the_first_piece_can_go_out_before_the_next_is_asked_for() -> None:
    chunks, generation = relay(said("a", "b", "c"))

    await chunks.opened()

    assert generation.given == 1
    await chunks.aclose()


async def test_a_slow_client_leaves_the_pieces_with_the_engine() -> None:
    chunks, generation = relay(said(*"x" * 1000))
    await until(lambda: generation.given >= MAX_AHEAD)
    for _ in range(10):
        await asyncio.sleep(0)
    ahead = generation.given

    received = b"".join([chunk async for chunk in chunks])

    assert ahead == MAX_AHEAD
    assert received.count(b'"text":"x"') == 1000
    await chunks.aclose()


async def test_what_ends_the_generation_of_a_slow_client_comes_behind_what_was_made() -> None:
    chunks, generation = relay([*said(*"x" * MAX_AHEAD)[:-1], TimedOut("not read in time")])
    await until(lambda: generation.given >= MAX_AHEAD)

    received = await anext(chunks)

    assert received.count(b'"text":"x"') == MAX_AHEAD
    with pytest.raises(TimedOut, match="not read in time"):
        await anext(chunks)
    await chunks.aclose()


async def test_a_client_that_reads_slowly_gets_everything() -> None:
    chunks, _ = relay(said(*"x" * 1000))

    received = b""
    async for chunk in chunks:
        received += chunk
        await asyncio.sleep(0.01)

    assert received.count(b'"text":"x"') == 1000
    await chunks.aclose()


async def test_a_failure_before_the_first_chunk_is_raised_where_a_status_is_still_free() -> None:
    chunks, _ = relay([EngineFailed("x")])

    with pytest.raises(EngineFailed):
        await chunks.opened()
    await chunks.aclose()


async def test_a_failure_after_it_comes_in_its_turn() -> None:
    chunks, _ = relay([Piece(text="a"), EngineFailed("x")])

    await chunks.opened()

    assert b'"text":"a"' in await anext(chunks)
    with pytest.raises(EngineFailed):
        await anext(chunks)
    await chunks.aclose()


async def test_closing_a_stream_that_was_never_read_frees_its_place() -> None:
    chunks, generation = relay([asyncio.Event()])

    await chunks.aclose()
    await chunks.aclose()

    assert generation.closed.is_set()


async def test_silence_is_filled_with_comments() -> None:
    go_on = asyncio.Event()
    chunks, _ = relay([Piece(text="a"), go_on, *said("b")], heartbeat_s=0.02)

    received = [await anext(chunks) for _ in range(3)]
    go_on.set()
    rest = b"".join([chunk async for chunk in chunks])

    assert b'"text":"a"' in received[0]
    assert received[1:] == [b": ping\n\n", b": ping\n\n"]
    assert b'"text":"b"' in rest
    await chunks.aclose()


async def test_a_client_that_is_behind_gets_no_comments() -> None:
    chunks, generation = relay([*said("a", "b")], heartbeat_s=0.01)
    await anext(chunks)
    await until(lambda: not generation.script)
    await asyncio.sleep(0.05)

    rest = [chunk async for chunk in chunks]

    assert b": ping\n\n" not in rest
    await chunks.aclose()


async def test_headers_go_out_in_time_even_without_a_piece() -> None:
    go_on = asyncio.Event()
    services = FakeServices(script=lambda _: [go_on, *said("late")])

    async with (
        serving(surfaces=lmx_surfaces(), services=services, server=HASTY) as server,
        server.client() as client,
        client.stream("POST", CHAT, json=BODY) as answer,
    ):
        status_before_the_first_piece = answer.status_code
        go_on.set()
        lines = [line async for line in answer.aiter_lines()]

    assert status_before_the_first_piece == 200
    assert data_of(lines)[-1] == "[DONE]"


async def test_a_failure_after_the_headers_is_an_event_even_as_the_first_one() -> None:
    go_on = asyncio.Event()
    services = FakeServices(script=lambda _: [go_on, EngineFailed("x")])

    async with (
        serving(surfaces=lmx_surfaces(), services=services, server=HASTY) as server,
        server.client() as client,
        client.stream("POST", CHAT, json=BODY) as answer,
    ):
        go_on.set()
        lines = [line async for line in answer.aiter_lines()]

    assert [data["error"]["code"] for data in data_of(lines)] == ["engine_failed"]
