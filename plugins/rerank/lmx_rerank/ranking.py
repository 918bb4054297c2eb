"""Between what the libraries give, documents in the order of their scores, and what the kernel wants."""

from collections.abc import Mapping
from typing import Any

from lmx_hookspecs.errors import EngineFailed


def scores_of(ranked: Any, count: int) -> list[float]:
    """The scores of rerankers' `RankedResults`, in the order in which the documents went in."""
    return in_order({result.document.doc_id: result.score for result in ranked.results}, count)


def in_order(scores: Mapping[int, Any], count: int) -> list[float]:
    """The scores by their places; raises EngineFailed for gaps."""
    if sorted(scores) != list(range(count)):
        raise EngineFailed(f"the library ranked {len(scores)} of {count} documents, or others than these")
    return [float(scores[place]) for place in range(count)]
