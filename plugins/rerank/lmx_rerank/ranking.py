"""Between what rerankers gives, documents in the order of their scores, and what the kernel wants."""

from typing import Any

from lmx_hookspecs.errors import EngineFailed


def scores_of(ranked: Any, count: int) -> list[float]:
    """The scores of a `RankedResults`, in the order in which the documents went in; raises EngineFailed for gaps."""
    scores = {result.document.doc_id: result.score for result in ranked.results}
    if sorted(scores) != list(range(count)) or len(ranked.results) != count:
        raise EngineFailed(f"rerankers ranked {len(ranked.results)} of {count} documents, and not each once")
    return [float(scores[place]) for place in range(count)]
