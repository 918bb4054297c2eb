"""Plugin `hybrid`: a store of chunks that is searched by vectors and by words. Hooks only; NumPy comes with `open`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lmx_hookspecs import ConfigSpec, Requires, RetrieverSpec, StoreSettings, WorkerContext, hookimpl
from lmx_hybrid.config import HybridConfig

if TYPE_CHECKING:
    from lmx_hookspecs.retrieval import Retriever


@hookimpl
def lmx_requires() -> Sequence[Requires]:
    """NumPy and Tantivy; FAISS and hnswlib are used where they are."""
    return [Requires(modules=("numpy", "tantivy"), extra="rag")]


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """`plugins.hybrid`."""
    return [ConfigSpec(cls=HybridConfig)]


@hookimpl
def lmx_retrievers() -> Sequence[RetrieverSpec]:
    """One store: SQLite, and beside it indexes that are made from it."""
    return [RetrieverSpec(name="hybrid", open=_open, environment=_environment)]


def _open(ctx: WorkerContext, settings: StoreSettings) -> "Retriever":
    from lmx_hybrid.opening import open_store

    return open_store(ctx, settings)


def _environment() -> Mapping[str, str]:
    """One thread for each search: what is idle of OpenMP's and OpenBLAS's pools spins, and takes the engines' cores."""
    return {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
