"""`X-Timeout` holds for a whole answer: its rounds and the searches between them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from file_search_support import ASKED, calls, services
from http_support import Served, Step, error_of, said
from lmx_hookspecs import Piece
from lmx_hookspecs.errors import TimedOut
from lmx_hookspecs.queries import Retrieval, RetrieveRequest
from responses_support import URL, all_bytes, events_of, responding, types_of
from vector_store_support import MemoryRetrieval, RetrievingServices

LIMIT = {"X-Timeout": "10"}
STRICT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@define(eq=False)
class SlowLibrary(MemoryRetrieval):
    """Each search takes its time, on the clock of the test."""

    takes_s: float = 0.0
    now_s: float = 100.0

    async def retrieve(self, request: RetrieveRequest) -> Retrieval:
        self.now_s += self.takes_s
        return await MemoryRetrieval.retrieve(self, request)


def slow(monkeypatch: pytest.MonkeyPatch, takes_s: float, *rounds: Sequence[Step]) -> RetrievingServices:
    fake = services(*rounds)
    library = SlowLibrary(store=fake.retrieval.store, takes_s=takes_s)
    fake.retrieval = library
    monkeypatch.setattr("lmx_responses.searching.monotonic", lambda: library.now_s)
    return fake


async def kept(server: Served, response: dict[str, Any]) -> dict[str, Any]:
    answer = await server.ask("GET", f"{URL}/{response['id']}")
    told: dict[str, Any] = answer.json()
    return told


async def test_what_the_searches_take_is_not_there_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    both = calls({"queries": ["port"]}, {"queries": ["models"]})
    fake = slow(monkeypatch, 3.0, both, said("1234"))
    async with responding(fake) as server:
        answer = await server.ask("POST", URL, json=ASKED, headers=LIMIT)

    assert answer.status_code == 200, answer.text
    assert [request.timeout_s for request in fake.asked] == [10, 4]
    assert [query.timeout_s for query in fake.retrieval.queries] == [10, 7]


async def test_a_stream_whose_time_is_up_after_a_search_ends_as_failed_and_is_kept_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = slow(monkeypatch, 11.0, calls({"queries": ["port"]}, text="Let me look. "), said("never"))
    async with responding(fake) as server:
        events = await events_of(server, json={**ASKED, "stream": True}, headers=LIMIT)
        stored = await kept(server, events[0]["response"])

    for event in events:
        STRICT.validate_json(json.dumps(event), strict=True)
    assert [event["sequence_number"] for event in events] == [*range(len(events))]
    types = types_of(events)
    assert types[-1] == "failed"
    assert types.count("output_item.added") == types.count("output_item.done") == 2, "no item is left open"
    assert types.index("file_search_call.completed") < types.index("failed")
    last = events[-1]["response"]
    assert (last["status"], last["error"]["code"]) == ("failed", "server_error")
    assert "X-Timeout" in last["error"]["message"]
    assert stored == last
    assert [(item["type"], item["status"]) for item in stored["output"]] == [
        ("message", "completed"),
        ("file_search_call", "completed"),
    ]
    assert len(fake.asked) == 1
    assert fake.generations[0].closed.is_set()


async def test_a_stream_whose_time_is_up_in_the_next_round_keeps_what_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut: list[Step] = [Piece(text="On 12"), TimedOut("the time limit has passed; raise X-Timeout")]
    fake = slow(monkeypatch, 1.0, calls({"queries": ["port"]}), cut)
    async with responding(fake) as server:
        events = await events_of(server, json={**ASKED, "stream": True}, headers=LIMIT)
        stored = await kept(server, events[0]["response"])

    assert types_of(events)[-1] == "failed"
    search, message = stored["output"]
    assert (search["status"], message["status"], message["content"][0]["text"]) == ("completed", "incomplete", "On 12")
    assert stored == events[-1]["response"]


async def test_a_whole_answer_whose_time_is_up_is_a_504_and_nothing_of_it_is_kept(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    fake = slow(monkeypatch, 11.0, calls({"queries": ["port"]}, text="Let me look. "), said("never"))
    async with responding(fake) as server:
        answer = await server.ask("POST", URL, json=ASKED, headers=LIMIT)

    assert (answer.status_code, error_of(answer)["code"]) == (504, "timeout")
    assert b"Let me look." not in all_bytes(home)


async def test_one_in_the_background_is_kept_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = slow(monkeypatch, 11.0, calls({"queries": ["port"]}), said("never"))
    async with responding(fake) as server:
        path, body = URL, {**ASKED, "background": True, "stream": True}
        events = await events_of(server, path=path, json=body, headers=LIMIT)
        stored = await kept(server, events[0]["response"])

    assert types_of(events)[-1] == "failed"
    assert stored["status"] == "failed"
