import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psutil
import pytest
from attrs import define, field
from httpx_sse import ServerSentEvent, aconnect_sse

from fake_parts import FakeConfig
from http_support import PATIENCE_S, FakeServices, Served, error_of, serving, until
from lmx.config.schema import Security
from lmx.config.server import Server
from lmx.events import EventBus
from lmx_admin.events import EventsQuery, events
from lmx_hookspecs import Route

ROUTE = Route(
    method="GET",
    path="/admin/events",
    handler=events,
    summary="x",
    auth="admin",
    shed=False,
    streams=True,
    query=EventsQuery,
)


@define(eq=False)
class Services(FakeServices):
    """The services that the route uses: a real event bus."""

    events: EventBus = field(factory=EventBus)


def services(heartbeat_s: float = 30, **options: Any) -> Services:
    section = Server(sse_heartbeat_interval_sec=heartbeat_s)  # type: ignore[arg-type]  # a test does not wait a second
    return Services(events=EventBus(**options), config=FakeConfig({"server": section}))


@asynccontextmanager
async def following(server: Served, path: str = "/admin/events", **headers: str) -> AsyncIterator["Follower"]:
    """A client that follows the events on a connection of its own."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        server.client() as client,
        aconnect_sse(client, "GET", path, headers=names) as source,
    ):
        assert source.response.status_code == 200, await source.response.aread()
        yield Follower(source.response, source.aiter_sse())


@define
class Follower:
    response: httpx.Response
    frames: AsyncIterator[ServerSentEvent]

    async def next(self) -> ServerSentEvent:
        async with asyncio.timeout(PATIENCE_S):
            return await anext(self.frames)

    async def rest(self) -> list[ServerSentEvent]:
        async with asyncio.timeout(PATIENCE_S):
            return [frame async for frame in self.frames]


async def subscribed(bus: EventBus, count: int = 1) -> None:
    await until(lambda: bus.describe()["subscribers"] == count)


async def test_every_client_gets_every_event_with_id_type_data_and_time() -> None:
    fake = services()
    async with serving(ROUTE, services=fake) as server, following(server) as one, following(server) as two:
        await subscribed(fake.events, 2)

        fake.events.publish("model_loaded", {"model_id": "org/m"})
        got = [await one.next(), await two.next()]

    assert one.response.headers["content-type"] == "text/event-stream"
    assert [(frame.event, frame.retry) for frame in got] == [("model_loaded", 3000)] * 2
    assert int(got[0].id) == int(got[1].id) == fake.events.oldest()
    assert got[0].json()["model_id"] == "org/m"
    assert got[0].json()["timestamp"] == pytest.approx(time.time(), abs=60)


async def test_the_first_thing_sent_is_how_soon_to_come_back() -> None:
    async with (
        serving(ROUTE, services=services()) as server,
        server.client() as client,
        client.stream("GET", "/admin/events") as answer,
    ):
        first = await anext(answer.aiter_text())

    assert first == "retry: 3000\n"


async def test_silence_is_filled_with_heartbeats_that_have_no_id() -> None:
    fake = services(heartbeat_s=0.02)
    async with serving(ROUTE, services=fake) as server, following(server) as client:
        beats = [await client.next() for _ in range(2)]
        fake.events.publish("x", {})
        frame = await client.next()
        while frame.event == "heartbeat":
            frame = await client.next()

    assert [(beat.event, beat.id) for beat in beats] == [("heartbeat", "")] * 2
    assert beats[0].json()["timestamp"] <= beats[1].json()["timestamp"]
    assert frame.event == "x"


async def test_only_the_types_that_were_asked_for_are_sent() -> None:
    fake = services()
    async with serving(ROUTE, services=fake) as server, following(server, "/admin/events?types=b,%20c") as client:
        await subscribed(fake.events)
        for type_ in "abcd":
            fake.events.publish(type_, {})
        fake.events.publish("b", {})
        got = [(await client.next()).event for _ in range(3)]

    assert got == ["b", "c", "b"]


@pytest.mark.parametrize("by_header", [True, False])
async def test_a_client_that_comes_back_misses_nothing_that_is_kept(by_header: bool) -> None:
    fake = services()
    async with serving(ROUTE, services=fake) as server:
        async with following(server) as client:
            await subscribed(fake.events)
            fake.events.publish("x", {"number": 0})
            last = (await client.next()).id
        for number in (1, 2):
            fake.events.publish("x", {"number": number})

        again = (
            following(server, Last_Event_ID=last)
            if by_header
            else following(server, f"/admin/events?last_event_id={last}")
        )
        async with again as client:
            got = [(await client.next()).json()["number"] for _ in range(2)]

    assert got == [1, 2]


async def test_a_client_that_was_away_for_too_long_is_told_that_it_missed_some() -> None:
    fake = services(kept=2)
    fake.events.publish("x", {})
    last = fake.events.oldest()
    for number in range(5):
        fake.events.publish("x", {"number": number})

    async with serving(ROUTE, services=fake) as server, following(server, Last_Event_ID=str(last)) as client:
        missed, first = await client.next(), await client.next()

    assert (missed.event, missed.id) == ("missed", "")
    assert missed.json() == {"last_event_id": last, "oldest_id": fake.events.oldest()}
    assert (int(first.id), first.json()["number"]) == (fake.events.oldest(), 3)


async def test_after_a_restart_a_client_is_told_and_gets_what_the_new_server_has() -> None:
    before, after = services(clock=lambda: 1_000.0), services(clock=lambda: 1_060.0)
    async with serving(ROUTE, services=before) as server, following(server) as client:
        await subscribed(before.events)
        before.events.publish("x", {})
        last = (await client.next()).id
    after.events.publish("y", {})

    async with serving(ROUTE, services=after) as server, following(server, Last_Event_ID=last) as client:
        got = [(await client.next()).event for _ in range(2)]

    assert got == ["missed", "y"]


@pytest.mark.parametrize("sent", ["abc", "-1", "1.5", "9" * 30, "\u0661"])
async def test_an_id_that_is_none_is_a_400(sent: str) -> None:
    async with serving(ROUTE, services=services()) as server:
        header = await server.ask("GET", "/admin/events", headers={"Last-Event-ID": sent.encode()})
        query = await server.ask("GET", "/admin/events", params={"last_event_id": sent})

    assert (header.status_code, error_of(header)["param"]) == (400, "Last-Event-ID")
    assert (query.status_code, error_of(query)["param"]) == (400, "last_event_id")


async def test_the_admin_key_is_taken_from_the_header_only() -> None:
    async with serving(ROUTE, services=services(), security=Security(admin_key="boss")) as server:
        in_query = await server.ask("GET", "/admin/events", params={"admin_key": "boss"})
        async with following(server, X_Admin_Key="boss") as client:
            status = client.response.status_code

    assert in_query.status_code in (400, 403)
    assert status == 200


async def test_the_one_client_too_many_is_a_503() -> None:
    fake = services(max_subscribers=1)
    async with serving(ROUTE, services=fake) as server, following(server):
        await subscribed(fake.events)
        refused = await server.ask("GET", "/admin/events")

    assert (refused.status_code, error_of(refused)["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"]


async def test_a_client_that_goes_away_is_forgotten() -> None:
    fake = services()
    async with serving(ROUTE, services=fake) as server:
        async with following(server):
            await subscribed(fake.events)
        await subscribed(fake.events, 0)
        head = await server.ask("HEAD", "/admin/events")
        await subscribed(fake.events, 0)

    assert head.status_code == 200


async def test_a_client_that_never_reads_costs_little_and_is_told_before_the_end() -> None:
    fake, filler = services(queue_length=20), "x" * 100_000
    async with serving(ROUTE, services=fake) as server, following(server) as quick:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**10)
        writer.write(b"GET /admin/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await subscribed(fake.events, 2)
        before = psutil.Process().memory_info().rss
        for number in range(400):
            fake.events.publish("x", {"number": number, "filler": filler if number > 0 else ""})
            assert (await quick.next()).json()["number"] == number
        grown = psutil.Process().memory_info().rss - before

        await subscribed(fake.events, 1)
        end = await read_until(reader, b"connect again")
        writer.close()

    assert grown < 30_000_000
    assert b"event: overflow\ndata: {" in end


async def read_until(reader: asyncio.StreamReader, mark: bytes) -> bytes:
    """What was received last, up to the mark."""
    tail = b""
    async with asyncio.timeout(PATIENCE_S):
        while mark not in tail:
            tail = tail[-1_000:] + await reader.read(2**16)
    return tail


async def test_a_server_that_stops_ends_the_stream_at_once() -> None:
    fake = services()
    patient = Server(shutdown_grace_s=30.0)
    async with serving(ROUTE, services=fake, server=patient) as server, following(server) as client:
        await subscribed(fake.events)
        began = time.monotonic()

        server.shutdown.set()
        rest = await client.rest()
        await asyncio.wait_for(server.task, PATIENCE_S)

    assert time.monotonic() - began < 5
    assert rest[-1].event == "closed"
    assert json.loads(rest[-1].data)["error"]["code"] == "overloaded"
