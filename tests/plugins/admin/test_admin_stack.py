from admin_support import StandIns
from http_support import Served, error_of


async def test_the_stack_shows_roles_models_and_what_every_part_says_of_itself(server: Served) -> None:
    answer = (await server.ask("GET", "/admin/stack")).json()

    assert answer == {
        "roles": {
            "code": {"preferences": ["gone", "org/big"], "resolved_model": "org/big", "loaded": True},
            "chat": {"preferences": ["small"], "resolved_model": "small", "loaded": False},
            "none": {"preferences": ["gone"], "resolved_model": None, "loaded": False},
        },
        "helper_nodes": {},
        "loaded_models": ["org/big"],
        "default_model": "org/big",
        "backends": {},
        "stack_presets": {"day": {"description": "for work", "roles": {"chat": "small"}}},
        "active_stack": None,
        "uptime_seconds": 12.5,
        "scheduler": {"waiting": 0},
    }


async def test_a_stack_is_activated(server: Served) -> None:
    answer = await server.ask("POST", "/admin/stack/activate", json={"name": "day"})
    after = (await server.ask("GET", "/admin/stack")).json()

    assert answer.json() == {"success": True, "name": "day", "roles": {"chat": "small"}}
    assert after["active_stack"] == "day"


async def test_an_unknown_stack_is_not_found(server: Served) -> None:
    answer = await server.ask("POST", "/admin/stack/activate", json={"name": "night"})

    assert (answer.status_code, error_of(answer)["code"]) == (404, "stack_not_found")


async def test_the_predictor_tells_its_counts(server: Served, services: StandIns) -> None:
    before = (await server.ask("GET", "/admin/predictor")).json()
    services.described["predictor"] = {
        "total_accesses": 3,
        "unique_models": 1,
        "history_size": 3,
        "top_models": [["small", 3]],
        "transition_count": 0,
        "predicted_next": "small",
    }
    after = (await server.ask("GET", "/admin/predictor")).json()

    assert before == {
        "total_accesses": 0,
        "unique_models": 0,
        "history_size": 0,
        "top_models": [],
        "transition_count": 0,
        "predicted_next": None,
    }
    assert after == services.described["predictor"]


async def test_the_stack_shows_nodes_as_they_describe_themselves(server: Served, services: StandIns) -> None:
    services.described["model_sources"] = {"remote.remote": {"backends": {"box": {"gpu": "A6000", "targets": ["b/m"]}}}}

    answer = (await server.ask("GET", "/admin/stack")).json()

    assert answer["backends"] == {"box": {"gpu": "A6000", "targets": ["b/m"], "circuit_state": "closed"}}


async def test_presets_are_listed_with_the_files_that_are_none(server: Served) -> None:
    answer = (await server.ask("GET", "/admin/presets")).json()

    assert answer == {
        "presets": [
            {
                "name": "code",
                "description": "",
                "model": "org/big",
                "parameters": {"temperature": 0.1},
                "system_prompt": None,
                "routing_alias": None,
                "auto_load": False,
                "performance": {"kv_bits": 8},
                "chat_template": None,
            }
        ],
        "count": 1,
        "skipped": {"bad.yaml": "it has no name"},
    }


async def test_one_preset_is_shown(server: Served) -> None:
    shown = await server.ask("GET", "/admin/presets/code")
    unknown = await server.ask("GET", "/admin/presets/none")

    assert shown.json()["model"] == "org/big"
    assert unknown.status_code == 404
    assert error_of(unknown)["code"] == "model_not_found"
    assert "preset:none" in error_of(unknown)["message"]


async def test_presets_are_read_again(server: Served) -> None:
    answer = await server.ask("POST", "/admin/presets/reload")

    assert answer.json() == {"success": True, "presets_loaded": 2, "skipped": {"bad.yaml": "it has no name"}}
