"""Plugin `my_plugin`: a backend that shouts the last message back, and a model for it.

LMX imports this module at every start: keep it light, and import engines where they are loaded.
"""

from collections.abc import Sequence
from typing import Any

from lmx_hookspecs import (
    BackendSpec,
    Capability,
    ConfigSpec,
    Context,
    ModelInfo,
    ModelSourceSpec,
    WorkerContext,
    hookimpl,
)
from lmx_my_plugin.config import Settings

LMX_CONTRACT = 1
FORMAT = "my_plugin"


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """The keys under `plugins.my_plugin`."""
    return [ConfigSpec(cls=Settings)]


@hookimpl
def lmx_backends() -> Sequence[BackendSpec]:
    """The engine, and which model formats it opens."""
    return [
        BackendSpec(
            name="my_plugin",
            level="text",
            formats=frozenset({FORMAT}),
            capabilities=frozenset({Capability.CHAT}),
            load=_load,
        )
    ]


@hookimpl
def lmx_model_sources() -> Sequence[ModelSourceSpec]:
    """Where its model ids come from."""
    return [ModelSourceSpec(name="my_plugin", open=_open_source)]


def _load(context: WorkerContext, model: ModelInfo) -> Any:
    from lmx_my_plugin.engine import ShoutEngine

    return ShoutEngine(context.config, model)


def _open_source(_: Context) -> Any:
    from lmx_my_plugin.source import OneModel

    return OneModel(FORMAT)
