"""Plugin `mlx`: MLX engines on mlx-lm, for Metal, CUDA and the CPU. Hooks only; MLX is imported when a model loads."""

from collections.abc import Sequence

from lmx_hookspecs import BackendSpec, ConfigSpec, ModelInfo, Requires, StepEngine, WorkerContext, hookimpl
from lmx_mlx.capabilities import CAPABILITIES
from lmx_mlx.config import MlxConfig
from lmx_mlx.environment import resident_bytes, worker_environment


@hookimpl
def lmx_requires() -> Sequence[Requires]:
    """MLX and mlx-lm."""
    return [Requires(modules=("mlx.core", "mlx_lm"), extra="mlx")]


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """`plugins.mlx`."""
    return [ConfigSpec(cls=MlxConfig)]


@hookimpl
def lmx_backends() -> Sequence[BackendSpec]:
    """One engine: any safetensors model whose architecture mlx-lm knows."""
    return [
        BackendSpec(
            name="mlx",
            level="tokens",
            formats=frozenset({"safetensors"}),
            capabilities=CAPABILITIES,
            load=_load,
            environment=worker_environment,
            resident_bytes=resident_bytes,
        )
    ]


def _load(ctx: WorkerContext, model: ModelInfo) -> StepEngine:
    from lmx_mlx.loading import load_engine

    return load_engine(ctx, model)
