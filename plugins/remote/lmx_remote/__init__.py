"""Plugin `remote`: other OpenAI-compatible servers as backends: chat, completions, embeddings and reranking."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from lmx_hookspecs import (
    BackendSpec,
    Capability,
    ConfigSpec,
    Context,
    Health,
    HealthCheck,
    MemoryNeed,
    ModelInfo,
    ModelSourceSpec,
    WorkerContext,
    hookimpl,
)
from lmx_remote.config import EXAMPLE, BackendNode, HelperNodes, RemoteConfig

if TYPE_CHECKING:
    from lmx_remote.engine import RemoteEngine
    from lmx_remote.nodes import Nodes

NAME = "remote"
ENGINE_ONLY = {Capability.BATCHING, Capability.PREFIX_CACHE}
"""What a request cannot ask for, and a node does not tell."""


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """How nodes are looked after; `helper_nodes` and `backends` say which there are."""
    return [
        ConfigSpec(cls=RemoteConfig),
        ConfigSpec(section="helper_nodes", cls=HelperNodes),
        ConfigSpec(section="backends", cls=Mapping[str, BackendNode], example=EXAMPLE),
    ]


@hookimpl
def lmx_model_sources() -> Sequence[ModelSourceSpec]:
    """The models of all nodes, behind everything that is here."""
    return [ModelSourceSpec(name=NAME, open=_open_nodes, priority=10)]


@hookimpl
def lmx_backends() -> Sequence[BackendSpec]:
    """The engine that asks a node."""
    return [
        BackendSpec(
            name=NAME,
            level="text",
            isolation="inline",
            formats=frozenset({NAME}),
            capabilities=frozenset(Capability) - ENGINE_ONLY,
            load=_load,
            memory_need=_no_memory,
            warm_up=False,
        )
    ]


@hookimpl
def lmx_health_checks() -> Sequence[HealthCheck]:
    """Whether every node answers. Not critical: what is here works without them."""
    return [HealthCheck(name="remote.nodes", check=_check)]


def _open_nodes(ctx: Context) -> "Nodes":
    import os

    from lmx_remote.nodes import nodes_of

    return nodes_of(ctx, os.environ)


def _load(ctx: WorkerContext, model: ModelInfo) -> "RemoteEngine":
    from lmx_remote.engine import RemoteEngine

    return RemoteEngine(model.id, cast("Context", ctx).part(NAME))  # it runs in the kernel


def _no_memory(_: ModelInfo) -> MemoryNeed:
    return MemoryNeed(weight_bytes=0)


async def _check(ctx: Context) -> Health:
    nodes: Nodes = ctx.part(NAME)
    return await nodes.check()
