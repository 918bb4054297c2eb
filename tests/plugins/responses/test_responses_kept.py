"""Conversations that go on, pages of input items, deletion, and what belongs to whom."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from http_support import FakeServices, error_of, until
from lmx.config.schema import Security
from lmx_hookspecs import Message
from responses_support import BODY, URL, all_bytes, make, responding

KEYS = ("a-key-of-alice-0123456789", "a-key-of-bob-0123456789abc")


def contents(told: FakeServices, request: int) -> list[Any]:
    """Of the messages of that request."""
    return [message.content for message in told.asked[request].messages or ()]


async def test_a_conversation_goes_on_from_a_response_without_its_instructions() -> None:
    told = FakeServices()
    async with responding(told) as server:
        first = (await make(server, input="one", instructions="Be brief.")).json()
        second = (await make(server, input="two", previous_response_id=first["id"])).json()
        await make(server, input="three", previous_response_id=second["id"])

    assert told.asked[2].messages == [
        Message(role="user", content="one"),
        Message(role="assistant", content="Hello world"),
        Message(role="user", content="two"),
        Message(role="assistant", content="Hello world"),
        Message(role="user", content="three"),
    ]
    assert second["previous_response_id"] == first["id"]


async def test_a_conversation_outlives_the_deletion_of_its_beginning() -> None:
    told = FakeServices()
    async with responding(told) as server:
        first = (await make(server, input="one")).json()
        second = (await make(server, input="two", previous_response_id=first["id"])).json()
        deleted = await server.ask("DELETE", f"{URL}/{first['id']}")
        again = await server.ask("DELETE", f"{URL}/{first['id']}")
        third = await make(server, input="three", previous_response_id=second["id"])
        gone = await make(server, input="x", previous_response_id=first["id"])

    assert deleted.json() == {"id": first["id"], "object": "response", "deleted": True}
    assert again.status_code == 404
    assert third.status_code == 200
    assert contents(told, 2)[0] == "one"
    assert error_of(gone)["code"] == "previous_response_not_found"


async def test_a_reference_stands_for_the_item_itself() -> None:
    told = FakeServices()
    async with responding(told) as server:
        first = (await make(server)).json()
        reference = {"type": "item_reference", "id": first["output"][0]["id"]}
        answer = await make(server, input=[reference, {"role": "user", "content": "more"}])

    assert answer.status_code == 200
    assert contents(told, 1) == ["Hello world", "more"]


async def test_nothing_is_kept_of_a_response_that_is_not_to_be_stored(home: Path) -> None:
    async with responding() as server:
        answer = (await make(server, store=False)).json()
        asked = await server.ask("GET", f"{URL}/{answer['id']}")

    assert answer["store"] is False
    assert error_of(asked)["param"] == "response_id"
    assert asked.status_code == 404
    assert b"Hello world" not in all_bytes(home)


@pytest.mark.parametrize(
    ("config", "statuses"),
    [({}, [200, 200]), ({"max_responses": 1}, [404, 200]), ({"ttl_s": 1e-9}, [404, 404])],
)
async def test_the_configuration_bounds_what_is_kept(config: dict[str, Any], statuses: list[int]) -> None:
    async with responding(config=config) as server:
        made = [(await make(server)).json()["id"] for _ in range(2)]
        asked = [await server.ask("GET", f"{URL}/{response_id}") for response_id in made]

    assert [answer.status_code for answer in asked] == statuses


async def test_a_conversation_larger_than_all_that_may_be_kept_is_refused_unless_it_is_not_stored() -> None:
    told = FakeServices()
    async with responding(told, config={"max_bytes": 65_536}) as server:
        refused = await make(server, input="x" * 70_000)
        loose = await make(server, input="x" * 70_000, store=False)

    assert (refused.status_code, error_of(refused)["param"]) == (400, "input")
    assert loose.status_code == 200
    assert told.generations[0].closed.is_set()


async def test_input_items_come_in_pages_the_newest_first() -> None:
    async with responding() as server:
        made = (await make(server, input=[{"role": "user", "content": str(n)} for n in range(5)])).json()
        path = f"{URL}/{made['id']}/input_items"
        page = (await server.ask("GET", path, params={"limit": "2"})).json()
        rest = (await server.ask("GET", path, params={"limit": "3", "after": page["last_id"]})).json()
        ascending = (await server.ask("GET", path, params={"order": "asc"})).json()

    def texts(listed: Any) -> list[str]:
        return [item["content"][0]["text"] for item in listed["data"]]

    assert (texts(page), page["has_more"]) == (["4", "3"], True)
    assert (texts(rest), rest["has_more"]) == (["2", "1", "0"], False)
    assert texts(ascending) == ["0", "1", "2", "3", "4"]
    assert (ascending["first_id"], ascending["last_id"]) == (ascending["data"][0]["id"], ascending["data"][4]["id"])


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/input_items?limit=0", "limit"),
        ("/input_items?limit=101", "limit"),
        ("/input_items?limit=x", "limit"),
        ("/input_items?order=up", "order"),
        ("/input_items?after=msg_none", "after"),
        ("/input_items?before=x", "before"),
        ("?starting_after=1", "starting_after"),
        ("?stream=1", "stream"),
        ("?stream=true", "stream"),
        ("?include[]=everything", "include"),
    ],
)
async def test_bad_query_parameters_are_refused_by_name(path: str, param: str) -> None:
    async with responding() as server:
        made = (await make(server)).json()
        answer = await server.ask("GET", f"{URL}/{made['id']}{path}")

    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


async def test_another_key_s_response_does_not_exist() -> None:
    alice, bob = ({"Authorization": f"Bearer {key}"} for key in KEYS)
    async with responding(security=Security(api_keys=KEYS)) as server:
        made = (await server.ask("POST", URL, json=BODY, headers=alice)).json()
        one = f"{URL}/{made['id']}"
        reference = [{"type": "item_reference", "id": made["output"][0]["id"]}]
        refused = [
            await server.ask("GET", one, headers=bob),
            await server.ask("GET", f"{one}/input_items", headers=bob),
            await server.ask("GET", f"{one}?stream=true", headers=bob),
            await server.ask("POST", f"{one}/cancel", headers=bob),
            await server.ask("DELETE", one, headers=bob),
        ]
        linked = await server.ask("POST", URL, json={**BODY, "previous_response_id": made["id"]}, headers=bob)
        referred = await server.ask("POST", URL, json={**BODY, "input": reference}, headers=bob)
        mine = await server.ask("GET", one, headers=alice)
        nobody = await server.ask("GET", one)

    assert [answer.status_code for answer in refused] == [404] * 5
    assert (linked.status_code, referred.status_code) == (400, 400)
    assert (mine.status_code, nobody.status_code) == (200, 401)


async def test_a_client_that_goes_away_ends_a_whole_answer_too() -> None:
    told = FakeServices(script=lambda _: [asyncio.Event()])
    async with responding(told) as server:
        asking = asyncio.create_task(make(server))
        await until(lambda: bool(told.generations) and told.generations[0].waiting.is_set())
        asking.cancel()
        await asyncio.wait_for(told.generations[0].closed.wait(), 20)

    assert asking.cancelled() or asking.cancelling()
