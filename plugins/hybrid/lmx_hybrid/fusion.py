"""How the rankings of two legs become one; pure functions, with nothing rounded."""

from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from lmx_hookspecs.retrieval import Fusion

VECTOR = "vector"
KEYWORD = "keyword"

Ranking = Sequence[tuple[int, float]]
"""Ids of chunks with their scores, best first; no id stands in it twice."""


@frozen(kw_only=True)
class Fused:
    """A chunk with what the legs that found it say."""

    id: int
    score: float
    legs: Mapping[str, float]
    ranks: Mapping[str, int]


def fuse(rankings: Mapping[str, Ranking], fusion: Fusion) -> list[Fused]:
    """One ranking of all that any leg has found, best first.

    A leg that has found nothing adds nothing, and the others keep their weights; nor does it add to what it scores 0 or
    less, for in a small collection all are neighbours. Of equal scores what more legs found goes first, then the better
    single rank, then the older chunk.
    """
    weights = {VECTOR: fusion.vector_weight, KEYWORD: fusion.keyword_weight}
    shares: dict[int, float] = {}
    for leg, ranking in rankings.items():
        for chunk, share in _shares(ranking, fusion):
            shares[chunk] = shares.get(chunk, 0.0) + weights[leg] * share
    return _in_order(shares, rankings)


def single(leg: str, ranking: Ranking) -> list[Fused]:
    """The ranking of one leg, by its own scores."""
    return _in_order(dict(ranking), {leg: ranking})


def relevance(fused: Fused, matched: float) -> float:
    """From 0 to 1, on one scale for every mode and every search.

    The better of the cosine similarity and of how much of the query's words it has (`word_weights.matched_share`); only
    legs that found it count.
    """
    cosine = fused.legs.get(VECTOR, 0.0)
    return min(1.0, max(0.0, cosine, matched if KEYWORD in fused.legs else 0.0))


def _shares(ranking: Ranking, fusion: Fusion) -> list[tuple[int, float]]:
    methods: Mapping[str, Callable[[], list[float]]] = {
        "rrf": lambda: [1.0 / (fusion.k + rank) for rank in range(1, len(ranking) + 1)],
        "weighted_sum": lambda: normalised([score for _, score in ranking]),
    }
    shares = zip(ranking, methods[fusion.method](), strict=True)
    return [(chunk, share if score > 0 else 0.0) for (chunk, score), share in shares]


def normalised(scores: Sequence[float]) -> list[float]:
    """To 0..1, the lowest one being 0 and the highest one 1; all 1 where they are equal."""
    if not scores:
        return []
    low, high = min(scores), max(scores)
    if high == low:
        return [1.0] * len(scores)
    return [(score - low) / (high - low) for score in scores]


def _in_order(scores: Mapping[int, float], rankings: Mapping[str, Ranking]) -> list[Fused]:
    legs: dict[int, dict[str, float]] = {chunk: {} for chunk in scores}
    ranks: dict[int, dict[str, int]] = {chunk: {} for chunk in scores}
    for leg, ranking in rankings.items():
        for rank, (chunk, score) in enumerate(ranking, 1):
            legs[chunk][leg] = score
            ranks[chunk][leg] = rank
    found = [Fused(id=chunk, score=score, legs=legs[chunk], ranks=ranks[chunk]) for chunk, score in scores.items()]
    return sorted(found, key=lambda one: (-one.score, -len(one.ranks), min(one.ranks.values()), one.id))
