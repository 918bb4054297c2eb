import asyncio
import socket
import time
from typing import Any

import httpx
import psutil
import pytest

from http_streams import Chunks, streaming
from http_support import PATIENCE_S, data_of, error_of, serving, until
from lmx.config.server import Server
from lmx.http.connections import Connections
from lmx.http.server import bind, url_of
from lmx_hookspecs import JsonResponse, Request, Response, Route
from lmx_hookspecs.errors import ConfigError

QUICK = Server(shutdown_grace_s=1.0)


def test_port_zero_takes_any_free_port_and_says_which() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]

        assert port > 0
        assert url_of(listener) == f"http://127.0.0.1:{port}"


def test_a_port_in_use_is_an_error_that_says_what_to_do() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(ConfigError, match=rf"port {port} on 127.0.0.1 is in use .* --port"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_an_error_that_names_it(host: str) -> None:
    with pytest.raises(ConfigError, match=r"server\.host"):
        bind(host, 0)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_an_ipv6_address_is_bracketed() -> None:
    with bind("::1", 0) as listener:
        assert url_of(listener).startswith("http://[::1]:")


async def test_small_writes_are_not_held_back() -> None:
    seen: list[int] = []

    async def handle(_: Any, writer: Any) -> None:
        seen.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    connections = Connections(handle, stall_s=1.0)
    async with await asyncio.start_server(connections.accept, sock=bind("127.0.0.1", 0)) as accepting:
        port = accepting.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.close()
        await writer.wait_closed()

    assert seen == [1]


async def test_a_connection_is_let_go_as_soon_as_its_client_has() -> None:
    async with serving(server=Server(timeout_sec=300)) as server:
        host, port = server.url.removeprefix("http://").split(":")
        before = len(psutil.Process().net_connections())
        _, writer = await asyncio.open_connection(host, int(port))
        await until(lambda: len(psutil.Process().net_connections()) == before + 2)

        writer.close()
        await writer.wait_closed()

        await until(lambda: len(psutil.Process().net_connections()) == before)


async def test_an_idle_server_ends_at_once_whatever_the_grace() -> None:
    began = time.monotonic()

    async with serving(server=Server(shutdown_grace_s=60.0)) as server, server.client() as client:
        await client.get("/healthz")
        server.shutdown.set()
        await asyncio.wait_for(server.task, PATIENCE_S)

    assert time.monotonic() - began < 5


async def test_a_running_answer_may_finish_within_the_grace() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def handler(_: Any, __: Request) -> Response:
        entered.set()
        await go_on.wait()
        return JsonResponse(body="done")

    route = Route(method="GET", path="/slow", handler=handler, summary="x")
    async with serving(route, server=Server(shutdown_grace_s=30.0)) as server:
        asking = asyncio.create_task(server.ask("GET", "/slow"))
        await asyncio.wait_for(entered.wait(), PATIENCE_S)
        server.shutdown.set()
        await until(lambda: server.open_requests.closing)
        go_on.set()
        answer = await asking
        await asyncio.wait_for(server.task, PATIENCE_S)

    assert answer.json() == "done"


async def test_after_the_signal_nobody_new_is_served() -> None:
    chunks = Chunks([b"data: 1\n\n"])

    async with (
        serving(streaming(chunks), server=QUICK) as server,
        server.client() as client,
        client.stream("GET", "/stream") as answer,
    ):
        lines = answer.aiter_lines()
        await anext(lines)
        server.shutdown.set()
        await until(lambda: server.open_requests.closing)
        with pytest.raises(httpx.ConnectError):
            await server.ask("GET", "/healthz")
        assert [line async for line in lines]


async def test_a_request_that_comes_after_the_signal_is_told_to_come_back() -> None:
    async with serving() as server:
        server.open_requests.closing = True
        answer = await server.ask("GET", "/readyz")

    assert (answer.status_code, error_of(answer)["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "5"


async def test_an_open_stream_is_ended_with_an_error_event_within_the_grace() -> None:
    chunks = Chunks([b"data: 1\n\n"])

    async with serving(streaming(chunks), server=QUICK) as server, server.client() as client:
        async with client.stream("GET", "/stream") as answer:
            lines = answer.aiter_lines()
            got = [await anext(lines)]
            began = time.monotonic()
            server.shutdown.set()
            got += [line async for line in lines]
        await asyncio.wait_for(server.task, PATIENCE_S)

    assert time.monotonic() - began < 1.5
    assert data_of(got)[-1]["error"]["code"] == "overloaded"
    assert chunks.closed.is_set()


async def test_an_answer_that_takes_longer_than_the_grace_is_a_503() -> None:
    entered = asyncio.Event()

    async def handler(_: Any, __: Request) -> Response:
        entered.set()
        await asyncio.Event().wait()
        return JsonResponse(body=None)

    route = Route(method="GET", path="/slow", handler=handler, summary="x")
    async with serving(route, server=QUICK) as server:
        asking = asyncio.create_task(server.ask("GET", "/slow"))
        await asyncio.wait_for(entered.wait(), PATIENCE_S)
        server.shutdown.set()
        answer = await asking

    assert (answer.status_code, error_of(answer)["code"]) == (503, "overloaded")


async def test_a_client_that_stopped_reading_cannot_hold_the_server() -> None:
    chunks = Chunks([b"x" * 2**20 for _ in range(64)])

    async with serving(streaming(chunks), server=QUICK) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: len(server.open_requests) == 1)
        began = time.monotonic()
        server.shutdown.set()
        await asyncio.wait_for(server.task, PATIENCE_S)
        writer.close()

    assert time.monotonic() - began < 1.5
    assert chunks.closed.is_set()


async def test_a_handler_that_ignores_its_cancellation_cannot_hold_the_server() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def handler(_: Any, __: Request) -> Response:
        entered.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return JsonResponse(body=None)

    route = Route(method="GET", path="/stubborn", handler=handler, summary="x")
    async with serving(route, server=QUICK) as server:
        asking = asyncio.create_task(server.ask("GET", "/stubborn"))
        try:
            await asyncio.wait_for(entered.wait(), PATIENCE_S)
            began = time.monotonic()
            server.shutdown.set()
            await asyncio.wait_for(server.task, PATIENCE_S)
            took_s = time.monotonic() - began
        finally:
            release.set()  # else the loop would wait for it for ever, too
        with pytest.raises(httpx.HTTPError):
            await asking

    assert took_s < 1.5
