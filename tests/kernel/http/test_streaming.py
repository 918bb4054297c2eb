import asyncio
from typing import Any

import httpx
import pytest

from http_streams import Chunks, streaming
from http_support import data_of, error_of, serving
from lmx_hookspecs import JsonResponse, Request, Response, Route
from lmx_hookspecs.errors import EngineFailed


async def test_chunks_arrive_as_they_come_and_end_the_answer() -> None:
    chunks = Chunks([b"data: 1\n\n", b"data: 2\n\n", StopAsyncIteration()])

    async with serving(streaming(chunks)) as server:
        answer = await server.ask("GET", "/stream")

    assert answer.text == "data: 1\n\ndata: 2\n\n"
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache"
    assert chunks.closed.is_set()


async def test_a_failure_after_the_first_chunk_is_the_last_chunk() -> None:
    chunks = Chunks([b"data: 1\n\n", EngineFailed("the engine died; try again")])

    async with serving(streaming(chunks)) as server:
        answer = await server.ask("GET", "/stream")

    assert data_of(answer.text.splitlines())[-1] == {
        "error": {
            "message": "the engine died; try again",
            "type": "server_error",
            "param": None,
            "code": "engine_failed",
        }
    }
    assert chunks.closed.is_set()


async def test_a_bug_in_a_stream_is_told_without_its_details() -> None:
    async with serving(streaming(Chunks([b"data: 1\n\n", ZeroDivisionError("secret")]))) as server:
        answer = await server.ask("GET", "/stream")

    assert data_of(answer.text.splitlines())[-1]["error"]["code"] == "internal_error"
    assert "secret" not in answer.text
    assert isinstance(server.log.named("stream_failed")[0]["exc_info"], ZeroDivisionError)


async def test_a_stream_that_cannot_tell_of_its_failure_is_cut() -> None:
    chunks = Chunks([b"1", EngineFailed("x")])

    async with serving(streaming(chunks, failure=None)) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await server.ask("GET", "/stream")

    assert chunks.closed.is_set()


async def test_a_client_that_leaves_a_stream_closes_it() -> None:
    chunks = Chunks([b"data: 1\n\n"])

    async with serving(streaming(chunks)) as server, server.client() as client:
        async with client.stream("GET", "/stream") as answer:
            await anext(answer.aiter_lines())
        await asyncio.wait_for(chunks.closed.wait(), 5)

    assert len(server.open_requests) == 0


async def test_a_client_that_leaves_before_the_answer_cancels_the_handler() -> None:
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(_: Any, __: Request) -> Response:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return JsonResponse(body=None)

    async with serving(Route(method="GET", path="/slow", handler=handler, summary="x")) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.wait_for(entered.wait(), 5)
        writer.close()
        await writer.wait_closed()
        await asyncio.wait_for(cancelled.wait(), 5)

    assert server.log.named("request_failed") == []
    assert [line["status"] for line in server.log.named("http_request")] == [None]


async def test_a_client_that_leaves_while_it_sends_its_body_frees_its_place() -> None:
    async def handler(_: Any, __: Request) -> Response:
        return JsonResponse(body=None)

    async with serving(Route(method="POST", path="/post", handler=handler, summary="x", body=Chunks)) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        healthy = await server.ask("GET", "/healthz")

    assert healthy.status_code == 200
    assert len(server.open_requests) == 0


async def test_a_stream_nobody_asked_a_chunk_of_is_closed_too() -> None:
    chunks = Chunks([b"data: 1\n\n"])

    async with serving(streaming(chunks)) as server:
        answer = await server.ask("HEAD", "/stream")
        await asyncio.wait_for(chunks.closed.wait(), 5)

    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_client_that_takes_nothing_in_is_cut() -> None:
    chunks = Chunks([b"x" * 2**20 for _ in range(64)])

    async with serving(streaming(chunks), stall_s=0.2) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.wait_for(chunks.closed.wait(), 10)
        writer.close()

    assert chunks.left


@pytest.mark.parametrize("path", ["/healthz", "/bug"])
async def test_an_answer_leaves_nothing_open(path: str) -> None:
    async def bug(_: Any, __: Request) -> Response:
        raise RuntimeError(path)

    async with serving(Route(method="GET", path="/bug", handler=bug, summary="x")) as server:
        answer = await server.ask("GET", path)

    assert len(server.open_requests) == 0
    if path == "/bug":
        assert error_of(answer)["code"] == "internal_error"
