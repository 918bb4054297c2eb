from openai import AsyncOpenAI

from fake_parts import FakePresets, FakeRouting
from http_support import FakeServices, error_of, serving
from lmx.structure import structure
from lmx_hookspecs import Preset
from lmx_openai import lmx_surfaces
from lmx_openai.models import ModelList

ALIASED = {"code": ["gone", "org/other"], "chat": ["gone"], "empty": []}


def with_aliases() -> FakeServices:
    return FakeServices(routing=FakeRouting(ALIASED))


def with_presets(*presets: Preset, auto: str | None = None) -> FakeServices:
    return FakeServices(presets=FakePresets(presets), routing=FakeRouting(ALIASED, auto))


async def test_models_are_listed_to_the_openai_client_loaded_ones_first() -> None:
    async with (
        serving(surfaces=lmx_surfaces()) as server,
        AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client,
    ):
        models = [model async for model in client.models.list()]

    assert [model.id for model in models] == ["real-model", "org/other"]
    assert (models[0].object, models[0].created, models[0].owned_by) == ("model", 1_700_000_000, "local")


async def test_anthropics_clients_find_their_fields_in_the_same_answers() -> None:
    version = {"anthropic-version": "2023-06-01"}
    async with serving(surfaces=lmx_surfaces()) as server:
        listed = (await server.ask("GET", "/v1/models", headers=version)).json()
        one = (await server.ask("GET", "/v1/models/org/other", headers=version)).json()
        plain = (await server.ask("GET", "/v1/models")).json()

    assert (listed["has_more"], listed["first_id"], listed["last_id"]) == (False, "real-model", "org/other")
    assert [(model["type"], model["display_name"]) for model in listed["data"]] == [
        ("model", "real-model"),
        ("model", "org/other"),
    ]
    assert listed["data"][0]["created_at"] == "2023-11-14T22:13:20Z"
    assert one == listed["data"][1]
    assert set(plain) == {"object", "data"}


async def test_a_model_says_its_state_backend_and_capabilities() -> None:
    async with serving(surfaces=lmx_surfaces()) as server:
        answer = await server.ask("GET", "/v1/models")

    loaded, on_disk = answer.json()["data"]
    assert structure(answer.json(), ModelList).object == "list"
    assert (loaded["lmx"]["kind"], loaded["lmx"]["state"]) == ("model", "ready")
    assert loaded["lmx"]["backend"] == "fake"
    assert loaded["lmx"]["capabilities"] == ["chat", "completion"]
    assert loaded["lmx"]["context_length"] == 8192
    assert on_disk["lmx"]["state"] == "on_disk"


async def test_an_alias_is_listed_while_one_of_its_models_is_here() -> None:
    async with serving(surfaces=lmx_surfaces(), services=with_aliases()) as server:
        listed = await server.ask("GET", "/v1/models")
        alias = await server.ask("GET", "/v1/models/code")
        empty = await server.ask("GET", "/v1/models/chat")

    assert [model["id"] for model in listed.json()["data"]] == ["real-model", "org/other", "code"]
    assert alias.json()["lmx"] == {"kind": "alias", "state": "on_disk", "models": ["org/other"]}
    assert empty.status_code == 404


async def test_a_preset_is_listed_before_the_aliases_while_its_model_is_here() -> None:
    services = with_presets(
        Preset(name="direct", model="real-model", description="for people", system_prompt="secret"),
        Preset(name="lost", model="gone"),
        Preset(name="by-alias", model="code"),
    )

    async with serving(surfaces=lmx_surfaces(), services=services) as server:
        listed = await server.ask("GET", "/v1/models")
        lost = await server.ask("GET", "/v1/models/preset:lost")

    models = {model["id"]: model["lmx"] for model in listed.json()["data"]}
    assert list(models) == ["real-model", "org/other", "preset:direct", "preset:by-alias", "code"]
    assert models["preset:direct"] == {
        "kind": "preset",
        "state": "ready",
        "models": ["real-model"],
        "description": "for people",
    }
    assert models["preset:by-alias"]["models"] == ["org/other"]
    assert (lost.status_code, error_of(lost)["code"]) == (404, "model_not_found")
    assert "'gone'" in error_of(lost)["message"]


async def test_a_preset_of_auto_stands_for_the_model_that_auto_gets() -> None:
    preset = Preset(name="any", model="auto")

    async with serving(surfaces=lmx_surfaces(), services=with_presets(preset, auto="org/other")) as server:
        found = await server.ask("GET", "/v1/models/preset:any")
    async with serving(surfaces=lmx_surfaces(), services=with_presets(preset)) as server:
        missing = await server.ask("GET", "/v1/models/preset:any")

    assert (found.json()["lmx"]["models"], missing.status_code) == (["org/other"], 404)


async def test_an_unknown_preset_is_404_by_its_name() -> None:
    async with serving(surfaces=lmx_surfaces(), services=with_presets()) as server:
        answer = await server.ask("GET", "/v1/models/preset:nope")

    assert answer.status_code == 404
    assert "preset:nope" in error_of(answer)["message"]


async def test_one_model_is_found_by_an_id_with_slashes() -> None:
    async with serving(surfaces=lmx_surfaces()) as server:
        plain = await server.ask("GET", "/v1/models/org/other")
        encoded = await server.ask("GET", "/v1/models/org%2Fother")

    assert plain.json()["id"] == encoded.json()["id"] == "org/other"


async def test_an_unknown_model_is_404() -> None:
    async with serving(surfaces=lmx_surfaces()) as server:
        answer = await server.ask("GET", "/v1/models/nope")

    assert (answer.status_code, error_of(answer)["code"], error_of(answer)["param"]) == (
        404,
        "model_not_found",
        "model",
    )


async def test_a_name_longer_than_any_is_404_and_not_repeated() -> None:
    async with serving(surfaces=lmx_surfaces()) as server:
        answer = await server.ask("GET", f"/v1/models/{'x' * 10_000}")

    assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")
    assert len(answer.content) < 1000


async def test_no_models_are_an_empty_list() -> None:
    services = FakeServices()
    services.models.statuses.clear()

    async with serving(surfaces=lmx_surfaces(), services=services) as server:
        answer = await server.ask("GET", "/v1/models")

    assert answer.json() == {"object": "list", "data": []}
