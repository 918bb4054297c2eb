import pytest
from attrs import evolve

from admin_models_support import LOADED
from admin_support import StandIns
from http_support import Served, error_of


async def test_the_list_has_loaded_models_and_all_of_them(server: Served) -> None:
    answer = (await server.ask("GET", "/admin/models")).json()

    assert answer["count"] == 1
    assert answer["loaded"] == [
        {
            "id": "org/big",
            "loaded": True,
            "memory_gb": 2.5,
            "loaded_at": 1000.0,
            "use_batching": True,
            "request_count": 7,
            "last_used_at": 2000.0,
            "context_length": 8192,
            "performance": {"kv_bits": 8},
            "pinned": False,
            "keep_alive_sec": None,
        }
    ]
    assert [(model["id"], model["state"], model["reason"]) for model in answer["models"]] == [
        ("org/big", "ready", None),
        ("small", "no_engine", "no engine opens it"),
    ]


async def test_one_model_is_shown_with_everything_that_is_known(server: Served) -> None:
    answer = (await server.ask("GET", "/admin/models/org/big")).json()

    assert answer["capabilities"] == ["batching", "chat"]
    assert (answer["memory_bytes"], answer["in_flight"], answer["pinned"]) == (2_500_000_000, 2, False)
    assert (answer["cache"], answer["speculative"]) == ({"hits": 3, "misses": 1}, None)
    assert (answer["adapter"], answer["draft"]) == (None, None)


async def test_a_model_with_an_adapter_is_no_further_model_on_disk(server: Served, services: StandIns) -> None:
    with_adapter = evolve(LOADED, info=evolve(LOADED.info, id="org/big:french", adapter=LOADED.info.path))
    services.models.statuses["org/big:french"] = with_adapter

    available = (await server.ask("GET", "/admin/models/available")).json()
    shown = (await server.ask("GET", "/admin/models/org/big:french")).json()

    assert [model["repo_id"] for model in available] == ["org/big"]
    assert shown["adapter"] == "/models/org/big"


async def test_what_is_available_is_every_model_on_disk(server: Served) -> None:
    answer = await server.ask("GET", "/admin/models/available")

    assert answer.json() == [
        {
            "repo_id": "org/big",
            "local_path": "/models/org/big",
            "size_bytes": 4_000,
            "downloaded_at": 1_700_000_000.0,
        }
    ]


async def test_performance_tells_the_model_s_own_settings_from_those_of_all(server: Served) -> None:
    answer = (await server.ask("GET", "/admin/models/org/big/performance")).json()

    assert (answer["model_id"], answer["backend_type"], answer["memory_gb"]) == ("org/big", "mlx", 2.5)
    assert answer["performance"] == {"kv_bits": 8}
    assert answer["settings"] == {"mode": "batch", "kv_bits": 8}
    assert answer["global_defaults"] == {
        "kv_bits": 8,
        "kv_group_size": 64,
        "prefix_cache_enabled": True,
        "speculative_model": None,
        "speculative_num_tokens": None,
        "warmup_on_load": True,
        "stream_interval": None,
        "scheduler": {
            "max_num_seqs": 4,
            "prefill_batch_size": 8,
            "completion_batch_size": 32,
            "cache_memory_percent": None,
        },
        "max_concurrent_requests": 4,
    }


@pytest.mark.parametrize("escaped", ["org/big", "org%2Fbig", "%6Frg/big"])
@pytest.mark.parametrize("rest", ["", "/performance"])
async def test_an_id_may_be_percent_encoded(server: Served, escaped: str, rest: str) -> None:
    answer = await server.ask("GET", f"/admin/models/{escaped}{rest}")

    assert answer.status_code == 200


@pytest.mark.parametrize("rest", ["", "/performance"])
async def test_an_unknown_model_is_not_found(server: Served, rest: str) -> None:
    answer = await server.ask("GET", f"/admin/models/org/none{rest}")

    assert answer.status_code == 404
    assert (error_of(answer)["code"], error_of(answer)["param"]) == ("model_not_found", "model_id")


@pytest.mark.parametrize(
    ("method", "body", "pinned"),
    [
        ("POST", None, True),
        ("POST", {"pinned": True}, True),
        ("POST", {"pinned": False}, False),
        ("DELETE", None, False),
    ],
)
async def test_a_model_is_pinned_and_let_go(
    server: Served, services: StandIns, method: str, body: dict[str, bool] | None, *, pinned: bool
) -> None:
    services.models.statuses["org/big"] = evolve(LOADED, pinned=not pinned)

    answer = await server.ask(method, "/admin/models/org/big/pin", **({"json": body} if body else {}))

    assert answer.json() == {"success": True, "model_id": "org/big", "pinned": pinned}
    assert services.models.statuses["org/big"].pinned is pinned


async def test_pinning_what_is_not_there_is_not_found(server: Served) -> None:
    answer = await server.ask("POST", "/admin/models/none/pin")

    assert (answer.status_code, error_of(answer)["param"]) == (404, "model_id")


async def test_deleting_a_model_tells_the_bytes_that_came_back(server: Served, services: StandIns) -> None:
    answer = await server.ask("DELETE", "/admin/models/small")

    assert answer.json() == {"success": True, "model_id": "small", "freed_bytes": 123}
    assert "small" not in services.models.statuses


async def test_a_loaded_model_is_not_deleted(server: Served) -> None:
    answer = await server.ask("DELETE", "/admin/models/org/big")

    assert answer.status_code == 409
    assert {"code": "model_in_use", "type": "conflict", "param": "model_id"}.items() <= error_of(answer).items()


@pytest.mark.parametrize(
    "path",
    [
        "%2e%2e/secret",
        "org/%2e%2e/secret",
        "org%2f..%2fsecret",
        "%2e%2e%2f%2e%2e%2fsecret",
        "%252e%252e/secret",
        "%2Fetc/passwd",
        "/etc/passwd",
        "~root",
        "org/",
        "a%00b",
        "a%5Cb",
    ],
)
async def test_an_id_that_could_leave_the_model_folders_is_refused(server: Served, path: str) -> None:
    answer = await server.ask("DELETE", f"/admin/models/{path}")

    assert answer.status_code == 400
    assert error_of(answer)["param"] == "model_id"


async def test_an_unknown_model_cannot_be_deleted(server: Served) -> None:
    answer = await server.ask("DELETE", "/admin/models/org/none")

    assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")
