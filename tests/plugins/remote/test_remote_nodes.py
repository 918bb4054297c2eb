"""The nodes together: their models, their health, and what they say of themselves."""

from typing import Any

import pytest

from http_support import until
from kernel_support import turns
from lmx_hookspecs import Capability, Helper, ModelInfo, ModelState, ModelStatus
from lmx_hookspecs.errors import ConfigError, ModelNotFound
from lmx_hookspecs.testing import check_model_source
from lmx_remote.config import BackendNode, HelperNode, HelperNodes, RemoteConfig
from lmx_remote.nodes import nodes_of
from remote_support import SILENCE, Reply, always, context, fake_node, nodes_at

URL = "http://127.0.0.1:9"
LOADED = ModelStatus(info=ModelInfo(id="box/m", format="remote"), state=ModelState.READY)
HELPERS = HelperNodes(embedding=HelperNode(url=URL, model="nomic", fallback="skip"))


async def test_models_are_known_by_their_node_and_by_their_own_names() -> None:
    backends = {
        "a": BackendNode(url=URL, models=["x", "y"], context_length=4096),
        "b": BackendNode(url=URL, models=["x"]),
    }
    nodes = nodes_of(context(backends, HELPERS), {})

    models = {model.id: model for model in nodes.models()}

    check_model_source(nodes)
    assert sorted(models) == ["a/x", "a/y", "b/x", "embedding/nomic", "x", "y"]
    assert {name: model.details["node"] for name, model in models.items()} == {
        "a/x": "a",
        "a/y": "a",
        "b/x": "b",
        "embedding/nomic": "embedding",
        "x": "a,b",
        "y": "a",
    }
    assert (models["x"].context_length, models["x"].size_bytes, models["x"].format) == (4096, 0, "remote")
    assert models["embedding/nomic"].capabilities == frozenset({Capability.EMBED, Capability.TOKEN_PROMPTS})


async def test_a_helper_is_the_node_of_its_role() -> None:
    nodes = nodes_of(context(helpers=HELPERS), {})

    assert nodes.helper(Capability.EMBED) == Helper(model="embedding/nomic", fallback="skip")
    assert nodes.helper(Capability.RERANK) is None
    assert nodes.shown_name("embedding/nomic") == "nomic"
    assert nodes.shown_name("elsewhere") == ""


@pytest.mark.parametrize(
    ("answers", "healthy", "error"),
    [
        ({"/health": 200}, True, None),
        ({"/healthz": 200}, True, None),
        ({"/v1/models": 200}, True, None),
        ({"/health": 500, "/healthz": 200}, False, "/health answers 500"),
        ({"/v1/models": 401}, False, "/v1/models answers 401"),
        ({}, False, "nothing at /health or /healthz or /v1/models; set its health_path"),
    ],
)
async def test_a_node_is_well_if_it_says_so_where_it_is_asked(
    answers: dict[str, int], healthy: bool, error: str | None
) -> None:
    def script(path: str, _body: Any) -> Reply:
        return Reply({}, answers.get(path, 404))

    async with fake_node(script) as fake, nodes_at(fake.url) as nodes:
        health = await nodes.check()

        node = nodes.backends["n0"]
        assert (node.healthy, node.last_error) == (healthy, error)
        assert node.last_check_at is not None
        assert health.ok is healthy
        assert (error or "1 nodes answer") in health.detail


async def test_a_node_that_does_not_answer_in_time_is_not_well() -> None:
    async with fake_node(always(SILENCE)) as fake, nodes_at(fake.url, health_path="alive") as nodes:
        health = await nodes.check()

        assert not health.ok
        assert "did not answer within 0.5 s" in health.detail
        assert fake.asked[0][0] == "/alive"


async def test_nodes_are_looked_at_from_start_to_close_and_changes_are_told() -> None:
    status = [200]

    def script(_path: str, _body: Any) -> Reply:
        return Reply({}, status[0])

    async with fake_node(script) as fake:
        ctx = context({"box": BackendNode(url=fake.url, models=["m"])}, config=RemoteConfig(health_interval_s=0.1))
        nodes = nodes_of(ctx, {})
        await nodes.start()
        await until(lambda: nodes.backends["box"].healthy is True)
        status[0] = 500
        await until(lambda: nodes.backends["box"].healthy is False)
        await nodes.close()
        asked = len(fake.asked)

    assert [line[1] for line in ctx.log.lines] == ["node_healthy", "node_unhealthy"]
    assert asked >= 2


async def test_a_model_tells_whether_any_of_its_nodes_is_well_and_else_what_ails_them() -> None:
    both = {name: BackendNode(url=URL, models=["m"]) for name in ("a", "b")}
    nodes = nodes_of(context(both), {})

    def seen() -> tuple[bool | None, str | None]:
        model = nodes.find("m")
        assert model is not None
        return model.details["healthy"], model.trouble

    unknown = seen()
    nodes.backends["a"].looked_at("answers 500")
    half_known = seen()
    nodes.backends["b"].looked_at(None)
    well = seen()
    nodes.backends["b"].looked_at("is not there")

    assert (unknown, half_known, well) == ((None, None), (None, None), (True, None))
    assert seen() == (False, "a is down: answers 500; b is down: is not there")


async def test_the_times_of_looks_change_at_a_reload() -> None:
    nodes = nodes_of(context(), {})

    nodes.reconfigure(RemoteConfig(health_interval_s=7))

    assert nodes.config.health_interval_s == 7


async def test_nodes_describe_themselves_under_their_sections_and_show_no_key() -> None:
    box = BackendNode(url=f"{URL}/v1", name="the box", gpu="A6000", vram_gb=48, models=["m"], api_key="hush")
    nodes = nodes_of(context({"box": box}, HELPERS), {})

    described = nodes.describe()

    assert described["backends"]["box"] | {"last_check_at": None} == {
        "url": URL,
        "name": "the box",
        "gpu": "A6000",
        "vram_gb": 48,
        "roles": [],
        "healthy": None,
        "total_requests": 0,
        "successes": 0,
        "failures": 0,
        "success_rate_pct": 100.0,
        "avg_latency_ms": 0.0,
        "p95_latency_ms": 0.0,
        "outstanding": 0,
        "last_check_at": None,
        "last_error": None,
        "targets": ["m", "box/m"],
    }
    assert described["helper_nodes"]["embedding"]["fallback"] == "skip"
    assert described["helper_nodes"]["embedding"]["targets"] == ["embedding/nomic"]
    assert "hush" not in repr(described) + repr(nodes.backends["box"].link)


async def test_a_node_whose_entry_is_as_it_was_stays_the_node_that_it_is() -> None:
    nodes = nodes_of(context({name: BackendNode(url=URL, models=["m"]) for name in ("a", "b")}), {})
    before = dict(nodes.backends)

    nodes.reconfigure_section(
        "backends", {"a": BackendNode(url=URL, models=["m"]), "b": BackendNode(url=URL, models=["other"])}
    )

    assert nodes.backends["a"] is before["a"]
    assert nodes.backends["b"] is not before["b"]
    assert {model.id for model in nodes.models()} == {"m", "a/m", "other", "b/other"}
    await nodes.close()


async def test_a_node_that_is_removed_ends_its_calls_before_its_connections_and_its_models_go() -> None:
    async with fake_node(always(Reply({"data": []}))) as fake:
        ctx = context({"box": BackendNode(url=fake.url, models=["m"])})
        ctx.services.models.statuses["box/m"] = LOADED
        nodes = nodes_of(ctx, {})
        box = nodes.backends["box"]
        async with box.call("m") as link:
            nodes.reconfigure_section("backends", {})
            await turns()
            still_there = (await ctx.services.models.get("box/m")).state
            with pytest.raises(ModelNotFound, match="no node has model"):
                nodes.endpoints("box/m")
            status, _ = await link.look("/v1/models", 1.0)

        await until(lambda: ctx.services.models.statuses["box/m"].state is ModelState.ON_DISK)
        await nodes.close()

    assert (still_there, status) == (ModelState.READY, 200)
    assert [line[1] for line in ctx.log.lines] == ["node_removed"]


async def test_a_model_that_is_served_again_stays() -> None:
    ctx = context({"box": BackendNode(url=URL, models=["m"])})
    ctx.services.models.statuses["box/m"] = LOADED
    nodes = nodes_of(ctx, {})

    nodes.reconfigure_section("backends", {})
    nodes.reconfigure_section("backends", {"box": BackendNode(url=URL, models=["m"])})
    await until(lambda: bool(ctx.log.lines))
    await turns()

    assert ctx.services.models.statuses["box/m"].state is ModelState.READY
    await nodes.close()


async def test_nodes_that_come_are_looked_at_and_nodes_that_go_are_not() -> None:
    async with fake_node(always(Reply({}))) as old, fake_node(always(Reply({}))) as new:
        config = RemoteConfig(health_interval_s=0.1)
        nodes = nodes_of(context({"old": BackendNode(url=old.url, models=["m"])}, config=config), {})
        await nodes.start()
        await until(lambda: nodes.backends["old"].healthy is True)

        nodes.reconfigure_section("backends", {"new": BackendNode(url=new.url, models=["m"])})
        await until(lambda: nodes.backends["new"].healthy is True)
        asked = len(old.asked)
        await until(lambda: len(new.asked) >= 3)
        await nodes.close()

    assert len(old.asked) == asked


async def test_a_change_that_is_refused_changes_nothing() -> None:
    nodes = nodes_of(context({"a": BackendNode(url=URL, models=["m"])}), {})
    before = nodes.backends

    with pytest.raises(ConfigError, match="cannot be part of a model's id"):
        nodes.reconfigure_section("backends", {"a b": BackendNode(url=URL)})

    assert nodes.backends is before


async def test_helpers_change_too() -> None:
    nodes = nodes_of(context({}, HELPERS), {})

    nodes.reconfigure_section("helper_nodes", HelperNodes())
    gone = nodes.helper(Capability.EMBED)
    nodes.reconfigure_section("helper_nodes", HELPERS)

    assert gone is None
    assert nodes.helper(Capability.EMBED) is not None
    await nodes.close()
