"""ColBERT: a vector for every token of query and document, and the best match of each token of the query, added up.

Khattab and Zaharia, SIGIR 2020.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx_rerank.config import RerankModel
from lmx_rerank.folder import config_of, shapes_of
from lmx_rerank.ranking import scores_of
from lmx_rerank.torch_device import device_facts, quiet

PROJECTION = "linear.weight"
"""From the model's vectors to those that are compared."""
ENCODER = "bert.embeddings.word_embeddings.weight"


@frozen(eq=False)
class ColBert:
    """A Reranker with rerankers' `ColBERTRanker` in it."""

    ranker: Any
    batch_size: int

    def rerank(self, query: str, documents: Sequence[str]) -> Sequence[float]:
        """The best cosine similarity of each token of the query, and of the marks that lengthen it, by their number."""
        return scores_of(self.ranker.rank(query, list(documents)), len(documents))

    def count_tokens(self, query: str, documents: Sequence[str]) -> int | None:
        """Of the query once, and of every document, each with its marks."""
        most = self.ranker.doc_max_length - 1  # rerankers puts one more mark in
        read = self.ranker.tokenizer([query, *documents], truncation=True, max_length=most)["input_ids"]
        return sum(len(tokens) + 1 for tokens in read)

    def describe(self) -> Mapping[str, Any]:
        """Where it runs, how much of a text it reads, and how long its vectors are."""
        width = self.ranker.model.linear.out_features
        return {**device_facts(self.ranker), "max_length": self.ranker.doc_max_length, "dimensions": width}

    def close(self) -> None:
        """The process ends with it."""


def colbert(folder: Path, entry: RerankModel) -> ColBert:
    """That of a folder; raises ValueError for a model of another kind, ImportError without its libraries."""
    config = config_of(folder)
    if config.get("model_type") != "bert":
        raise ValueError(f"it is {config.get('model_type')}; rerankers opens ColBERT models on BERT alone")
    shapes = shapes_of(folder)
    missing = [name for name in (PROJECTION, ENCODER) if name not in shapes]
    if missing:
        raise ValueError(f"its weights hold no {missing[0]}, so it is no ColBERT model")
    from rerankers.models.colbert_ranker import ColBERTRanker

    quiet()
    with _projecting_to(shapes[PROJECTION][0]):
        ranker = ColBERTRanker(
            str(folder),
            batch_size=entry.batch_size or 1,
            dtype=entry.dtype,
            device=entry.device,
            verbose=0,
            model_kwargs={"local_files_only": True, "use_safetensors": True},
            tokenizer_kwargs={"local_files_only": True, "trust_remote_code": False},
        )
    ranker.doc_max_length = min(ranker.doc_max_length, entry.max_length or ranker.doc_max_length)
    return ColBert(ranker, entry.batch_size or 1)


@contextmanager
def _projecting_to(dimensions: int) -> Iterator[None]:
    """Within the block rerankers makes models that fit the weights, and that transformers 5 can fill.

    Left alone it guesses 96 or 128 dimensions from the name, and its model skips a step of the base class without which
    transformers 5 cannot load it.
    """
    import rerankers.models.colbert_ranker as module
    from torch.nn import Linear

    theirs: Any = module.ColBERTModel

    class Fitting(theirs):  # type: ignore[misc]  # a class that strict mode cannot see into
        _prepared = False

        def __init__(self, config: Any, verbose: int) -> None:
            super().__init__(config, verbose)
            self.linear = Linear(config.hidden_size, dimensions, bias=False)

        def init_weights(self) -> None:
            if self._prepared:
                super().init_weights()
                return
            self._prepared = True
            self.post_init()  # which comes back here

    module.ColBERTModel = Fitting
    try:
        yield
    finally:
        module.ColBERTModel = theirs
