import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from attrs import define, evolve, field, frozen

import lmx_admin
from lmx_admin import models, server
from lmx_admin.bodies import ModelToLoad, ModelToUnload
from lmx_admin.routes import ROUTES
from lmx_hookspecs import Capability, Health, JsonResponse, ModelInfo, ModelState, ModelStatus, Response
from lmx_hookspecs.errors import InsufficientMemory, LmxError, ModelNotFound
from lmx_hookspecs.testing import FakeContext, FakeModels, FakeServices, check_plugin

LOADED = ModelStatus(
    info=ModelInfo(id="org/big", format="safetensors", source="folders", size_bytes=4_000, settings={"mode": "batch"}),
    state=ModelState.READY,
    backend="mlx",
    context_length=8192,
    capabilities=frozenset({Capability.CHAT, Capability.BATCHING}),
    memory_bytes=2_500_000_000,
    loaded_at=1000.0,
    last_used_at=2000.0,
    request_count=7,
    in_flight=2,
)
ON_DISK = ModelStatus(
    info=ModelInfo(id="small", format="gguf"), state=ModelState.NO_ENGINE, reason="no engine opens it"
)


@frozen
class Posted:
    """As much of a Request as the routes read."""

    body: Any = None
    path_params: Mapping[str, str] = field(factory=dict)


@frozen
class Plugins:
    """The plugins service with one record."""

    def list(self) -> Sequence[Mapping[str, Any]]:
        return [{"name": "admin", "status": "active"}]


@frozen
class Checks:
    """The health service with fixed answers."""

    answers: Mapping[str, Health]

    async def report(self) -> Mapping[str, Health]:
        return self.answers


@frozen
class Section:
    """The section `models`."""

    max_concurrent_requests: int | None = 4


@frozen
class FixedConfig:
    """A config service with one section."""

    def section(self, name: str) -> Section:
        assert name == "models"
        return Section()


@define
class FullModels(FakeModels):
    """A catalogue that can load nothing."""

    failure: LmxError = field(factory=lambda: InsufficientMemory("no room", param="model"))

    async def load(self, model_id: str, **options: Any) -> ModelStatus:  # noqa: ARG002  the contract's signature
        raise self.failure


def posted(body: Any = None, **path_params: str) -> Any:
    return Posted(body, path_params)


def context(**health: Health) -> FakeContext:
    known = FakeModels({status.info.id: status for status in (LOADED, ON_DISK)})
    services = FakeServices(models=known, plugins=Plugins(), health=Checks(health), config=FixedConfig())
    return FakeContext(services=services)


def body_of(response: Response) -> Any:
    assert isinstance(response, JsonResponse)
    assert response.status == 200
    return json.loads(json.dumps(response.body))


def test_the_plugin_keeps_the_contract() -> None:
    offers = check_plugin(lmx_admin)

    assert [spec.name for spec in offers["lmx_surfaces"]] == ["admin"]


def test_every_route_needs_the_admin_key_and_is_never_shed() -> None:
    assert {(route.auth, route.shed) for route in ROUTES} == {("admin", False)}


async def test_the_list_has_loaded_models_and_all_of_them() -> None:
    answer = body_of(await models.listing(context(), posted()))

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
            "performance": {"mode": "batch"},
        }
    ]
    assert [(model["id"], model["state"], model["reason"]) for model in answer["models"]] == [
        ("org/big", "ready", None),
        ("small", "no_engine", "no engine opens it"),
    ]


async def test_one_model_is_shown_with_everything_that_is_known() -> None:
    answer = body_of(await models.one(context(), posted(id="org/big")))

    assert answer["capabilities"] == ["batching", "chat"]
    assert answer["memory_bytes"] == 2_500_000_000
    assert answer["in_flight"] == 2


async def test_a_load_answers_with_the_memory_and_the_time_that_it_took() -> None:
    ctx = context()

    answer = body_of(await models.load(ctx, posted(ModelToLoad(model_id="small"))))

    assert answer["success"] is True
    assert answer["model_id"] == "small"
    assert answer["memory_after_load_gb"] == 0.0
    assert answer["time_to_load_ms"] >= 0
    assert (await ctx.services.models.get("small")).state is ModelState.READY


async def test_loading_what_is_loaded_says_so_with_nulls() -> None:
    answer = body_of(await models.load(context(), posted(ModelToLoad(model_id="org/big"))))

    assert answer == {
        "success": True,
        "model_id": "org/big",
        "memory_after_load_gb": None,
        "time_to_load_ms": None,
    }


async def test_an_unload_answers_with_what_came_back() -> None:
    answer = body_of(await models.unload(context(), posted(ModelToUnload(model_id="org/big"))))

    assert answer == {"success": True, "model_id": "org/big", "memory_freed_gb": 2.5}


@pytest.mark.parametrize(
    ("handler", "body"),
    [(models.load, ModelToLoad(model_id="unknown")), (models.unload, ModelToUnload(model_id="unknown"))],
)
async def test_an_unknown_model_is_reported_under_the_name_of_the_field(handler: Any, body: Any) -> None:
    with pytest.raises(ModelNotFound) as refusal:
        await handler(context(), posted(body))

    assert refusal.value.param == "model_id"


async def test_an_error_that_several_wait_for_is_not_changed() -> None:
    shared = InsufficientMemory("no room", param="model", retry_after_s=7)
    ctx = FakeContext(services=FakeServices(models=FullModels({"small": ON_DISK}, shared)))

    with pytest.raises(InsufficientMemory) as refusal:
        await models.load(ctx, posted(ModelToLoad(model_id="small")))

    assert shared.param == "model"
    assert (refusal.value.param, refusal.value.message, refusal.value.retry_after_s) == ("model_id", "no room", 7)


async def test_plugins_are_listed_with_their_number() -> None:
    answer = body_of(await server.plugins(context(), posted()))

    assert answer == {"plugins": [{"name": "admin", "status": "active"}], "count": 1}


async def test_the_status_counts_models_requests_and_memory() -> None:
    answer = body_of(await server.status(context(), posted()))

    assert (answer["loaded_models"], answer["models"]) == (1, ["org/big"])
    assert (answer["in_flight_requests"], answer["max_concurrent_requests"]) == (2, 4)
    assert answer["memory"]["total_gb"] >= answer["memory"]["available_gb"] > 0


async def test_health_is_ok_while_every_check_holds() -> None:
    answer = body_of(await server.health(context(disk=Health(ok=True, detail="5 GB free")), posted()))

    assert (answer["status"], answer["reason"]) == ("ok", None)
    assert answer["checks"] == {"disk": {"ok": True, "detail": "5 GB free"}}
    assert (answer["models_loaded"], answer["in_flight_requests"], answer["metal"]) == (1, 2, None)


async def test_health_is_degraded_with_the_reason_when_a_check_fails() -> None:
    answer = body_of(await server.health(context(disk=Health(ok=False, detail="full; make room")), posted()))

    assert (answer["status"], answer["reason"]) == ("degraded", "disk: full; make room")


async def test_the_memory_of_engines_on_a_gpu_is_added_up() -> None:
    ctx = context()
    reading = {"active_bytes": 1_000_000_000, "peak_bytes": 2_000_000_000, "cache_bytes": 500_000_000}
    for model_id in ("org/big", "small"):
        status = ctx.services.models.statuses[model_id]
        ctx.services.models.statuses[model_id] = evolve(status, details={"details": {"memory": reading}})

    answer = body_of(await server.health(ctx, posted()))

    assert answer["metal"] == {"active_memory_gb": 2.0, "peak_memory_gb": 4.0, "cache_memory_gb": 1.0}


async def test_the_stack_is_what_everything_says_of_itself() -> None:
    assert body_of(await server.stack(context(), posted())) == {}
