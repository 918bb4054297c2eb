"""Plugin `vllm`: vllm-mlx's batched engine, from an environment of its own. Hooks only; it is imported in workers."""

from collections.abc import Sequence

from lmx_hookspecs import BackendSpec, ConfigSpec, ModelInfo, Requires, TextEngine, WorkerContext, hookimpl
from lmx_vllm.capabilities import CAPABILITIES
from lmx_vllm.config import VllmConfig
from lmx_vllm.environment import worker_environment
from lmx_vllm.need import memory_need
from lmx_vllm.settings import HONOURED

SCORE = 30
"""Below the MLX engine's, which stays the one for safetensors unless the settings of a model name this one."""


@hookimpl
def lmx_requires() -> Sequence[Requires]:
    """vllm-mlx, which needs an older mlx-lm than the MLX engine does."""
    return [Requires(modules=("vllm_mlx",), extra="vllm")]


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """`plugins.vllm`."""
    return [ConfigSpec(cls=VllmConfig)]


@hookimpl
def lmx_backends() -> Sequence[BackendSpec]:
    """One engine: any safetensors model that vllm-mlx loads as text."""
    return [
        BackendSpec(
            name="vllm",
            level="text",
            formats=frozenset({"safetensors"}),
            capabilities=CAPABILITIES,
            load=_load,
            score=SCORE,
            environment=worker_environment,
            memory_need=memory_need,
            settings=HONOURED,
        )
    ]


def _load(ctx: WorkerContext, model: ModelInfo) -> TextEngine:
    from lmx_vllm.loading import load_engine

    return load_engine(ctx, model)
