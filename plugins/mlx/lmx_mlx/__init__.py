"""Plugin `mlx`: MLX engines on mlx-lm, for Metal, CUDA and the CPU. Hooks only; MLX is imported when a model loads."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_hookspecs import (
    BackendSpec,
    ConfigSpec,
    JobSpec,
    ModelInfo,
    Progress,
    Requires,
    StepEngine,
    WorkerContext,
    hookimpl,
)
from lmx_mlx.capabilities import CAPABILITIES
from lmx_mlx.config import MlxConfig
from lmx_mlx.environment import worker_environment
from lmx_mlx.need import memory_need
from lmx_mlx.quantize_arguments import QuantizeArguments
from lmx_mlx.settings import HONOURED


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
            memory_need=memory_need,
            settings=HONOURED,
        )
    ]


@hookimpl
def lmx_jobs() -> Sequence[JobSpec]:
    """`quantize`: a smaller form of a model on disk, through mlx-lm's converter."""
    return [
        JobSpec(
            name="quantize",
            arguments=QuantizeArguments,
            run=_quantize,
            environment=worker_environment,
            max_running=1,
        )
    ]


def _quantize(ctx: WorkerContext, arguments: QuantizeArguments, progress: Progress) -> Mapping[str, Any]:
    from lmx_mlx.quantize import quantize

    return quantize(ctx, arguments, progress)


def _load(ctx: WorkerContext, model: ModelInfo) -> StepEngine:
    from lmx_mlx.loading import load_engine

    return load_engine(ctx, model)
