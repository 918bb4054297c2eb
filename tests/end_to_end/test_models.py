"""Models under a budget, over a real socket and with real workers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import Server, served

FIRST, SECOND = "echo-process", "echo-tokens"
ALL_THREE = (FIRST, SECOND, "echo")
ROOM_FOR_ONE: dict[str, Any] = {
    "plugins": {"echo": {"enabled": True}},
    "models": {"memory_budget_gb": 0.15, "warmup_on_load": False},
}
"""Each of the two reserves the 0.1 GB of its worker."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with served(tmp_path, ROOM_FOR_ONE) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as made:
        yield made


def load(client: httpx.Client, model_id: str, **options: Any) -> httpx.Response:
    return client.post("/admin/models/load", json={"model_id": model_id, **options})


def chat(client: httpx.Client, model_id: str) -> httpx.Response:
    messages = [{"role": "user", "content": "hello"}]
    return client.post("/v1/chat/completions", json={"model": model_id, "messages": messages})


def states(client: httpx.Client) -> dict[str, str]:
    return {model["id"]: model["state"] for model in client.get("/admin/models").json()["models"]}


def test_an_idle_model_makes_room_for_another_one(client: httpx.Client) -> None:
    first = load(client, FIRST)
    second = load(client, SECOND)
    after = states(client)

    assert (first.status_code, second.status_code) == (200, 200)
    assert (after[FIRST], after[SECOND]) == ("on_disk", "ready")


def test_a_request_makes_room_too(client: httpx.Client) -> None:
    load(client, FIRST)

    answer = chat(client, SECOND)

    assert (answer.status_code, answer.json()["model"]) == (200, SECOND)
    assert states(client)[FIRST] == "on_disk"


def test_a_pinned_model_stays_and_the_refusal_holds_the_arithmetic(client: httpx.Client) -> None:
    load(client, FIRST, pinned=True)

    refused = load(client, SECOND)
    memory = client.get("/admin/memory").json()

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (507, "insufficient_memory")
    assert "0.15 GB" in error["message"]
    assert FIRST in error["message"]
    assert states(client)[FIRST] == "ready"
    assert [holding["name"] for holding in memory["holdings"]] == [FIRST]


def test_of_two_models_that_race_for_the_last_space_exactly_one_is_loaded(client: httpx.Client) -> None:
    with ThreadPoolExecutor(2) as callers:
        answers = list(callers.map(lambda model_id: load(client, model_id, pinned=True), (FIRST, SECOND)))

    assert sorted(answer.status_code for answer in answers) == [200, 507]
    assert sorted(state for state in states(client).values() if state == "ready") == ["ready"]


def test_of_three_cold_models_that_are_asked_for_at_once_the_one_without_room_waits(tmp_path: Path) -> None:
    entry = {"memory_estimate_gb": 0.4, "echo": {"tokens_per_second": 10}}
    models = {"memory_budget_gb": 1.0, "settings": dict.fromkeys(ALL_THREE, entry)}
    with (
        served(tmp_path, {**ROOM_FOR_ONE, "models": models}) as server,
        server.client() as client,
        ThreadPoolExecutor(3) as callers,
    ):
        answers = list(callers.map(lambda model_id: chat(client, model_id), ALL_THREE))
        held_gb = client.get("/admin/memory").json()["held_gb"]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert held_gb <= 1.0


def test_ten_callers_load_a_model_once(server: Server, client: httpx.Client) -> None:
    with ThreadPoolExecutor(10) as callers:
        answers = list(callers.map(lambda _: load(client, FIRST), range(10)))

    assert {answer.status_code for answer in answers} == {200}
    assert len([line for line in server.events if line["event"] == "model_ready"]) == 1


def test_a_model_that_nobody_uses_is_unloaded_after_its_keep_alive(server: Server, client: httpx.Client) -> None:
    load(client, FIRST, keep_alive_sec=1)

    server.wait_for("model_unloaded", model=FIRST)

    assert states(client)[FIRST] == "on_disk"


def test_zero_keeps_a_model_for_ever_and_a_negative_keep_alive_is_refused(client: httpx.Client) -> None:
    refused = load(client, FIRST, keep_alive_sec=-1)
    load(client, FIRST, keep_alive_sec=0)

    told = {model["id"]: model for model in client.get("/admin/models").json()["models"]}[FIRST]
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "keep_alive_sec")
    assert (told["state"], told["keep_alive_sec"]) == ("ready", 0)


@pytest.mark.parametrize("model_id", ["../secret", "a/../../b", "/etc/passwd"])
def test_an_id_that_leads_elsewhere_is_refused_as_json(client: httpx.Client, model_id: str) -> None:
    answer = load(client, model_id)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "model_id"


def test_what_is_loaded_cannot_be_deleted_and_what_is_unknown_is_404(client: httpx.Client) -> None:
    load(client, FIRST)

    in_use = client.delete(f"/admin/models/{FIRST}")
    unknown = client.delete("/admin/models/nothing")
    outside = client.delete("/admin/models/a/%2e%2e/%2e%2e/b")

    assert (in_use.status_code, in_use.json()["error"]["code"]) == (409, "model_in_use")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert outside.status_code == 400
