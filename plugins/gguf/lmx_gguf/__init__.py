"""Plugin `gguf`: GGUF models on llama.cpp, for Metal, CUDA and the CPU. Hooks only; llama.cpp comes with a model."""

from collections.abc import Sequence

from lmx_gguf.capabilities import CAPABILITIES
from lmx_gguf.config import GgufConfig
from lmx_gguf.need import memory_need
from lmx_gguf.settings import HONOURED
from lmx_hookspecs import (
    BackendSpec,
    ConfigSpec,
    ModelInfo,
    Requires,
    StepEngine,
    WorkerContext,
    hookimpl,
)


@hookimpl
def lmx_requires() -> Sequence[Requires]:
    """llama-cpp-python."""
    return [Requires(modules=("llama_cpp",), extra="gguf")]


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """`plugins.gguf`."""
    return [ConfigSpec(cls=GgufConfig)]


@hookimpl
def lmx_backends() -> Sequence[BackendSpec]:
    """One engine: any GGUF file whose architecture llama.cpp knows."""
    return [
        BackendSpec(
            name="gguf",
            level="tokens",
            formats=frozenset({"gguf"}),
            capabilities=CAPABILITIES,
            load=_load,
            memory_need=memory_need,
            settings=HONOURED,
        )
    ]


def _load(ctx: WorkerContext, model: ModelInfo) -> StepEngine:
    from lmx_gguf.loading import load_engine

    engine: StepEngine = load_engine(ctx, model)
    return engine
