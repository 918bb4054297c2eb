"""How chats on /v1/chat/stream end before they are done: cancelled, left, stopped, unread."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from chat_stream_support import SURFACES, ask, connected, heard, heard_until, waiting
from http_support import PATIENCE_S, FakeServices, quick, serving, until
from lmx_hookspecs import Piece


async def test_a_request_is_cancelled_before_the_first_token() -> None:
    services = FakeServices(admit=asyncio.Event())
    async with connected(services) as (_, client):
        await ask(client, request_id="a")
        await client.send(json.dumps({"type": "chat.cancel", "request_id": "a"}))
        frames = await heard_until(client, "chat.done")

    assert [frame["type"] for frame in frames] == ["chat.accepted", "chat.done"]
    assert frames[-1]["finish_reason"] == "cancelled"
    assert frames[-1]["usage"]["completion_tokens"] == 0


async def test_a_request_is_cancelled_in_the_middle_and_frees_its_place() -> None:
    services = FakeServices(waiting(asyncio.Event(), Piece(text="Hel", tokens=1)))
    async with connected(services) as (_, client):
        await ask(client, request_id="a")
        await heard_until(client, "chat.token")
        await client.send(json.dumps({"type": "chat.cancel", "request_id": "a"}))
        done = (await heard_until(client, "chat.done"))[-1]

        assert services.generations[0].closed.is_set()
    assert (done["finish_reason"], done["usage"]["completion_tokens"]) == ("cancelled", 1)


async def test_a_whole_answer_that_is_cancelled_tells_of_the_tokens_that_were_made() -> None:
    never = asyncio.Event()
    services = FakeServices(waiting(never, Piece(prompt_tokens=4), Piece(text="Hel", tokens=1), Piece(tokens=2)))
    async with connected(services) as (_, client):
        await ask(client, request_id="a", stream=False)
        await until(lambda: bool(services.generations) and services.generations[0].waiting.is_set())
        await client.send(json.dumps({"type": "chat.cancel", "request_id": "a"}))
        done = (await heard_until(client, "chat.done"))[-1]

    assert done["finish_reason"] == "cancelled"
    assert (done["usage"]["prompt_tokens"], done["usage"]["completion_tokens"]) == (4, 3)


async def test_a_client_that_goes_away_frees_every_place_at_once() -> None:
    services = FakeServices(waiting(asyncio.Event(), Piece(text="Hel")))
    async with connected(services) as (server, client):
        await ask(client, request_id="a")
        await ask(client, request_id="b")
        await until(lambda: len(services.generations) == 2)
        client.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            for generation in services.generations:
                await generation.closed.wait()
        await until(lambda: len(server.open_requests) == 0)


async def test_an_idle_connection_is_closed_but_not_one_that_waits_for_its_answer() -> None:
    go = asyncio.Event()
    services = FakeServices(waiting(go), config=quick(timeout_sec=1))
    async with connected(services) as (_, client):
        await ask(client)
        await asyncio.sleep(1.5)
        go.set()
        done = (await heard_until(client, "chat.done"))[-1]
        with pytest.raises(ConnectionClosed) as closed:
            await heard(client)

    assert done["finish_reason"] == "stop"
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


async def test_a_server_that_stops_finishes_what_runs() -> None:
    go = asyncio.Event()
    services = FakeServices(waiting(go))
    async with connected(services) as (server, client):
        await ask(client)
        await heard(client)
        await until(lambda: len(services.generations) == 1)
        server.shutdown.set()
        await until(lambda: server.open_requests.closing)
        go.set()
        frames = await heard_until(client, "chat.done")
        with pytest.raises(ConnectionClosed) as closed:
            await heard(client)

    assert frames[0]["content"] == "late"
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


async def test_a_client_that_takes_nothing_in_is_cut_off_and_its_place_freed() -> None:
    services = FakeServices(lambda _: [Piece(text="x" * 100_000)] * 2000)
    async with (
        serving(surfaces=SURFACES, services=services, stall_s=0.5) as server,
        connect(f"ws://127.0.0.1:{server.port}/v1/chat/stream", proxy=None, max_queue=1, compression=None) as client,
    ):
        await ask(client)
        await until(lambda: len(services.generations) == 1)
        await asyncio.wait_for(services.generations[0].closed.wait(), PATIENCE_S)
        given = services.generations[0].given

    assert given < 2000
