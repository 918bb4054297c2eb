"""Responses that are made without their client: polled, cancelled, followed from anywhere, and bounded."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import define

from http_support import USAGE, FakeServices, ScriptedGeneration, Served, Step, error_of, until
from lmx_hookspecs import GenerationRequest, Piece
from lmx_hookspecs.errors import EngineFailed, ModelNotFound, UnsupportedParameter
from lmx_responses.objects import UNFINISHED
from responses_support import BODY, URL, events_of, ids_in, make, responding, types_of

TEXT_DONE = ["output_text.done", "content_part.done", "output_item.done"]
END = Piece(finish_reason="stop", usage=USAGE)


def scripted(*steps: Step) -> FakeServices:
    def script(_: GenerationRequest) -> Iterable[Step]:
        return steps

    return FakeServices(script=script)


async def get(server: Served, response_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await server.ask("GET", f"{URL}/{response_id}")).json()
    return answer


async def ended(server: Served, response_id: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (answer := await get(server, response_id))["status"] in UNFINISHED:  # noqa: ASYNC110  as clients poll
            await asyncio.sleep(0.01)
    return answer


async def test_it_is_made_while_nobody_waits() -> None:
    more = asyncio.Event()
    async with responding(scripted(Piece(text="Hel"), more, Piece(text="lo"), END)) as server:
        made = (await make(server, background=True)).json()
        meanwhile = await get(server, made["id"])
        more.set()
        done = await ended(server, made["id"])

    assert (made["status"], made["background"]) == ("in_progress", True)
    assert meanwhile["output"][0]["status"] == "in_progress"
    assert meanwhile["output"][0]["content"][0]["text"] == "Hel"
    assert (done["status"], done["output"][0]["content"][0]["text"]) == ("completed", "Hello")


async def test_one_that_waits_for_its_turn_is_queued() -> None:
    services = scripted(Piece(text="Hi"), END)
    services.admit = turn = asyncio.Event()
    async with responding(services) as server:
        made = (await make(server, background=True)).json()
        turn.set()
        done = await ended(server, made["id"])

    assert (made["status"], done["status"]) == ("queued", "completed")


async def test_what_is_refused_at_once_is_refused_with_its_status_and_not_kept() -> None:
    services = FakeServices(refused=ModelNotFound("there is no model 'm'", param="model"))
    async with responding(services) as server:
        answer = await make(server, background=True)

    assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")


async def test_one_that_is_refused_later_has_failed() -> None:
    @define(eq=False)
    class Refusing(FakeServices):
        async def generate(self, request: GenerationRequest) -> ScriptedGeneration:
            await super().generate(request)
            raise UnsupportedParameter("'tools' is not supported", param="tools")

    turn = asyncio.Event()
    services = Refusing(admit=turn)
    async with responding(services) as server:
        made = (await make(server, background=True)).json()
        turn.set()
        done = await ended(server, made["id"])

    assert (made["status"], done["status"]) == ("queued", "failed")
    assert (done["error"]["code"], done["error"]["param"]) == ("invalid_prompt", "tools")


async def test_one_that_fails_says_so_to_whoever_asks() -> None:
    more = asyncio.Event()
    async with responding(scripted(more, EngineFailed("it died"))) as server:
        made = (await make(server, background=True)).json()
        more.set()
        done = await ended(server, made["id"])

    assert (done["status"], done["error"]["message"]) == ("failed", "it died")


async def test_cancelling_frees_its_place_and_twice_is_once() -> None:
    services = scripted(Piece(text="Hel"), asyncio.Event())
    async with responding(services) as server:
        made = (await make(server, background=True)).json()
        first = await server.ask("POST", f"{URL}/{made['id']}/cancel")
        second = await server.ask("POST", f"{URL}/{made['id']}/cancel", json={})
        kept = await get(server, made["id"])

    assert services.generations[0].closed.is_set()
    assert first.json() == second.json() == kept
    assert (kept["status"], kept["output"][0]["status"]) == ("cancelled", "incomplete")


async def test_only_what_is_in_the_background_can_be_cancelled(home: Path) -> None:
    services = scripted(Piece(text="Hel"), asyncio.Event())
    async with responding(services) as server:
        reading = asyncio.create_task(events_of(server, json={**BODY, "stream": True}))
        await until(lambda: bool(services.generations) and services.generations[0].waiting.is_set())
        (response_id,) = ids_in(home)
        answer = await server.ask("POST", f"{URL}/{response_id}/cancel")
        reading.cancel()
        await asyncio.wait([reading])

    assert (answer.status_code, error_of(answer)["param"]) == (400, "response_id")


async def test_deleting_one_ends_it() -> None:
    services = scripted(Piece(text="Hel"), asyncio.Event())
    async with responding(services) as server:
        made = (await make(server, background=True)).json()
        deleted = await server.ask("DELETE", f"{URL}/{made['id']}")
        gone = await server.ask("GET", f"{URL}/{made['id']}")

    assert services.generations[0].closed.is_set()
    assert (deleted.status_code, gone.status_code) == (200, 404)


async def test_its_stream_can_be_left_and_taken_up_again_anywhere() -> None:
    more = asyncio.Event()
    services = scripted(Piece(text="Hel"), more, Piece(text="lo"), END)
    async with responding(services) as server:
        body = {**BODY, "background": True, "stream": True}
        async with server.client() as client, client.stream("POST", URL, json=body) as answer:
            chunk = await anext(answer.aiter_text())
        response_id = chunk.partition('"id":"')[2].partition('"')[0]
        following = asyncio.create_task(
            events_of(server, "GET", f"{URL}/{response_id}", params={"stream": "true", "starting_after": "3"})
        )
        more.set()
        rest = await following
        whole = await events_of(server, "GET", f"{URL}/{response_id}?stream=true")
        nothing = await events_of(server, "GET", f"{URL}/{response_id}?stream=true&starting_after=99")

    assert types_of(whole) == [
        "created",
        "queued",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        *TEXT_DONE,
        "completed",
    ]
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert rest == whole[4:]
    assert nothing == []


async def test_events_of_ended_responses_are_kept_within_their_bound() -> None:
    async with responding(scripted(Piece(text="x" * 3000), END), config={"replay_bytes": 45_000}) as server:
        made = [(await make(server, background=True)).json()["id"] for _ in range(4)]
        for response_id in made:
            await ended(server, response_id)
        answers = [await server.ask("GET", f"{URL}/{response_id}?stream=true") for response_id in made]

    assert [answer.status_code for answer in answers] == [400, 400, 200, 200]


async def test_too_many_at_once_are_refused_until_there_is_room() -> None:
    services = scripted(asyncio.Event())
    async with responding(services, config={"max_background": 1}) as server:
        first = (await make(server, background=True)).json()
        refused = await make(server, background=True)
        await server.ask("POST", f"{URL}/{first['id']}/cancel")
        after = await make(server, background=True)

    assert (refused.status_code, error_of(refused)["code"]) == (429, "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) > 0
    assert after.status_code == 200


async def test_a_server_that_stops_leaves_it_failed() -> None:
    async with responding(scripted(Piece(text="Hel"), asyncio.Event())) as server:
        made = (await make(server, background=True)).json()

    async with responding() as server:
        kept = await get(server, made["id"])

    assert (kept["status"], kept["error"]["code"]) == ("failed", "server_error")
    assert kept["output"][0]["content"][0]["text"] == "Hel"


async def test_a_conversation_cannot_go_on_from_what_is_still_being_made() -> None:
    async with responding(scripted(asyncio.Event())) as server:
        made = (await make(server, background=True)).json()
        answer = await make(server, previous_response_id=made["id"])

    assert (answer.status_code, error_of(answer)["param"]) == (400, "previous_response_id")
