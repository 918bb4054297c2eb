from admin_support import StandIns
from http_support import Served, error_of
from lmx_hookspecs import ReloadReport
from lmx_hookspecs.errors import ConfigError


async def test_the_configuration_is_shown_with_its_origins(server: Served) -> None:
    answer = await server.ask("GET", "/admin/config")

    assert answer.json() == {
        "config": {"security": {"admin_key": "********"}},
        "origins": {"security.admin_key": "00-server.yaml:3"},
    }


async def test_a_reload_tells_what_is_in_force_now_and_what_needs_a_restart(server: Served, services: StandIns) -> None:
    services.reloaded = ReloadReport(
        changed=["memory.max_memory_percent", "routing.aliases", "routing.default_model"],
        needs_restart=["server.port"],
    )

    answer = await server.ask("POST", "/admin/config/reload")

    assert answer.json() == {
        "success": True,
        "updated": ["memory", "routing"],
        "changed": ["memory.max_memory_percent", "routing.aliases", "routing.default_model"],
        "needs_restart": ["server.port"],
    }


async def test_a_broken_configuration_is_told_with_every_problem(server: Served, services: StandIns) -> None:
    services.reloaded = ConfigError("50-mine.yaml:3: memory.max_memory_percent must be between 50 and 99")

    answer = await server.ask("POST", "/admin/config/reload")

    assert (answer.status_code, error_of(answer)["code"]) == (500, "invalid_config")
    assert "50-mine.yaml:3" in error_of(answer)["message"]
