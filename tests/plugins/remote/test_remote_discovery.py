"""What nodes list, and what of it is taken over."""

import json
from typing import Any

import pytest

from lmx_hookspecs import Capability
from lmx_remote.config import BackendNode, HelperNode, HelperNodes
from lmx_remote.looking import LONGEST_ID, MOST_MODELS
from lmx_remote.nodes import nodes_of
from remote_support import Reply, always, context, fake_node, nodes_at

URL = "http://127.0.0.1:9"
HELPERS = HelperNodes(embedding=HelperNode(url=URL, model="nomic", fallback="skip"))


async def test_models_are_discovered_and_those_of_other_nodes_left_out() -> None:
    listed = [
        {"id": "plain", "max_model_len": 8192},
        {"id": "mlx", "lmx": {"kind": "model", "format": "safetensors", "capabilities": ["chat", "seed"]}},
        {"id": "far/away", "lmx": {"kind": "model", "format": "remote"}},
        {"id": "code", "lmx": {"kind": "alias"}},
    ]
    async with fake_node(always(Reply({"data": listed}))) as fake, nodes_at(fake.url, models=[]) as nodes:
        await nodes.check()

        models = {model.id: model for model in nodes.models()}
        assert sorted(models) == ["mlx", "n0/mlx", "n0/plain", "plain"]
        assert models["mlx"].capabilities == frozenset({Capability.CHAT, Capability.SEED})
        assert models["plain"].context_length == 8192


async def test_a_node_takes_no_id_that_means_a_model_of_another_node_or_of_a_helper() -> None:
    lies = ["b/x", "embedding/nomic", "reranking/x", "org/name", "y"]
    async with (
        fake_node(always(Reply({"data": [{"id": name} for name in lies]}))) as liar,
        fake_node(always(Reply({"data": [{"id": "x"}]}))) as honest,
    ):
        backends = {"a": BackendNode(url=liar.url), "b": BackendNode(url=honest.url)}
        nodes = nodes_of(context(backends, HELPERS), {})
        await nodes.watches.look(list(nodes.backends.values()))
        models = {model.id: model.details["node"] for model in nodes.models()}
        await nodes.close()

    assert models == {
        **{f"a/{name}": "a" for name in lies},
        "b/x": "b",
        "embedding/nomic": "embedding",
        "org/name": "a",
        "y": "a",
        "x": "b",
    }


async def test_names_with_a_node_in_front_stay_what_they_say_also_against_the_configuration() -> None:
    backends = {"a": BackendNode(url=URL, models=["b/x", "c/x"]), "b": BackendNode(url=URL, models=["x"])}
    nodes = nodes_of(context(backends), {})

    assert [nodes.endpoints(name)[0].node.name for name in ("b/x", "c/x", "a/b/x")] == ["b", "a", "a"]


async def test_what_is_served_is_worked_out_once_for_the_models_that_there_are() -> None:
    listed = [{"id": "x"}]
    async with fake_node(lambda *_: Reply({"data": listed})) as fake, nodes_at(fake.url, models=[]) as nodes:
        await nodes.check()
        first = nodes.endpoints("x")
        await nodes.check()
        again = nodes.endpoints("x")
        listed.append({"id": "y"})
        await nodes.check()

        assert again is first
        assert nodes.endpoints("y")[0].served.name == "y"


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        ([str(number) for number in range(MOST_MODELS + 1)], f"lists {MOST_MODELS + 1} models; name those"),
        (["x" * (LONGEST_ID + 1)], "does not list its models"),
        (["a\nb"], "does not list its models"),
        ([""], "does not list its models"),
        ([7], "does not list its models"),
        (["x" * 100] * 50_000, "sent more than can be an answer"),
    ],
)
async def test_a_list_without_end_or_of_odd_ids_is_not_taken_over(ids: list[Any], told: str) -> None:
    listed = always(Reply({"data": [{"id": name} for name in ids]}))
    async with fake_node(listed) as fake, nodes_at(fake.url, models=[], health_path="/v1/models") as nodes:
        health = await nodes.check()

        assert not health.ok
        assert told in health.detail
        assert nodes.models() == []


@pytest.mark.parametrize("body", [b"<html>", b"[]", json.dumps({"data": [{}]}).encode(), b'{"data": 7}'])
async def test_a_list_that_cannot_be_read_leaves_the_models_as_they_are(body: bytes) -> None:
    good, answers = Reply({"data": [{"id": "m"}]}), [Reply({})]

    def script(path: str, _body: Any) -> Reply:
        return answers[0] if path == "/v1/models" else Reply({})

    async with fake_node(script) as fake, nodes_at(fake.url, models=[]) as nodes:
        answers[0] = good
        await nodes.check()
        answers[0] = Reply(body)
        health = await nodes.check()

        assert "does not list its models" in health.detail
        assert nodes.find("m") is not None
