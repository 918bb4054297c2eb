"""How much of a query a chunk has, by its words: an absolute scale, which BM25 scores do not have."""

import math


def word_weight(chunks: int, having: int) -> float:
    """Of a word that so many of the chunks have: the inverse document frequency of BM25.

    It is next to nothing for a word that all have, and greatest for one that none has.
    """
    having = min(having, chunks)
    return math.log(1 + (chunks - having + 0.5) / (having + 0.5))


def matched_share(matched: float, all_words: float) -> float:
    """From 0 to 1: the weight of those words of a query that a chunk has, of the weight of all its words.

    A chunk that shares only the `the` of a query has next to nothing of it, also where no other chunk has more; one
    that has all words has 1. How often it has them is a matter of the order, which BM25 sees to.
    """
    return min(1.0, matched / all_words) if all_words > 0 else 0.0
