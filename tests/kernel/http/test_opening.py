"""Streams whose status waits for what may still fail."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from http_streams import Chunks, streaming
from http_support import HASTY, data_of, error_of, serving, until
from lmx.config.server import Server
from lmx_hookspecs import MiddlewareSpec, Request, Response, Route, StreamResponse
from lmx_hookspecs.errors import Busy, EngineFailed

Opening = Callable[[], Awaitable[None]]


def raising(error: Exception) -> Opening:
    async def opening() -> None:
        await asyncio.sleep(0.01)
        raise error

    return opening


def marked(inner: Any) -> Any:
    """A middleware that adds a field to every answer."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-seen", str(message["status"]).encode())]}
            await send(message)

        await inner(scope, receive, sending)

    return wrapped


async def test_the_status_waits_for_the_opening() -> None:
    go = asyncio.Event()

    async def opening() -> None:
        await go.wait()

    async with serving(streaming(Chunks([b"data: 1\n\n", StopAsyncIteration()]), opening=opening)) as server:
        asking = asyncio.create_task(server.ask("GET", "/stream"))
        await until(lambda: len(server.open_requests) == 1)
        await asyncio.sleep(0.05)
        waited = not asking.done()
        go.set()
        answer = await asking

    assert (waited, answer.status_code, answer.text) == (True, 200, "data: 1\n\n")


async def test_what_an_opening_raises_has_a_status_of_its_own() -> None:
    chunks = Chunks([b"data: 1\n\n"])
    middleware = MiddlewareSpec(name="marked", wrap=lambda _: marked)

    async with serving(
        streaming(chunks, opening=raising(Busy("full", retry_after_s=3))), middlewares=[middleware]
    ) as server:
        answer = await server.ask("GET", "/stream")
        await asyncio.wait_for(chunks.closed.wait(), 20)

    assert (answer.status_code, error_of(answer)["message"]) == (429, "full")
    assert (answer.headers["retry-after"], answer.headers["x-seen"]) == ("3", "429")
    assert "x-accel-buffering" not in answer.headers
    assert server.log.named("http_request")[0]["error"] == error_of(answer)["code"]


@pytest.mark.parametrize("bug", [ZeroDivisionError("the secret"), TimeoutError("the secret")])
async def test_a_bug_in_an_opening_is_logged_and_told_without_its_details(bug: Exception) -> None:
    async with serving(streaming(Chunks([]), opening=raising(bug)), server=HASTY) as server:
        answer = await server.ask("GET", "/stream")

    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert server.log.named("request_failed")[0]["exc_info"] is bug


async def test_a_status_does_not_wait_for_ever() -> None:
    cancelled = asyncio.Event()

    async def opening() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    chunks = Chunks([EngineFailed("the engine died")])
    async with serving(streaming(chunks, opening=opening), server=HASTY) as server:
        answer = await server.ask("GET", "/stream")

    assert (answer.status_code, cancelled.is_set()) == (200, True)
    assert data_of(answer.text.splitlines())[-1]["error"]["message"] == "the engine died"


async def test_headers_that_a_function_gives_are_asked_for_after_the_opening() -> None:
    seen: list[str] = []

    async def opening() -> None:
        seen.append("opened")

    def headers() -> dict[str, str]:
        return {"X-Seen": seen[-1], "Cache-Control": "no-store"}

    async with serving(streaming(Chunks([StopAsyncIteration()]), opening=opening, headers=headers)) as server:
        answer = await server.ask("GET", "/stream")

    assert (answer.headers["x-seen"], answer.headers["cache-control"]) == ("opened", "no-store")


@pytest.mark.parametrize("bug", [ZeroDivisionError("the secret"), TimeoutError("the secret")])
async def test_a_bug_in_the_headers_is_logged_and_told_without_its_details(bug: Exception) -> None:
    def headers() -> dict[str, str]:
        raise bug

    chunks = Chunks([])
    async with serving(streaming(chunks, headers=headers)) as server:
        answer = await server.ask("GET", "/stream")

    assert (answer.status_code, error_of(answer)["code"]) == (500, "internal_error")
    assert server.log.named("request_failed")[0]["exc_info"] is bug
    assert chunks.closed.is_set()


async def test_the_type_of_the_content_is_said_in_one_place() -> None:
    route = streaming(Chunks([StopAsyncIteration()]), content_type="text/x", headers={"content-type": "text/y"})

    async with serving(route) as server:
        answer = await server.ask("GET", "/stream")

    assert answer.headers.get_list("content-type") == ["text/x"]


async def test_a_stream_is_closed_before_its_refusal_is_sent_and_only_once() -> None:
    closings: list[bool] = []

    class Counted(Chunks):
        async def aclose(self) -> None:
            closings.append(True)

    async with (
        serving(streaming(Counted([]), opening=raising(Busy("full")))) as server,
        server.client() as client,
        client.stream("GET", "/stream") as answer,
    ):
        before_its_body = list(closings)

    assert (answer.status_code, before_its_body, closings) == (429, [True], [True])


async def test_an_answered_stream_is_not_kept() -> None:
    async def once() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"

    async def opening() -> None:
        await asyncio.sleep(0)

    async def handler(_: Any, __: Request) -> Response:
        return StreamResponse(chunks=streams.pop(), opening=opening)

    streams = [once()]
    kept = weakref.ref(streams[0])
    route = Route(method="GET", path="/stream", handler=handler, summary="x", streams=True)
    gc.disable()
    try:
        async with serving(route) as server:
            answer = await server.ask("GET", "/stream")
            await until(lambda: kept() is None)
    finally:
        gc.enable()

    assert answer.text == "data: 1\n\n"


async def test_a_client_that_leaves_during_the_opening_frees_everything() -> None:
    chunks, entered, cancelled = Chunks([]), asyncio.Event(), asyncio.Event()

    async def opening() -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with serving(streaming(chunks, opening=opening)) as server:
        asking = asyncio.create_task(server.ask("GET", "/stream"))
        await asyncio.wait_for(entered.wait(), 20)
        asking.cancel()
        await asyncio.wait_for(cancelled.wait(), 20)
        await asyncio.wait_for(chunks.closed.wait(), 20)
        await until(lambda: len(server.open_requests) == 0)


async def test_a_server_that_stops_during_the_opening_says_so() -> None:
    entered = asyncio.Event()

    async def opening() -> None:
        entered.set()
        await asyncio.Event().wait()

    async with serving(streaming(Chunks([]), opening=opening), server=Server(shutdown_grace_s=0.5)) as server:
        asking = asyncio.create_task(server.ask("GET", "/stream"))
        await asyncio.wait_for(entered.wait(), 20)

    assert (await asking).status_code == 503
