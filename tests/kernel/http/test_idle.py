import asyncio
import time

import pytest

from http_support import PATIENCE_S, serving
from lmx.config.server import Server
from lmx.http.idle import LAST_CALL_S, IdleConnections


class Spawned:
    """Hypercorn's TaskGroup, as far as a timer uses it."""

    def __init__(self) -> None:
        self.closed = 0

    def spawn(self, _: object) -> None:
        self.closed += 1


async def never_called() -> None:
    pytest.fail("the group runs it, not the timer")


async def test_a_connection_is_closed_once_it_has_waited_for_long_enough() -> None:
    spawned, timer = Spawned(), IdleConnections(timeout_s=0.01).timer()

    await timer.restart(spawned, never_called)
    await asyncio.sleep(0.02)
    assert spawned.closed == 0  # a request may have come while the loop was busy

    await asyncio.sleep(LAST_CALL_S + 0.05)
    assert spawned.closed == 1


async def test_a_request_stops_the_wait_and_its_end_begins_another_one() -> None:
    spawned, connections = Spawned(), IdleConnections(timeout_s=0.02)
    timer = connections.timer()
    await timer.restart(spawned, never_called)
    await timer.stop()
    await timer.stop()

    await asyncio.sleep(LAST_CALL_S + 0.05)
    assert spawned.closed == 0

    await timer.restart(spawned, never_called)
    await timer.restart(spawned, never_called)
    await asyncio.sleep(LAST_CALL_S + 0.1)
    assert spawned.closed == 1


async def test_a_connection_that_is_being_closed_never_waits_again() -> None:
    spawned, connections = Spawned(), IdleConnections(timeout_s=0.0)
    timer = connections.timer()
    await timer.restart(spawned, never_called)
    await timer.retire()

    await timer.restart(spawned, never_called)
    connections.close()
    await asyncio.sleep(LAST_CALL_S + 0.05)

    assert spawned.closed == 0


async def test_a_server_that_stops_closes_those_that_wait_and_those_that_come_to_wait() -> None:
    spawned, connections = Spawned(), IdleConnections(timeout_s=300)
    waiting, busy = connections.timer(), connections.timer()
    await waiting.restart(spawned, never_called)
    await busy.restart(spawned, never_called)
    await busy.stop()

    connections.close()
    await asyncio.sleep(LAST_CALL_S + 0.05)
    assert spawned.closed == 1

    await busy.restart(spawned, never_called)
    await asyncio.sleep(LAST_CALL_S + 0.05)
    assert spawned.closed == 2


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def connected(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def status_of(reader: asyncio.StreamReader) -> int:
    """Of one whole answer."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
    await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
    return int(head.split()[1])


@pytest.mark.parametrize("requests", [0, 2])
async def test_a_client_that_sends_nothing_more_finds_its_connection_closed(requests: int) -> None:
    async with serving(server=Server(timeout_sec=1)) as server:
        reader, writer = await connected(server.url)
        began = time.monotonic()
        for _ in range(requests):
            began = time.monotonic()
            writer.write(HEALTH)
            await status_of(reader)

        rest = await asyncio.wait_for(reader.read(), PATIENCE_S)

        assert rest == b""
        assert time.monotonic() - began >= 1.0
        writer.close()
        await writer.wait_closed()


async def test_a_request_that_came_while_the_loop_was_busy_is_answered_although_the_time_is_up() -> None:
    async with serving(server=Server(timeout_sec=1)) as server:
        reader, writer = await connected(server.url)
        writer.write(HEALTH)
        await status_of(reader)
        await asyncio.sleep(0.9)

        writer.write(HEALTH)
        time.sleep(0.3)  # noqa: ASYNC251  the loop is busy, and the time is up meanwhile

        assert await status_of(reader) == 200
        writer.close()
        await writer.wait_closed()
