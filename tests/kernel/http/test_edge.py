import asyncio
import re
from typing import Any

import pytest
from attrs import frozen

from http_support import error_of, serving
from lmx.config.schema import Security, Server
from lmx_hookspecs import JsonResponse, Request, Response, Route

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
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    assert head.startswith(b"HTTP/1.1 413")


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


async def test_a_websocket_from_a_foreign_page_is_refused() -> None:
    handshake = (
        b"GET /v1/chat/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )

    async with serving(MEASURE) as server:
        foreign = await raw(server.port, handshake + b"Origin: https://evil.example\r\n\r\n")
        unknown = await raw(server.port, handshake + b"\r\n")

    assert foreign.startswith(b"HTTP/1.1 403")
    assert unknown.startswith(b"HTTP/1.1 404")


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
        for _ in range(1100):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
            await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()

    assert b"connection: close" not in head
