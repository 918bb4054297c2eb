"""Cross-encoders: query and document are read together, and one number comes out."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx_hookspecs.model_kinds import HEAD
from lmx_rerank.config import RerankModel
from lmx_rerank.folder import config_of, shapes_of
from lmx_rerank.ranking import scores_of
from lmx_rerank.torch_device import device_facts, quiet

PADDED_FROM_THERE = frozenset({"camembert", "roberta", "xlm-roberta"})
"""Models that number positions from behind that of the padding, which leaves fewer of them for tokens."""


@frozen(eq=False)
class CrossEncoder:
    """A Reranker with rerankers' `TransformerRanker` in it."""

    ranker: Any
    batch_size: int

    def rerank(self, query: str, documents: Sequence[str]) -> Sequence[float]:
        """The logit of each pair."""
        return scores_of(self.ranker.rank(query, list(documents)), len(documents))

    def count_tokens(self, query: str, documents: Sequence[str]) -> int | None:
        """Of every pair as it was read, marks included."""
        pairs = [(query, document) for document in documents]
        return sum(map(len, self.ranker.tokenizer(pairs, truncation=True)["input_ids"]))

    def describe(self) -> Mapping[str, Any]:
        """Where it runs, and how much it reads."""
        return {**device_facts(self.ranker), "max_length": self.ranker.tokenizer.model_max_length}

    def close(self) -> None:
        """The process ends with it."""


def cross_encoder(folder: Path, entry: RerankModel) -> CrossEncoder:
    """That of a folder; raises ValueError for a model of another kind, ImportError without its libraries."""
    _check_architecture(config_of(folder))
    weights = shapes_of(folder)
    from rerankers.models.transformer_ranker import TransformerRanker

    quiet()
    ranker = TransformerRanker(
        str(folder),
        dtype=entry.dtype,
        device=entry.device,
        batch_size=entry.batch_size or 1,
        verbose=0,
        model_kwargs={"local_files_only": True, "trust_remote_code": False, "use_safetensors": True},
        tokenizer_kwargs={"local_files_only": True, "trust_remote_code": False},
    )
    if ranker.model.config.num_labels != 1:
        raise ValueError(f"it tells {ranker.model.config.num_labels} classes apart; a cross-encoder gives one number")
    _check_head(ranker.model, weights)
    ranker.is_monobert = False  # guessed from the path; it would take the difference of two numbers, and there is one
    ranker.tokenizer.model_max_length = _max_length(ranker, entry.max_length)
    if ranker.model.config.pad_token_id is None:
        ranker.model.config.pad_token_id = ranker.tokenizer.pad_token_id
    return CrossEncoder(ranker, entry.batch_size or 1)


def _check_architecture(config: Mapping[str, Any]) -> None:
    architecture = next(iter(config.get("architectures") or ()), "of no name")
    if not str(architecture).endswith(HEAD):
        raise ValueError(f"its architecture is {architecture}; a cross-encoder is one that ends in {HEAD}")


def _check_head(model: Any, weights: Collection[str]) -> None:
    """What comes after the encoder must come from the files: transformers makes up what it does not find there."""
    head = [name for name in model.state_dict() if not name.startswith(f"{model.base_model_prefix}.")]
    missing = [name for name in head if name not in weights]
    if missing:
        raise ValueError(f"its weights hold no {', '.join(missing)}, without which scores would be random")


def _max_length(ranker: Any, wanted: int | None) -> int:
    """Tokens that it can read at once: beyond, the pair is cut off."""
    limits = [ranker.tokenizer.model_max_length]
    config = ranker.model.config
    positions = getattr(config, "max_position_embeddings", None)
    if positions:
        behind = (config.pad_token_id or 0) + 1 if config.model_type in PADDED_FROM_THERE else 0
        limits.append(positions - behind)
    return int(min([*limits, wanted] if wanted else limits))
