import asyncio
from typing import Any

import pytest

from http_support import RecordingLog
from lmx.events import EventBus, Subscription
from lmx_hookspecs.errors import Unavailable

STARTED_S = 1_000.0
FIRST = 1_000_000
"""The id of the first event of a run that began then: the milliseconds."""


def bus(**options: Any) -> EventBus:
    return EventBus(clock=lambda: STARTED_S, **options)


async def take(stream: Subscription, count: int) -> list[Any]:
    return [await anext(stream) for _ in range(count)]


async def ids_of_what_waits(stream: Subscription) -> list[int]:
    return [event_id async for event_id, _, _ in stream]


async def test_every_subscriber_gets_every_event_with_growing_ids_and_the_time() -> None:
    events = bus()
    streams = [events.subscribe() for _ in range(2)]

    events.publish("a", {"x": 1})
    events.publish("b", {})

    expected = [(FIRST, "a", {"x": 1, "timestamp": STARTED_S}), (FIRST + 1, "b", {"timestamp": STARTED_S})]
    assert [await take(stream, 2) for stream in streams] == [expected] * 2


async def test_a_subscriber_hears_what_comes_between_subscribing_and_reading() -> None:
    events = bus()
    stream = events.subscribe()
    events.publish("early", {})

    reading = asyncio.create_task(take(stream, 2))
    await asyncio.sleep(0)
    events.publish("late", {})

    assert [type_ for _, type_, _ in await reading] == ["early", "late"]


def test_a_listener_hears_every_event_of_its_type_before_publish_returns() -> None:
    events = bus(queue_length=1)
    heard: list[Any] = []
    events.listen("a", heard.append)

    for number in range(200):
        events.publish("a", {"x": number})
        events.publish("b", {})

    assert [data["x"] for data in heard] == list(range(200))
    assert heard[0]["timestamp"] == STARTED_S


def test_a_listener_that_breaks_is_told_of_in_the_log_and_nobody_else_notices() -> None:
    log = RecordingLog()
    events = bus(log=log)
    heard: list[Any] = []

    def broken(_: Any) -> None:
        raise RuntimeError("listener")

    events.listen("a", broken)
    events.listen("a", heard.append)
    events.publish("a", {})

    assert len(heard) == 1
    assert [facts["type"] for facts in log.named("listener_failed")] == ["a"]


async def test_a_subscriber_that_falls_behind_is_cut_off_after_what_it_had() -> None:
    events = bus(queue_length=3)
    slow, quick = events.subscribe(), events.subscribe()

    heard = []
    for _ in range(10):
        events.publish("more", {})
        heard += await take(quick, 1)

    assert await ids_of_what_waits(slow) == [FIRST, FIRST + 1, FIRST + 2]
    assert len(heard) == 10
    assert (events.describe()["subscribers"], events.describe()["cut_off"]) == (1, 1)


async def test_what_is_kept_is_replayed_and_goes_on_with_what_is_new() -> None:
    events = bus(kept=4)
    for number in range(6):
        events.publish("old", {"number": number})

    stream = events.subscribe(after=FIRST + 3)
    events.publish("new", {"number": 6})

    assert [data["number"] for _, _, data in await take(stream, 3)] == [4, 5, 6]


@pytest.mark.parametrize(
    ("after", "replayed"), [(0, [2, 3, 4, 5]), (FIRST + 1, [2, 3, 4, 5]), (FIRST + 5, []), (FIRST + 99, [])]
)
async def test_a_replay_begins_with_the_oldest_that_is_kept(after: int, replayed: list[int]) -> None:
    events = bus(kept=4)
    for number in range(6):
        events.publish("old", {"number": number})

    stream = events.subscribe(after)
    events.publish("end", {"number": "end"})

    assert [data["number"] for _, _, data in await take(stream, len(replayed) + 1)] == [*replayed, "end"]


async def test_a_long_replay_leaves_room_for_what_is_new() -> None:
    events = bus(queue_length=2, kept=10)
    for _ in range(10):
        events.publish("old", {})

    stream = events.subscribe(after=0)
    for _ in range(3):
        events.publish("new", {})

    assert len(await ids_of_what_waits(stream)) == 12


def test_the_oldest_is_the_next_where_nothing_is_kept() -> None:
    events = bus(kept=2)
    empty = events.oldest()

    for _ in range(5):
        events.publish("x", {})

    assert (empty, events.oldest()) == (FIRST, FIRST + 3)


def test_ids_of_a_later_run_are_above_those_of_an_earlier_one() -> None:
    earlier, later = bus(), EventBus(clock=lambda: STARTED_S + 5)
    for _ in range(1_000):
        earlier.publish("x", {})

    assert earlier.oldest() + 1_000 < later.oldest()


async def test_the_one_subscriber_too_many_is_refused_until_another_leaves() -> None:
    events = bus(max_subscribers=2)
    first, _second = events.subscribe(), events.subscribe()

    with pytest.raises(Unavailable) as caught:
        events.subscribe()
    await first.aclose()
    events.subscribe()

    assert caught.value.code == "overloaded"


async def test_closing_ends_also_a_reader_that_waits() -> None:
    events = bus()
    stream = events.subscribe()
    reading = asyncio.create_task(ids_of_what_waits(stream))
    await asyncio.sleep(0)

    await stream.aclose()

    assert await reading == []
    assert events.describe()["subscribers"] == 0


async def test_a_reader_that_gives_up_waiting_loses_nothing() -> None:
    events = bus()
    stream = events.subscribe()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0.001)

    events.publish("x", {})

    assert len(await take(stream, 1)) == 1
