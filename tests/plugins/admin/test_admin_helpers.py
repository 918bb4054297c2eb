"""GET /admin/helpers."""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import define

from admin_support import StandInHealth, StandIns
from http_support import Served
from lmx_hookspecs import Health


@define(eq=False)
class LookingHealth(StandInHealth):
    """Its checks change what is known."""

    look: Callable[[], None] = lambda: None

    async def report(self) -> Mapping[str, Health]:
        self.look()
        return {}


async def test_without_helper_nodes_all_of_them_are_healthy(server: Served) -> None:
    answer = await server.ask("GET", "/admin/helpers")

    assert answer.json() == {"helpers": {}, "live_checks": {}, "configured_count": 0, "all_healthy": True}


async def test_helper_nodes_are_looked_at_before_they_are_shown(server: Served, services: StandIns) -> None:
    nodes: dict[str, Any] = {"embedding": {"healthy": True}, "reranking": {"healthy": True}}
    services.described["model_sources"] = {"remote.remote": {"helper_nodes": nodes}}
    services.health = LookingHealth(look=lambda: nodes["reranking"].update(healthy=False))

    answer = (await server.ask("GET", "/admin/helpers")).json()

    assert answer["live_checks"] == {"embedding": True, "reranking": False}
    assert (answer["configured_count"], answer["all_healthy"]) == (2, False)


async def test_the_worst_circuit_of_its_models_is_that_of_a_node(server: Served, services: StandIns) -> None:
    node = {"healthy": True, "targets": ["embedding/a", "embedding/b"]}
    services.described["model_sources"] = {"remote.remote": {"helper_nodes": {"embedding": node}}}
    services.described["guards"] = [
        {"targets": {"embedding/a": {"state": "open"}, "embedding/b": {"state": "closed"}, "x": {"state": "odd"}}},
        {"guard": "one without targets"},
    ]

    answer = (await server.ask("GET", "/admin/helpers")).json()

    assert answer["helpers"]["embedding"]["circuit_state"] == "open"
