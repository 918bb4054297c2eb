from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
from attrs import evolve, frozen

from lmx_hookspecs import (
    BackendSpec,
    Capability,
    ConfigSpec,
    HealthCheck,
    JobSpec,
    RerankerSpec,
    Route,
    SurfaceSpec,
    WebSocketRoute,
    hookimpl,
)
from lmx_hookspecs.errors import PluginError
from lmx_hookspecs.testing import check_plugin


def load(_context: Any, _model: Any) -> Any:
    raise NotImplementedError


def backend(**changes: Any) -> BackendSpec:
    chat = frozenset({Capability.CHAT.value})
    spec = BackendSpec(name="b", level="text", formats=frozenset({"f"}), capabilities=chat, load=load)
    return evolve(spec, **changes)


def plugin(hook: str, *specs: Any) -> ModuleType:
    def implementation() -> Sequence[Any]:
        return specs

    made = ModuleType("made")
    setattr(made, hook, hookimpl(implementation))
    return made


def websocket(**facts: Any) -> WebSocketRoute:
    async def handler(_: Any, __: Any) -> None: ...

    return WebSocketRoute(**{"path": "/socket", "handler": handler, "summary": "x", **facts})


def route(**changes: Any) -> Route:
    async def handler(_context: Any, _request: Any) -> Any:
        raise NotImplementedError

    return evolve(Route(method="GET", path="/x", handler=handler, summary="X."), **changes)


async def healthy(_context: Any) -> Any:
    raise NotImplementedError


@frozen
class Undocumented:
    size: int = 1


def reranker(**changes: Any) -> RerankerSpec:
    def load(_: Any, __: Any) -> Any: ...

    return evolve(RerankerSpec(name="r", formats=frozenset({"mine"}), load=load), **changes)


def job(**changes: Any) -> JobSpec:
    return evolve(JobSpec(name="j", arguments=Undocumented, run=lambda _context, _arguments, _progress: {}), **changes)


def test_a_plugin_that_keeps_the_contract_gives_its_specs() -> None:
    spec = backend()

    assert check_plugin(plugin("lmx_backends", spec)) == {"lmx_backends": (spec,)}


@pytest.mark.parametrize(
    ("hook", "spec", "reason"),
    [
        ("lmx_backends", backend(capabilities=frozenset({"chatt"})), "unknown capabilities"),
        ("lmx_backends", backend(level="words"), "level is 'words'"),
        ("lmx_backends", backend(isolation="thread"), "isolation is 'thread'"),
        ("lmx_backends", backend(formats=frozenset()), "opens no format"),
        ("lmx_backends", backend(environment=lambda: {"THREADS": 1}), "environment is not text"),
        ("lmx_rerankers", reranker(formats=frozenset()), "opens no format"),
        ("lmx_rerankers", reranker(formats=frozenset({"mine", "gguf"})), "opens gguf, which engines open"),
        ("lmx_rerankers", reranker(isolation="thread"), "isolation is 'thread'"),
        ("lmx_rerankers", reranker(environment=lambda: {"THREADS": 1}), "environment is not text"),
        ("lmx_jobs", job(arguments=dict), "no attrs class"),
        ("lmx_jobs", job(run=None), "run cannot be called"),
        ("lmx_jobs", job(isolation="thread"), "isolation is 'thread'"),
        ("lmx_jobs", job(max_running=0), "max_running is 0"),
        ("lmx_jobs", job(environment=lambda: {"THREADS": 1}), "environment is not text"),
        ("lmx_config", ConfigSpec(cls=Undocumented), "says nothing about size"),
        ("lmx_health_checks", HealthCheck(name="h", check=healthy, timeout_s=0), "timeout_s is 0"),
        ("lmx_surfaces", SurfaceSpec(name="s", routes=[route(path="x")]), "does not start with a slash"),
        ("lmx_surfaces", SurfaceSpec(name="s", routes=[route(), route()]), "declared twice"),
        ("lmx_surfaces", SurfaceSpec(name="s", routes=[route(summary="")]), "no summary"),
        ("lmx_surfaces", SurfaceSpec(name="s", websockets=[websocket(), websocket()]), "declared twice"),
        ("lmx_surfaces", SurfaceSpec(name="s", websockets=[websocket(summary="")]), "no summary"),
        ("lmx_surfaces", SurfaceSpec(name="s", websockets=[websocket(path="x")]), "slash"),
    ],
)
def test_what_the_loader_would_let_pass_is_found(hook: str, spec: Any, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_plugin(plugin(hook, spec))


def test_what_the_loader_refuses_is_refused_in_its_words() -> None:
    with pytest.raises(PluginError, match="there is no hook lmx_backend: did you mean lmx_backends"):
        check_plugin(plugin("lmx_backend"))
