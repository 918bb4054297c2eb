"""How good rankings are, by relevance judgements: pure functions, in the definitions of trec_eval.

A ranking is document ids, best first, each once; judgements map document ids to grades, of which 0 and below mean not
relevant, as does no judgement at all. Rankings are taken in the order in which they are given: ties are the search
engine's to break (trec_eval sorts them again, by document id).
"""

from collections.abc import Mapping, Sequence
from math import log2

Judgements = Mapping[str, int]
NDCG_DEPTH, RECALL_DEPTH = 10, 100


def ndcg(ranking: Sequence[str], judgements: Judgements, depth: int = NDCG_DEPTH) -> float:
    """Discounted cumulative gain as a part of the best possible one.

    The gain is the grade itself (linear, as in trec_eval and BEIR, not 2^grade - 1), and the discount log2(rank + 1).
    """
    best = _dcg(sorted(judgements.values(), reverse=True)[:depth])
    return _dcg([judgements.get(document, 0) for document in ranking[:depth]]) / best if best else 0.0


def recall(ranking: Sequence[str], judgements: Judgements, depth: int = RECALL_DEPTH) -> float:
    """How many of the relevant documents are among the first ones."""
    wanted = relevant(judgements)
    return len(wanted.intersection(ranking[:depth])) / len(wanted) if wanted else 0.0


def reciprocal_rank(ranking: Sequence[str], judgements: Judgements) -> float:
    """1 / the rank of the first relevant document; 0 where there is none."""
    wanted = relevant(judgements)
    return next((1 / rank for rank, document in enumerate(ranking, 1) if document in wanted), 0.0)


def means(rankings: Mapping[str, Sequence[str]], judgements: Mapping[str, Judgements]) -> Mapping[str, float]:
    """The mean of each over all queries that have a relevant document; a query without a ranking counts as 0.

    Queries without relevant documents are left out, since nothing can be found for them.
    """
    queries = answerable(judgements)
    if not queries:
        return {"ndcg@10": 0.0, "recall@100": 0.0, "mrr": 0.0}
    pairs = [(rankings.get(query, ()), judgements[query]) for query in queries]
    return {
        "ndcg@10": sum(ndcg(*pair) for pair in pairs) / len(pairs),
        "recall@100": sum(recall(*pair) for pair in pairs) / len(pairs),
        "mrr": sum(reciprocal_rank(*pair) for pair in pairs) / len(pairs),
    }


def answerable(judgements: Mapping[str, Judgements]) -> Sequence[str]:
    """The queries that have a relevant document."""
    return [query for query, judged in judgements.items() if relevant(judged)]


def relevant(judgements: Judgements) -> frozenset[str]:
    """The documents that are."""
    return frozenset(document for document, grade in judgements.items() if grade > 0)


def _dcg(grades: Sequence[int]) -> float:
    return sum(max(grade, 0) / log2(rank + 1) for rank, grade in enumerate(grades, 1))
