"""Plugin `rerank`: cross-encoders, ColBERT, FlashRank and remote APIs that rerank. Hooks only; the rest comes late."""

from collections.abc import Sequence

from lmx_hookspecs import (
    ConfigSpec,
    Context,
    ModelInfo,
    ModelSource,
    ModelSourceSpec,
    Requires,
    Reranker,
    RerankerSpec,
    WorkerContext,
    hookimpl,
)
from lmx_rerank.config import FORMATS, RerankConfig
from lmx_rerank.worker import memory_need, worker_environment

NAME = "rerank"


@hookimpl
def lmx_requires() -> Sequence[Requires]:
    """The library rerankers; what a kind of model needs beside it is asked for when one is loaded."""
    return [Requires(modules=("rerankers",), extra="rerank")]


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """`plugins.rerank`."""
    return [ConfigSpec(cls=RerankConfig)]


@hookimpl
def lmx_model_sources() -> Sequence[ModelSourceSpec]:
    """The models that the configuration names, before all others: somebody chose their ids."""
    return [ModelSourceSpec(name=NAME, open=_open_source, priority=70)]


@hookimpl
def lmx_rerankers() -> Sequence[RerankerSpec]:
    """One recipe for every kind: it is the model's format."""
    return [
        RerankerSpec(name=NAME, formats=FORMATS, load=_load, environment=worker_environment, memory_need=memory_need)
    ]


def _open_source(ctx: Context) -> ModelSource:
    from lmx_rerank.source import RerankSource

    return RerankSource(ctx)


def _load(ctx: WorkerContext, model: ModelInfo) -> Reranker:
    from lmx_rerank.loading import load

    return load(ctx, model)
