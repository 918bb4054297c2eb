"""Between an engine and a client who reads slowly, late, or no more."""

import asyncio

import pytest

from http_support import USAGE, ScriptedGeneration, Step, until
from lmx_anthropic.events import EventEncoder
from lmx_hookspecs import Piece
from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.relay import MAX_AHEAD, Relay

END = Piece(finish_reason="stop", usage=USAGE)


def relay_of(*script: Step, heartbeat_s: float = 20.0) -> tuple[Relay, ScriptedGeneration]:
    generation = ScriptedGeneration(list(script))
    return Relay(generation, EventEncoder(generation, ()), heartbeat_s), generation


async def test_a_client_who_does_not_read_holds_the_engine_up_and_then_gets_everything() -> None:
    pieces = [Piece(text="x", tokens=1) for _ in range(3 * MAX_AHEAD)]
    relay, generation = relay_of(*pieces, END)
    await until(lambda: generation.given >= MAX_AHEAD)
    for _ in range(10):
        await asyncio.sleep(0)

    assert generation.given == MAX_AHEAD
    whole = b"".join([data async for data in relay])
    await relay.aclose()

    assert whole.count(b'"text":"x"') == len(pieces)
    assert whole.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


async def test_what_gathered_comes_at_once_and_a_failure_behind_it() -> None:
    relay, generation = relay_of(Piece(text="a", tokens=1), Piece(text="b", tokens=1), EngineFailed("died"))
    await until(lambda: not generation.script)

    data = await anext(relay)
    with pytest.raises(EngineFailed, match="died"):
        await anext(relay)
    await relay.aclose()

    assert b'"text":"a"' in data
    assert b'"text":"b"' in data


async def test_a_failure_before_the_first_event_is_raised_there() -> None:
    relay, _ = relay_of(EngineFailed("died"))

    with pytest.raises(EngineFailed, match="died"):
        await relay.opened()
    await relay.aclose()


async def test_closing_ends_the_generation_wherever_it_is() -> None:
    relay, generation = relay_of(asyncio.Event())
    await generation.waiting.wait()

    await relay.aclose()

    assert generation.closed.is_set()
