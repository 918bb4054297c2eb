"""FlashRank: small cross-encoders in the ONNX runtime, without torch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx_rerank.config import RerankModel
from lmx_rerank.ranking import in_order

FILES = ("config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
MOST_TOKENS = 512
"""Of a pair, as FlashRank's own limit is."""


@frozen(eq=False)
class Flash:
    """A Reranker with FlashRank's `Ranker` in it.

    rerankers only passes it on, and imports torch on the way where that is installed: several seconds and 300 MB.
    """

    ranker: Any
    request: Callable[..., Any]
    batch_size: int

    def rerank(self, query: str, documents: Sequence[str]) -> Sequence[float]:
        """From 0 to 1."""
        passages = [{"id": place, "text": document} for place, document in enumerate(documents)]
        ranked = self.ranker.rerank(self.request(query=query, passages=passages))
        return in_order({passage["id"]: passage["score"] for passage in ranked}, len(documents))

    def count_tokens(self, query: str, documents: Sequence[str]) -> int | None:
        """Of every pair as it was read, marks included and padding not."""
        read = self.ranker.tokenizer.encode_batch([(query, document) for document in documents])
        return sum(sum(encoding.attention_mask) for encoding in read)

    def describe(self) -> Mapping[str, Any]:
        """Where it runs."""
        truncation = self.ranker.tokenizer.truncation or {}
        return {
            "device": self.ranker.session.get_providers()[0],
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
    from flashrank import Ranker, RerankRequest
    from flashrank.Config import model_file_map

    # It knows the files of its own models by their names; what it does not find it would download.
    model_file_map[folder.name] = weights[0].name
    most = MOST_TOKENS if entry.max_length is None else min(entry.max_length, MOST_TOKENS)
    ranker = Ranker(folder.name, cache_dir=str(folder.parent), max_length=most, log_level="WARNING")
    return Flash(ranker, RerankRequest, entry.batch_size or 1)
