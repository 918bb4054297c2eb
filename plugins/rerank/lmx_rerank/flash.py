"""FlashRank: small cross-encoders in the ONNX runtime, without torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx_rerank.config import RerankModel
from lmx_rerank.ranking import scores_of

FILES = ("config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")


@frozen(eq=False)
class Flash:
    """A Reranker with rerankers' `FlashRankRanker` in it."""

    ranker: Any
    batch_size: int

    def rerank(self, query: str, documents: Sequence[str]) -> Sequence[float]:
        """From 0 to 1."""
        return scores_of(self.ranker.rank(query, list(documents)), len(documents))

    def count_tokens(self, query: str, documents: Sequence[str]) -> int | None:
        """Of every pair as it was read, marks included and padding not."""
        read = self.ranker.model.tokenizer.encode_batch([(query, document) for document in documents])
        return sum(sum(encoding.attention_mask) for encoding in read)

    def describe(self) -> Mapping[str, Any]:
        """Where it runs."""
        truncation = self.ranker.model.tokenizer.truncation or {}
        return {
            "device": self.ranker.model.session.get_providers()[0],
            "max_length": truncation.get("max_length"),
        }

    def close(self) -> None:
        """The process ends with it."""


def flash(folder: Path, entry: RerankModel) -> Flash:
    """That of a folder; raises ValueError where files are missing, ImportError without its libraries."""
    weights = sorted(folder.glob("*.onnx"))
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing or len(weights) != 1:
        lacking = ", ".join(missing) or "one .onnx file alone"
        raise ValueError(f"{folder} does not hold {lacking}; FlashRank's archives do")
    from flashrank.Config import model_file_map
    from rerankers.models.flashrank_ranker import FlashRankRanker

    # It knows the files of its own models by their names; what it does not find it would download.
    model_file_map[folder.name] = weights[0].name
    ranker = FlashRankRanker(folder.name, verbose=0, cache_dir=str(folder.parent))
    if entry.max_length is not None:
        limit = ranker.model.tokenizer.truncation["max_length"]
        ranker.model.tokenizer.enable_truncation(max_length=min(entry.max_length, limit))
    return Flash(ranker, entry.batch_size or 1)
