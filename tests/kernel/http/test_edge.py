import asyncio
import json
import re
from typing import Any

import pytest
from attrs import frozen

from http_support import PATIENCE_S, error_of, serving, until
from lmx.config.schema import Security
from lmx.config.server import Server
from lmx.http import dispatch
from lmx.http.edge import Exchange
from lmx_hookspecs import JsonResponse, MiddlewareSpec, Request, Response, Route

SMALL = Server(max_body_bytes=2048, shutdown_grace_s=2.0)


@frozen(kw_only=True)
class Body:
    text: str


async def measure(_: Any, request: Request) -> Response:
    return JsonResponse(body=len(request.body.text))


MEASURE = Route(method="POST", path="/measure", handler=measure, summary="x", body=Body)


async def raw(port: int, data: bytes) -> bytes:
    """What the server answers to bytes, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_request_id_is_made_or_echoed() -> None:
    async with serving(MEASURE) as server:
        made = await server.ask("GET", "/healthz")
        echoed = await server.ask("GET", "/nothing", headers={"X-Request-ID": "my id-1"})

    assert re.fullmatch(r"req-[\w-]{16}", made.headers["x-request-id"])
    assert echoed.headers["x-request-id"] == "my id-1"


@pytest.mark.parametrize("sent", ["x" * 129, "tab\there", "caf\xe9"])
async def test_a_request_id_that_would_spoil_a_log_is_replaced(sent: str) -> None:
    async with serving(MEASURE) as server:
        answer = await server.ask("GET", "/healthz", headers=[(b"X-Request-ID", sent.encode("latin-1"))])

    assert answer.headers["x-request-id"].startswith("req-")


async def test_every_request_is_one_log_line_but_health_checks_are_none() -> None:
    async with serving(MEASURE) as server:
        await server.ask("POST", "/measure", json={"text": "abc"})
        await server.ask("POST", "/measure", json={"text": 3})
        await server.ask("GET", "/measure", headers={"Origin": "https://evil.example"})
        await server.ask("GET", "/healthz")

    lines = server.log.named("http_request")
    assert [(line["method"], line["path"], line["status"], line["error"]) for line in lines] == [
        ("POST", "/measure", 200, None),
        ("POST", "/measure", 400, "invalid_value"),
        ("GET", "/measure", 403, "origin_not_allowed"),
    ]
    assert all(line["latency_ms"] > 0 for line in lines)


async def test_a_body_over_the_limit_is_refused_by_its_length() -> None:
    async with serving(MEASURE, server=SMALL) as server:
        answer = await server.ask("POST", "/measure", json={"text": "x" * 5_000_000})

    assert (answer.status_code, error_of(answer)["code"]) == (413, "request_too_large")
    assert "2048" in error_of(answer)["message"]


async def test_a_body_over_the_limit_is_refused_while_it_streams() -> None:
    async def chunks() -> Any:
        for _ in range(200):
            yield b"x" * 10_000

    async with serving(MEASURE, server=SMALL) as server:
        answer = await server.ask("POST", "/measure", content=chunks())

    assert (answer.status_code, error_of(answer)["code"]) == (413, "request_too_large")


async def test_the_refusal_does_not_wait_for_the_rest_of_the_body() -> None:
    async with serving(MEASURE, server=SMALL) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /measure HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        writer.close()
        await writer.wait_closed()

    assert head.startswith(b"HTTP/1.1 413")


async def test_a_body_that_does_not_come_to_its_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "BODY_TIMEOUT_S", 0.2)

    async with serving(MEASURE) as server:
        answer = await raw(
            server.port,
            b"POST /measure HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{",
        )

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"the body did not arrive within" in answer


async def test_a_body_at_the_limit_is_taken() -> None:
    async with serving(MEASURE, server=SMALL) as server:
        answer = await server.ask("POST", "/measure", content=b'{"text": "' + b"x" * (2048 - 12) + b'"}')

    assert answer.json() == 2048 - 12


async def test_a_large_body_is_taken_and_judged_like_a_small_one() -> None:
    async with serving(MEASURE) as server:
        good = await server.ask("POST", "/measure", json={"text": "x" * 1_000_000})
        bad = await server.ask("POST", "/measure", json={"text": ["x"] * 100_000})

    assert good.json() == 1_000_000
    assert (bad.status_code, error_of(bad)["param"]) == (400, "text")


async def test_a_large_body_without_a_key_still_reads_the_answer() -> None:
    async with serving(MEASURE, security=Security(api_keys=["one"])) as server:
        answer = await server.ask("POST", "/measure", json={"text": "x" * 5_000_000})

    assert answer.status_code == 401


def handshake(path: str, *fields: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "X-Request-ID: mine",
        *fields,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (handshake("/measure", "Origin: https://evil.example"), 403, "origin_not_allowed"),
        (handshake("/measure"), 404, "not_found"),
        (handshake("/nothing"), 404, "not_found"),
    ],
)
async def test_a_websocket_is_refused_like_a_request(sent: bytes, status: int, code: str) -> None:
    async with serving(MEASURE) as server:
        answer = await raw(server.port, sent)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status}".encode())
    assert b"x-request-id: mine" in head.lower()
    assert json.loads(body)["error"]["code"] == code
    assert [(line["status"], line["error"]) for line in server.log.named("http_request")] == [(status, code)]


async def test_a_websocket_that_a_middleware_takes_is_let_through_and_logged() -> None:
    def wrap(_: Any) -> Any:
        def around(_: Any) -> Any:
            async def taking(scope: Any, receive: Any, send: Any) -> None:
                opened = await receive()
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.send", "text": f"{scope['path']} {opened['type']}"})
                await send({"type": "websocket.close", "code": 1000})

            return taking

        return around

    async with serving(middlewares=[MiddlewareSpec(name="taking", wrap=wrap)]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(handshake("/socket"))
        async with asyncio.timeout(PATIENCE_S):
            head = await reader.readuntil(b"\r\n\r\n")
            frame = await reader.readexactly(2 + len("/socket websocket.connect"))
        writer.close()
        await until(lambda: bool(server.log.named("http_request")))

    assert head.startswith(b"HTTP/1.1 101")
    assert b"x-request-id: mine" in head.lower()
    assert frame.endswith(b"/socket websocket.connect")
    assert server.log.named("http_request")[0]["status"] == 101


async def test_an_answer_may_leave_its_headers_out() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    exchange = Exchange(receive, send, "mine", {})
    await exchange.receive()
    await exchange.send({"type": "http.response.start", "status": 204})

    assert sent == [{"type": "http.response.start", "status": 204, "headers": [(b"x-request-id", b"mine")]}]


async def test_bytes_that_are_no_http_harm_nobody() -> None:
    async with serving(MEASURE) as server:
        answer = await raw(server.port, b"\x16\x03\x01 what is this?\r\n\r\n")
        healthy = await server.ask("GET", "/healthz")

    assert answer.startswith(b"HTTP/1.1 400")
    assert healthy.status_code == 200


async def test_a_connection_serves_more_than_a_thousand_requests() -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async with serving(MEASURE) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.timeout(60):
            for _ in range(1100):
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
                await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()

    assert b"connection: close" not in head
