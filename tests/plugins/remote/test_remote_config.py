from typing import Any

import pytest

from lmx.structure import StructureError, structure
from lmx_hookspecs import Capability
from lmx_hookspecs.errors import ConfigError
from lmx_remote.config import EXAMPLE, BackendNode, HelperNode, HelperNodes
from lmx_remote.link import base_url
from lmx_remote.nodes import nodes_of
from remote_support import context

URL = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("box:8000", "url: must be an address such as http://192.168.1.20:8000"),
        ("ftp://box", "url: must be an address such as http://192.168.1.20:8000"),
        ("http://", "url: must be an address such as http://192.168.1.20:8000"),
        ("http://box:99999", "url: must be an address such as http://192.168.1.20:8000"),
        ("http://me:hush@box", "url: must hold no user, password or query; a key stands under api_key"),
        ("http://box/v1?key=hush", "url: must hold no user, password or query; a key stands under api_key"),
    ],
)
def test_what_is_no_address_or_holds_a_secret_is_refused(url: str, problem: str) -> None:
    with pytest.raises(StructureError) as caught:
        structure({"url": url}, BackendNode)

    assert str(caught.value) == problem


@pytest.mark.parametrize("url", ["http://box:8000", "http://box:8000/", "http://box:8000/v1", "http://box:8000/v1/"])
def test_the_version_may_stand_in_the_address_or_not(url: str) -> None:
    assert base_url(url) == "http://box:8000"


def test_helpers_are_as_the_earlier_system_had_them() -> None:
    helpers = structure({"embedding": {"url": URL, "model": "m"}, "reranking": None}, HelperNodes)

    assert helpers.embedding == HelperNode(url=URL, model="m", timeout_sec=10.0, fallback="local")
    assert helpers.reranking is None


@pytest.mark.parametrize(
    "helper", [{"model": "m"}, {"url": URL}, {"fallback": "retry"}, {"timeout_sec": 0}, {"timeout_sec": 121}]
)
def test_a_helper_that_is_incomplete_or_out_of_range_is_refused(helper: dict[str, Any]) -> None:
    complete = helper if {"model", "url"} & helper.keys() else {"url": URL, "model": "m", **helper}

    with pytest.raises(StructureError):
        structure({"embedding": complete}, HelperNodes)


@pytest.mark.parametrize("backend", [{"roles": ["code"]}, {"capabilities": ["telepathy"]}, {"vram_gb": -1}])
def test_a_backend_that_does_what_nobody_knows_is_refused(backend: dict[str, Any]) -> None:
    with pytest.raises(StructureError):
        structure({"url": URL, **backend}, BackendNode)


def test_the_example_is_valid() -> None:
    nodes = structure(dict(EXAMPLE), dict[str, BackendNode])

    assert nodes["gpu-box"].models == ("qwen3-32b",)


def test_models_may_have_names_of_our_own() -> None:
    node = structure({"url": URL, "models": {"small": "org/Small-8B"}, "capabilities": ["top_k"]}, BackendNode)

    (endpoint,) = nodes_of(context({"box": node}), {}).endpoints("small")

    assert endpoint.served.name == "org/Small-8B"
    assert endpoint.served.capabilities == {Capability.CHAT, Capability.COMPLETION, Capability.TOP_K}


def test_a_name_that_could_be_no_part_of_an_id_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be part of a model's id"):
        nodes_of(context({"a/b": BackendNode(url=URL)}), {})


def test_a_key_may_come_from_the_environment() -> None:
    ctx = context({"box": BackendNode(url=URL, api_key_env="BOX_KEY")})

    with_key, without = nodes_of(ctx, {"BOX_KEY": "hush"}), nodes_of(ctx, {})

    assert [nodes.backends["box"].link.key for nodes in (with_key, without)] == ["hush", None]
    assert ctx.log.lines == [("warning", "node_key_missing", {"node": "box", "variable": "BOX_KEY"})]
