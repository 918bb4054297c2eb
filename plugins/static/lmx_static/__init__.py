"""Plugin `static`: static embedding models on NumPy and tokenizers, which are imported when a model loads."""

from collections.abc import Mapping, Sequence

from lmx_hookspecs import BackendSpec, Capability, ModelInfo, Requires, TextEngine, WorkerContext, hookimpl

FORMAT = "static-embedding"


@hookimpl
def lmx_requires() -> Sequence[Requires]:
    """NumPy and tokenizers, which `mlx` and `rag` bring as well."""
    return [Requires(modules=("numpy", "tokenizers"), extra="embed")]


@hookimpl
def lmx_backends() -> Sequence[BackendSpec]:
    """One engine: a table with a vector for every token."""
    return [
        BackendSpec(
            name="static",
            level="text",
            formats=frozenset({FORMAT}),
            capabilities=frozenset({Capability.EMBED, Capability.TOKEN_PROMPTS}),
            load=_load,
            environment=_environment,
            warm_up=False,
        )
    ]


def _environment() -> Mapping[str, str]:
    """One core is plenty; the others belong to the models that generate."""
    return {"TOKENIZERS_PARALLELISM": "false", "OPENBLAS_NUM_THREADS": "1"}


def _load(_: WorkerContext, model: ModelInfo) -> TextEngine:
    from lmx_static.engine import opened

    return opened(model)
