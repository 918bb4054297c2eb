"""How answers end when something goes wrong, and what stands at their end."""

import asyncio
from typing import Any

import pytest

from http_support import PATIENCE_S, FakeServices, data_of, error_of, said, serving, until
from lmx_hookspecs import Piece
from lmx_hookspecs.errors import Busy, ContextLengthExceeded, EngineFailed, InsufficientMemory, LmxError, ModelNotFound
from lmx_openai import lmx_surfaces

CHAT = "/v1/chat/completions"


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "real-model", "messages": [{"role": "user", "content": "hi"}], **fields}


async def ask(services: FakeServices, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    async with serving(surfaces=lmx_surfaces(), services=services) as server:
        return await server.ask("POST", CHAT, json=chat(**fields), headers=headers)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ModelNotFound("no such model", param="model"), 404),
        (ContextLengthExceeded("too long", param="messages"), 400),
        (Busy("full", retry_after_s=2), 429),
        (InsufficientMemory("no room"), 507),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_refused_before_the_first_piece_is_a_real_status(
    error: LmxError, status: int, *, stream: bool
) -> None:
    at_admission = await ask(FakeServices(refused=error), stream=stream)
    at_the_first_piece = await ask(FakeServices(script=lambda _: [error]), stream=stream)

    for answer in (at_admission, at_the_first_piece):
        assert (answer.status_code, error_of(answer)["code"]) == (status, error.code)


async def test_a_failure_in_mid_stream_is_an_error_event_without_done() -> None:
    services = FakeServices(script=lambda _: [Piece(text="Hel"), EngineFailed("the engine died; send it again")])

    answer = await ask(services, stream=True)

    data = data_of(answer.text.splitlines())
    assert answer.status_code == 200
    assert data[-1]["error"]["code"] == "engine_failed"
    assert "[DONE]" not in data
    assert services.generations[0].closed.is_set()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_stops_early_is_no_finished_answer(*, stream: bool) -> None:
    services = FakeServices(script=lambda _: [Piece(text="Hel")])

    answer = await ask(services, stream=stream)

    if stream:
        assert data_of(answer.text.splitlines())[-1]["error"]["code"] == "engine_failed"
    else:
        assert (answer.status_code, error_of(answer)["code"]) == (502, "engine_failed")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_vanishes_frees_its_place(*, stream: bool) -> None:
    never = asyncio.Event()
    services = FakeServices(script=lambda _: [Piece(text="Hel"), never])

    async with serving(surfaces=lmx_surfaces(), services=services) as server, server.client() as client:
        asking = asyncio.create_task(client.post(CHAT, json=chat(stream=stream)))
        await until(lambda: bool(services.generations))
        await asyncio.wait_for(services.generations[0].waiting.wait(), PATIENCE_S)
        asking.cancel()
        await asyncio.wait([asking], timeout=PATIENCE_S)
        await asyncio.wait_for(services.generations[0].closed.wait(), PATIENCE_S)

    assert len(server.open_requests) == 0


async def test_a_client_that_vanishes_from_the_queue_leaves_it() -> None:
    services = FakeServices(admit=asyncio.Event())

    async with serving(surfaces=lmx_surfaces(), services=services) as server, server.client() as client:
        asking = asyncio.create_task(client.post(CHAT, json=chat()))
        await until(lambda: bool(services.asked))
        asking.cancel()
        await asyncio.wait([asking], timeout=PATIENCE_S)
        await until(lambda: len(server.open_requests) == 0)

    assert services.generations == []


async def test_warnings_stand_in_the_answer_and_in_the_last_chunk() -> None:
    lenient = {"X-LMX-Lenient": "1"}

    whole = await ask(FakeServices(warnings=["seed was dropped"]), lenient, novelty=3)
    stream = await ask(FakeServices(warnings=["seed was dropped"]), lenient, novelty=3, stream=True)
    counted = await ask(
        FakeServices(warnings=["seed was dropped"]),
        lenient,
        novelty=3,
        stream=True,
        stream_options={"include_usage": True},
    )

    told = ["novelty was dropped: it is not supported", "seed was dropped"]
    assert whole.json()["warnings"] == told
    for answer in (stream, counted):
        *earlier, last, done = data_of(answer.text.splitlines())
        assert (last["warnings"], done) == (told, "[DONE]")
        assert not any("warnings" in chunk for chunk in earlier)


async def test_an_answer_without_warnings_has_no_such_field() -> None:
    assert "warnings" not in (await ask(FakeServices())).json()


async def test_usage_stands_in_a_last_chunk_of_its_own() -> None:
    answer = await ask(FakeServices(), stream=True, stream_options={"include_usage": True})

    *earlier, last, done = data_of(answer.text.splitlines())
    assert (last["choices"], last["usage"]["total_tokens"], done) == ([], 7, "[DONE]")
    assert all(chunk["usage"] is None for chunk in earlier)


@pytest.mark.parametrize("stream", [False, True])
async def test_every_answer_says_who_served_it(*, stream: bool) -> None:
    answer = await ask(FakeServices(), stream=stream)

    assert answer.headers["X-LMX-Served-By"] == "fake/real-model"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_takes_over_before_the_first_piece_is_the_one_that_is_named(*, stream: bool) -> None:
    may_speak = asyncio.Event()
    services = FakeServices(script=lambda _: [may_speak, *said("Hello")])
    async with serving(surfaces=lmx_surfaces(), services=services) as server, server.client() as client:
        asking = asyncio.create_task(client.post(CHAT, json=chat(stream=stream)))
        await until(lambda: bool(services.generations))
        (generation,) = services.generations
        await asyncio.wait_for(generation.waiting.wait(), PATIENCE_S)

        generation.model, generation.served_by = "spare", "node/späre\r\nX: y"
        may_speak.set()
        answer = await asking

    told = data_of(answer.text.splitlines())[:-1] if stream else [answer.json()]
    assert {chunk["model"] for chunk in told} == {"spare"}
    assert answer.headers["X-LMX-Served-By"] == "node/sp%C3%A4re%0D%0AX: y"
