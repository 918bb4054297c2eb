"""From a model's format to what scores for it, and from what goes wrong on the way to words that help."""

from collections.abc import Mapping
from pathlib import Path

from lmx_hookspecs import LmxError, ModelInfo, Reranker, WorkerContext
from lmx_hookspecs.errors import EngineFailed, Unavailable
from lmx_rerank.config import API, RerankModel

EXTRAS: Mapping[str, str] = {
    "cross-encoder": "rerankers[transformers]",
    "colbert": "rerankers[transformers]",
    "flashrank": "flashrank",
}
"""What brings the libraries of each type."""


def load(ctx: WorkerContext, model: ModelInfo) -> Reranker:
    """The reranker of a model; raises EngineFailed, and Unavailable where a library is missing."""
    entry: RerankModel = ctx.config.of(model.id, model.format)
    try:
        return _opened(entry, model)
    except LmxError:
        raise
    except ImportError as error:
        raise Unavailable(
            f"model {model.id!r} is {entry.type}, and a library for that is missing: {error}; "
            f"pip install '{EXTRAS[entry.type]}'",
            code="no_engine",
            param="model",
        ) from error
    except Exception as error:  # the files are somebody else's and may be odd in any way
        raise EngineFailed(f"model {model.id!r} cannot be opened: {error}; get its files again") from error


def _opened(entry: RerankModel, model: ModelInfo) -> Reranker:
    """Each type's libraries are imported here and not before."""
    if entry.type == API:
        from lmx_rerank.api import api_of

        return api_of(entry)
    folder = _folder(model)
    if entry.type == "cross-encoder":
        from lmx_rerank.cross_encoder import cross_encoder

        return cross_encoder(folder, entry)
    if entry.type == "colbert":
        from lmx_rerank.colbert import colbert

        return colbert(folder, entry)
    from lmx_rerank.flash import flash

    return flash(folder, entry)


def _folder(model: ModelInfo) -> Path:
    if model.path is None or not model.path.is_dir():
        trouble = model.trouble or f"there is no folder {model.path}"
        raise EngineFailed(f"model {model.id!r} cannot be opened: {trouble}")
    return model.path
