"""A plugin must keep the contract, beyond what the loader insists on."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import attrs

from lmx_hookspecs.capabilities import Capability
from lmx_hookspecs.config import ConfigSpec, options_of
from lmx_hookspecs.engines import BackendSpec
from lmx_hookspecs.health import HealthCheck
from lmx_hookspecs.http import Route, SurfaceSpec
from lmx_hookspecs.implementations import call_hook, hooks_of
from lmx_hookspecs.jobs import JobSpec
from lmx_hookspecs.reranking import RerankerSpec
from lmx_hookspecs.testing.expectation import expect
from lmx_hookspecs.websockets import WebSocketRoute

ENGINES_OPEN = frozenset({"safetensors", "gguf"})


def check_plugin(module: ModuleType) -> Mapping[str, Sequence[Any]]:
    """Call every hook of a plugin and look closely at what it offers; returns the specs by hook."""
    offers = {hook: call_hook(hook, function) for hook, function in hooks_of(module).items()}
    for spec in (spec for offered in offers.values() for spec in offered):
        match spec:
            case BackendSpec():
                _check_backend(spec)
            case RerankerSpec():
                _check_reranker(spec)
            case ConfigSpec():
                _check_documented(spec)
            case SurfaceSpec():
                _check_routes(spec.mounted())
                _check_websockets(spec.websockets)
            case JobSpec():
                _check_job(spec)
            case HealthCheck():
                expect(spec.timeout_s > 0, f"health check {spec.name}: timeout_s is {spec.timeout_s}")
    return offers


def _check_backend(spec: BackendSpec) -> None:
    known = set(Capability)
    unknown = sorted(name for name in spec.capabilities if name not in known)
    expect(not unknown, f"backend {spec.name}: unknown capabilities {unknown}")
    expect(spec.level in ("tokens", "text"), f"backend {spec.name}: level is {spec.level!r}")
    expect(spec.isolation in ("process", "inline"), f"backend {spec.name}: isolation is {spec.isolation!r}")
    expect(bool(spec.formats), f"backend {spec.name} opens no format")
    _check_environment(spec.environment())


def _check_reranker(spec: RerankerSpec) -> None:
    expect(spec.isolation in ("process", "inline"), f"reranker {spec.name}: isolation is {spec.isolation!r}")
    expect(bool(spec.formats), f"reranker {spec.name} opens no format")
    taken = sorted(spec.formats & ENGINES_OPEN)
    expect(not taken, f"reranker {spec.name} opens {', '.join(taken)}, which engines open: name a format of its own")
    _check_environment(spec.environment())


def _check_job(spec: JobSpec) -> None:
    expect(attrs.has(spec.arguments), f"job {spec.name}: its arguments are {spec.arguments!r}, no attrs class")
    expect(callable(spec.run), f"job {spec.name}: run cannot be called")
    expect(spec.isolation == "process", f"job {spec.name}: isolation is {spec.isolation!r}")
    expect(spec.max_running >= 1, f"job {spec.name}: max_running is {spec.max_running}")
    _check_environment(spec.environment())


def _check_environment(environment: Mapping[str, str]) -> None:
    expect(all(isinstance(text, str) for pair in environment.items() for text in pair), "environment is not text")


def _check_documented(spec: ConfigSpec) -> None:
    cls = spec.entry or spec.cls
    silent = [name for name, option in options_of(cls).items() if not option.doc]
    expect(not silent, f"{cls.__name__} says nothing about {', '.join(silent)}")


def _check_routes(routes: Sequence[Route]) -> None:
    seen: set[tuple[str, str]] = set()
    for route in routes:
        expect(route.path.startswith("/"), f"the path {route.path} does not start with a slash")
        expect((route.method, route.path) not in seen, f"{route.method} {route.path} is declared twice")
        expect(bool(route.summary), f"{route.method} {route.path} has no summary")
        seen.add((route.method, route.path))


def _check_websockets(routes: Sequence[WebSocketRoute]) -> None:
    paths = [route.path for route in routes]
    expect(len(set(paths)) == len(paths), f"WebSockets are declared twice among {', '.join(paths)}")
    for route in routes:
        expect(route.path.startswith("/"), f"the path {route.path} does not start with a slash")
        expect(bool(route.summary), f"the WebSocket {route.path} has no summary")
