"""From names to recipes: a worker imports the plugin it was started for, and those of dialects and constraints."""

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

from attrs import frozen

from lmx.plugins.entries import OFF_GROUP
from lmx.structure import StructureError, structure
from lmx.workers.handle import TextPlugins
from lmx.workers.reranking import backend_of
from lmx_hookspecs.constraints import ConstraintSpec, DialectSpec
from lmx_hookspecs.context import Logger
from lmx_hookspecs.engines import BackendSpec
from lmx_hookspecs.errors import ConfigError, PluginError
from lmx_hookspecs.implementations import call_hook, hooks_of
from lmx_hookspecs.jobs import JobSpec
from lmx_hookspecs.specs import ENTRY_POINT_GROUP
from lmx_hookspecs.stores import RetrieverSpec


@frozen(kw_only=True)
class EngineContext:
    """The WorkerContext that `BackendSpec.load`, `JobSpec.run` and `RetrieverSpec.open` are handed."""

    config: Any
    log: Logger


def offers(plugin: str, hook: str) -> Sequence[Any]:
    """What one hook of one installed plugin returns."""
    found = [point for group in (ENTRY_POINT_GROUP, OFF_GROUP) for point in entry_points(group=group, name=plugin)]
    if not found:
        raise PluginError(f"plugin '{plugin}' is not installed for this interpreter; install it, or disable it")
    implemented = hooks_of(found[0].load())
    return call_hook(hook, implemented[hook]) if hook in implemented else ()


def backend(plugin: str, name: str) -> BackendSpec:
    """The backend of that name, or the one that a reranker of that name becomes."""
    reranker = next((spec for spec in offers(plugin, "lmx_rerankers") if spec.name == name), None)
    if reranker is not None:
        return backend_of(reranker)
    spec: BackendSpec = _named(plugin, "lmx_backends", "backend", name)
    return spec


def job(plugin: str, name: str) -> JobSpec:
    """The job of that name."""
    spec: JobSpec = _named(plugin, "lmx_jobs", "job", name)
    return spec


def retriever(plugin: str, name: str) -> RetrieverSpec:
    """The store of that name."""
    spec: RetrieverSpec = _named(plugin, "lmx_retrievers", "store", name)
    return spec


def dialects(plugins: TextPlugins) -> Sequence[DialectSpec]:
    """Those of these plugins, in the order in which they are to be tried."""
    return sorted(_all("lmx_dialects", plugins), key=lambda spec: -spec.priority)


def constraints(plugins: TextPlugins) -> Sequence[ConstraintSpec]:
    """Those of these plugins."""
    return _all("lmx_constraints", plugins)


def configuration(plugin: str, plain: Mapping[str, Any]) -> Any:
    """The plugin's configuration as an instance of its class, or None where it declares none."""
    declared = offers(plugin, "lmx_config")
    if not declared:
        return None
    try:
        return structure(plain, declared[0].cls)
    except StructureError as error:
        raise ConfigError(f"the configuration of plugin '{plugin}' does not hold: {error}") from error


def _all(hook: str, plugins: TextPlugins) -> list[Any]:
    return [spec for plugin in plugins.get(hook, ()) for spec in offers(plugin, hook)]


def _named(plugin: str, hook: str, kind: str, name: str) -> Any:
    for spec in offers(plugin, hook):
        if spec.name == name:
            return spec
    raise PluginError(f"plugin '{plugin}' offers no {kind} '{name}'; is another version of it installed here?")
