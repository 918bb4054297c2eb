import asyncio
from typing import Any

from lmx.events import EventBus


async def test_every_subscriber_gets_every_event_with_growing_ids() -> None:
    bus = EventBus()
    readers = [asyncio.create_task(take(bus, 2)) for _ in range(2)]
    await asyncio.sleep(0)

    bus.publish("a", {"x": 1})
    bus.publish("b", {})

    assert await asyncio.gather(*readers) == [[(1, "a", {"x": 1}), (2, "b", {})]] * 2
    assert bus.describe() == {"subscribers": 0}


async def test_a_subscriber_that_falls_behind_is_cut_off_after_what_it_had() -> None:
    bus = EventBus(queue_length=3)
    stream = bus.subscribe()
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    bus.publish("first", {})
    await first

    for number in range(10):
        bus.publish("more", {"number": number})

    assert [data["number"] async for _, _, data in stream] == [0, 1, 2]


async def take(bus: EventBus, count: int) -> list[Any]:
    stream = bus.subscribe()
    taken = [await anext(stream) for _ in range(count)]
    await stream.aclose()  # type: ignore[attr-defined]
    return taken
