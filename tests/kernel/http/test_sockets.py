"""WebSockets of the kernel, through an unmodified client over a real socket."""

import asyncio
import json
from typing import Any

import pytest
from attrs import frozen
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from http_support import PATIENCE_S, Served, serving, until
from lmx.config.schema import Security
from lmx.config.server import Server
from lmx.http.sockets import MESSAGE_BYTES, STOPPING, TOO_FAST, Inbox
from lmx_hookspecs import Context, MiddlewareSpec, SurfaceSpec, WebSocket, WebSocketRoute, option
from lmx_hookspecs.errors import Busy, LmxError


@frozen(kw_only=True)
class Order:
    text: str = option(min_length=1)


async def parrot(_: Context, socket: WebSocket) -> None:
    """Repeats what it is told; `raise` breaks it."""
    while (message := await socket.receive()) is not None:
        if message == "raise":
            raise ZeroDivisionError
        if message == "facts":
            facts = [socket.id, socket.key, socket.client, socket.priority, socket.timeout_s, socket.lenient]
            await socket.send(json.dumps([*facts, dict(socket.query), dict(socket.path_params)]))
            continue
        if isinstance(message, bytes):
            await socket.send(f"{len(message)} bytes")
            continue
        try:
            await socket.admit()
            order = socket.validate(socket.decode(message), Order, allow_unknown=True)
        except LmxError as error:
            await socket.send(json.dumps(socket.explain(error)))
        else:
            await socket.send(json.dumps([order.value.text, dict(order.unknown)]))


PARROT = SurfaceSpec(name="parrot", websockets=[WebSocketRoute(path="/parrot/{name}", handler=parrot, summary="x")])
KEYED = Security(api_keys=["secret-1"])


def parrot_of(server: Served, **options: Any) -> connect:
    return connect(f"ws://127.0.0.1:{server.port}/parrot/polly?a=1", proxy=None, open_timeout=PATIENCE_S, **options)


async def said(client: ClientConnection, message: str | bytes) -> Any:
    await client.send(message)
    async with asyncio.timeout(PATIENCE_S):
        return await client.recv()


async def test_a_message_is_validated_like_a_body_and_errors_leave_the_connection_open() -> None:
    async with serving(surfaces=[PARROT]) as server, parrot_of(server) as client:
        broken = json.loads(await said(client, "{"))
        wrong = json.loads(await said(client, '{"text": ""}'))
        lone = json.loads(await said(client, "[1]"))
        binary = await said(client, b"abc")
        good = json.loads(await said(client, '{"text": "hello", "more": 1}'))

    assert (broken["code"], wrong["param"], lone["code"]) == ("invalid_value", "text", "invalid_value")
    assert set(broken) == {"message", "type", "param", "code"}
    assert binary == "3 bytes"
    assert good == ["hello", {"more": 1}]


async def test_the_opening_request_says_who_asks() -> None:
    headers = {
        "Authorization": "Bearer secret-1",
        "X-Request-ID": "mine",
        "X-Client-ID": "me",
        "X-Priority": "low",
        "X-Timeout": "7",
        "X-LMX-Lenient": "1",
    }
    async with serving(surfaces=[PARROT], security=KEYED) as server:
        async with parrot_of(server, additional_headers=headers) as client:
            facts = json.loads(await said(client, "facts"))
            answered = client.response
        await until(lambda: bool(server.log.named("http_request")))

    assert facts == ["mine", "key-1", "me", "low", 7.0, True, {"a": "1"}, {"name": "polly"}]
    assert answered is not None
    assert answered.headers["x-request-id"] == "mine"
    assert [(line["path"], line["status"]) for line in server.log.named("http_request")] == [("/parrot/polly", 101)]


@pytest.mark.parametrize(
    ("headers", "options", "status", "code"),
    [
        ({}, {"security": KEYED}, 401, "invalid_api_key"),
        ({"x-api-key": "wrong"}, {"security": KEYED}, 401, "invalid_api_key"),
        ({"Origin": "https://evil.example"}, {}, 403, "origin_not_allowed"),
        ({"X-Priority": "urgent"}, {}, 400, "invalid_value"),
        ({}, {"server": Server(websocket_enabled=False)}, 404, "not_found"),
    ],
)
async def test_a_refusal_is_an_http_answer(headers: dict[str, str], options: Any, status: int, code: str) -> None:
    async with serving(surfaces=[PARROT], **options) as server:
        with pytest.raises(InvalidStatus) as refused:
            async with parrot_of(server, additional_headers=headers):
                pass

    answer = refused.value.response
    assert (answer.status_code, json.loads(answer.body)["error"]["code"]) == (status, code)
    assert answer.headers["x-request-id"]


async def test_a_host_that_is_not_this_machine_is_refused_while_there_are_no_keys() -> None:
    async with serving(surfaces=[PARROT]) as server:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(
                "ws://rebound.example/parrot/polly", host="127.0.0.1", port=server.port, proxy=None, open_timeout=5
            ):
                pass

    assert json.loads(refused.value.response.body)["error"]["code"] == "host_not_allowed"


async def test_a_page_of_a_listed_origin_is_let_in() -> None:
    listed = Server(allowed_origins=["https://chat.example"], shutdown_grace_s=2.0)
    async with (
        serving(surfaces=[PARROT], server=listed) as server,
        parrot_of(server, origin="https://chat.example") as client,
    ):
        assert json.loads(await said(client, '{"text": "hello"}')) == ["hello", {}]


async def test_connections_are_bounded_and_a_closed_one_makes_room() -> None:
    async with serving(surfaces=[PARROT], server=Server(websocket_max_connections=1)) as server:
        async with parrot_of(server) as client:
            await said(client, "facts")
            with pytest.raises(InvalidStatus) as refused:
                async with parrot_of(server):
                    pass
        await until(lambda: len(server.open_requests) == 0)
        async with parrot_of(server) as client:
            again = json.loads(await said(client, '{"text": "hello"}'))

    answer = refused.value.response
    assert (answer.status_code, json.loads(answer.body)["error"]["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"]
    assert again == ["hello", {}]


async def test_a_message_beyond_the_limit_closes_with_1009() -> None:
    async with (
        serving(surfaces=[PARROT], server=Server(max_body_bytes=2048)) as server,
        parrot_of(server) as client,
    ):
        with pytest.raises(ConnectionClosed) as closed:
            await said(client, "x" * 5000)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_a_handler_that_breaks_closes_with_1011_and_is_logged() -> None:
    async with serving(surfaces=[PARROT]) as server:
        async with parrot_of(server) as client:
            with pytest.raises(ConnectionClosed) as closed:
                await said(client, "raise")
        await until(lambda: len(server.open_requests) == 0)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    assert "ZeroDivisionError" not in closed.value.rcvd.reason
    assert len(server.log.named("websocket_request_failed")) == 1


async def test_a_server_that_stops_lets_the_handler_end_and_says_that_it_goes_away() -> None:
    last_words = asyncio.Event()

    async def slow(_: Context, socket: WebSocket) -> None:
        await socket.send("begun")
        assert await socket.receive() is None
        await socket.send("last words")
        last_words.set()

    surface = SurfaceSpec(name="slow", websockets=[WebSocketRoute(path="/slow", handler=slow, summary="x")])
    async with (
        serving(surfaces=[surface]) as server,
        connect(f"ws://127.0.0.1:{server.port}/slow", proxy=None) as client,
    ):
        assert await client.recv() == "begun"
        server.shutdown.set()
        assert await asyncio.wait_for(client.recv(), PATIENCE_S) == "last words"
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(client.recv(), PATIENCE_S)

    assert last_words.is_set()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


async def test_a_handler_that_does_not_end_is_ended_after_the_grace_and_the_client_is_told() -> None:
    async def stubborn(_: Context, socket: WebSocket) -> None:
        await socket.send("begun")
        await asyncio.Event().wait()

    surface = SurfaceSpec(name="stubborn", websockets=[WebSocketRoute(path="/stubborn", handler=stubborn, summary="x")])
    async with (
        serving(surfaces=[surface], server=Server(shutdown_grace_s=0.5)) as server,
        connect(f"ws://127.0.0.1:{server.port}/stubborn", proxy=None) as client,
    ):
        assert await client.recv() == "begun"
        server.shutdown.set()
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(client.recv(), PATIENCE_S)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


async def test_a_client_that_goes_away_ends_the_handler() -> None:
    ended = asyncio.Event()

    async def waiting(_: Context, socket: WebSocket) -> None:
        try:
            await socket.send("begun")
            await asyncio.Event().wait()
        finally:
            ended.set()

    surface = SurfaceSpec(name="waiting", websockets=[WebSocketRoute(path="/waiting", handler=waiting, summary="x")])
    async with (
        serving(surfaces=[surface]) as server,
        connect(f"ws://127.0.0.1:{server.port}/waiting", proxy=None) as client,
    ):
        assert await client.recv() == "begun"
        client.transport.abort()
        await asyncio.wait_for(ended.wait(), PATIENCE_S)


async def test_a_gate_is_asked_for_every_request_of_a_connection() -> None:
    asked: list[str] = []

    class Stingy:
        def __call__(self, app: Any) -> Any:
            return app

        async def admit(self, scope: Any) -> None:
            asked.append(scope["path"])
            if len(asked) > 1:
                raise Busy("that was one too many; come back later")

    stingy = MiddlewareSpec(name="stingy", wrap=lambda _: Stingy())
    async with serving(surfaces=[PARROT], middlewares=[stingy]) as server, parrot_of(server) as client:
        first = json.loads(await said(client, '{"text": "hello"}'))
        second = json.loads(await said(client, '{"text": "hello"}'))

    assert first == ["hello", {}]
    assert second["code"] == "rate_limit_exceeded"
    assert asked == ["/parrot/polly"] * 2


async def test_the_openapi_document_names_websockets() -> None:
    async with serving(surfaces=[PARROT]) as server:
        described = (await server.ask("GET", "/openapi.json")).json()

    assert described["x-websockets"]["/parrot/{name}"]["tags"] == ["fake"]
    assert "/parrot/{name}" not in described["paths"]


async def test_two_plugins_cannot_claim_one_websocket() -> None:
    with pytest.raises(LmxError, match="is claimed twice"):
        async with serving(surfaces=[PARROT, PARROT]):
            pass


async def test_a_client_that_floods_is_given_no_more() -> None:
    inbox = Inbox(max_bytes=3 * MESSAGE_BYTES)
    inbox.put("one")
    assert await inbox.get() == "one"

    for _ in range(4):
        inbox.put("more")

    assert await inbox.get() is None
    assert inbox.ending == TOO_FAST


async def test_what_waits_for_a_message_hears_that_the_server_stops() -> None:
    inbox = Inbox(max_bytes=10_000)
    taking = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)

    inbox.end()

    assert await taking is None
    assert inbox.ending == STOPPING
