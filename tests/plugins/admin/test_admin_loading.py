from typing import Any

import pytest
from attrs import evolve

from admin_models_support import GB, ON_DISK
from admin_support import StandIns
from http_support import Served, error_of
from lmx_admin.loading import is_repository
from lmx_hookspecs import DownloadRequest, LoadOptions, ModelState
from lmx_hookspecs.errors import InsufficientMemory, Unavailable, UnsupportedParameter

LOAD = "/admin/models/load"
UNLOAD = "/admin/models/unload"


async def test_a_load_answers_with_the_memory_and_the_time_that_it_took(server: Served) -> None:
    answer = (await server.ask("POST", LOAD, json={"model_id": "small"})).json()

    assert (answer["success"], answer["model_id"], answer["memory_after_load_gb"]) == (True, "small", 1.0)
    assert answer["time_to_load_ms"] >= 0


async def test_what_a_load_is_asked_for_reaches_the_life_cycle(server: Served, services: StandIns) -> None:
    asked = {
        "model_id": "small",
        "max_context_length": 2048,
        "performance_overrides": {"kv_bits": 4},
        "keep_alive_sec": 0,
        "pinned": True,
    }

    answer = await server.ask("POST", LOAD, json=asked)

    assert answer.status_code == 200
    assert services.models.asked == [
        ("small", LoadOptions(keep_alive_s=0.0, pinned=True, performance={"kv_bits": 4}, context_length=2048))
    ]


async def test_loading_what_is_loaded_says_so_with_nulls_and_takes_the_options(
    server: Served, services: StandIns
) -> None:
    answer = await server.ask("POST", LOAD, json={"model_id": "org/big", "keep_alive_sec": 60})

    assert answer.json() == {
        "success": True,
        "model_id": "org/big",
        "memory_after_load_gb": None,
        "time_to_load_ms": None,
    }
    assert services.models.asked == [("org/big", LoadOptions(keep_alive_s=60.0))]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model_id"),
        ({"model_id": ""}, "model_id"),
        ({"model_id": "small", "keep_alive_sec": -1}, "keep_alive_sec"),
        ({"model_id": "small", "max_context_length": 0}, "max_context_length"),
        ({"model_id": "small", "performance_overrides": [1]}, "performance_overrides"),
        ({"model_id": "small", "keepalive_sec": 1}, "keepalive_sec"),
    ],
)
async def test_a_field_that_is_wrong_is_named(server: Served, body: dict[str, Any], param: str) -> None:
    answer = await server.ask("POST", LOAD, json=body)

    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


async def test_a_model_that_does_not_fit_is_refused_with_the_numbers(server: Served, services: StandIns) -> None:
    shared = InsufficientMemory("small needs 9 GB, and 3 GB are free", param="model")
    services.models.failure = shared

    answer = await server.ask("POST", LOAD, json={"model_id": "small"})

    assert answer.status_code == 507
    assert error_of(answer)["message"] == "small needs 9 GB, and 3 GB are free"
    assert (error_of(answer)["code"], error_of(answer)["param"]) == ("insufficient_memory", "model_id")
    assert shared.param == "model"  # others wait for the same load, and are given the same error


@pytest.mark.parametrize(
    ("overrides", "param"),
    [({"kv_bits": 8, "kv_group_size": 7}, "performance_overrides.kv_group_size"), ({"kv_bits": 8}, "kv_group_size")],
)
async def test_an_override_that_the_engine_refuses_is_named_where_it_was_sent(
    server: Served, services: StandIns, overrides: dict[str, Any], param: str
) -> None:
    services.models.failure = UnsupportedParameter("kv_group_size is 7", param="kv_group_size")

    answer = await server.ask("POST", LOAD, json={"model_id": "small", "performance_overrides": overrides})

    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


async def test_a_model_that_a_hub_may_have_is_offered_for_download(server: Served) -> None:
    answer = await server.ask("POST", LOAD, json={"model_id": "org/new"})

    assert answer.status_code == 202
    assert answer.json() == {
        "status": "download_required",
        "model_id": "org/new",
        "confirmation_token": "dl-1",
        "confirm_url": "/admin/models/load/confirm",
        "estimated_size_bytes": 3072,
        "estimated_size_human": "3.0 KB",
        "expires_sec": 600.0,
        "message": "Model not found locally. Confirm download?",
    }


async def test_a_confirmed_download_loads_the_model_as_it_was_asked_for(server: Served, services: StandIns) -> None:
    await server.ask("POST", LOAD, json={"model_id": "org/new", "keep_alive_sec": 5, "pinned": False})

    answer = await server.ask("POST", "/admin/models/load/confirm", json={"confirmation_token": "dl-1"})
    again = await server.ask("POST", "/admin/models/load/confirm", json={"confirmation_token": "dl-1"})

    assert answer.status_code == 202
    assert answer.json()["status"] == "downloading"
    assert (await server.ask("GET", answer.json()["progress_url"])).status_code == 200
    assert services.downloads.asked == [
        (DownloadRequest(repo_id="org/new"), LoadOptions(keep_alive_s=5.0, pinned=False))
    ]
    assert (again.status_code, error_of(again)["code"]) == (404, "token_not_found")


async def test_auto_download_asks_nobody(server: Served, services: StandIns) -> None:
    answer = await server.ask("POST", LOAD, json={"model_id": "org/new", "auto_download": True})

    assert answer.status_code == 202
    assert answer.json()["status"] == "downloading"
    assert (answer.json()["download_id"], answer.json()["joined"]) == ("d1", False)
    assert "auto-load" in answer.json()["message"]
    assert services.downloads.asked == [(DownloadRequest(repo_id="org/new"), LoadOptions())]


@pytest.mark.parametrize("known", [True, False])
async def test_a_model_that_is_on_its_way_needs_no_second_yes(
    server: Served, services: StandIns, *, known: bool
) -> None:
    await server.ask("POST", "/admin/models/download", json={"repo_id": "org/new"})
    if known:
        services.models.statuses["org/new"] = evolve(ON_DISK, state=ModelState.DOWNLOADING)

    answer = await server.ask("POST", LOAD, json={"model_id": "org/new"})

    assert (answer.status_code, answer.json()["status"], answer.json()["joined"]) == (202, "downloading", True)
    assert services.downloads.asked[-1] == (DownloadRequest(repo_id="org/new"), LoadOptions())


async def test_what_the_hub_says_is_passed_on(server: Served, services: StandIns) -> None:
    services.downloads.failure = Unavailable("the hub cannot be reached", code="hub_unreachable")

    answer = await server.ask("POST", LOAD, json={"model_id": "org/new"})

    assert (answer.status_code, error_of(answer)["code"]) == (503, "hub_unreachable")


async def test_an_id_that_no_hub_can_have_is_not_found(server: Served) -> None:
    answer = await server.ask("POST", LOAD, json={"model_id": "nothing"})

    assert (answer.status_code, error_of(answer)["code"], error_of(answer)["param"]) == (
        404,
        "model_not_found",
        "model_id",
    )


@pytest.mark.parametrize(
    ("model_id", "possible"),
    [
        ("org/name", True),
        ("mlx-community/Qwen3-0.6B-4bit", True),
        ("name", False),
        ("a/b/c", False),
        ("../b", False),
        ("a/..", False),
        ("a/b..c", False),
        ("a/b--c", False),
        ("a/b c", False),
        ("a/ä", False),
        ("a/", False),
        ("preset:a/b", False),
        ("a/" + "b" * 97, False),
    ],
)
def test_repositories_are_told_by_their_name(model_id: str, *, possible: bool) -> None:
    assert is_repository(model_id) is possible


async def test_an_unload_answers_with_what_came_back(server: Served) -> None:
    answer = await server.ask("POST", UNLOAD, json={"model_id": "org/big"})

    assert answer.json() == {"success": True, "model_id": "org/big", "memory_freed_gb": 2_500_000_000 / GB}


async def test_unloading_what_is_unknown_is_not_found(server: Served) -> None:
    answer = await server.ask("POST", UNLOAD, json={"model_id": "none"})

    assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")
