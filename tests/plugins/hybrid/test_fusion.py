import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_hookspecs.retrieval import Fusion, FusionMethod
from lmx_hybrid.fusion import KEYWORD, VECTOR, Ranking, fuse, normalised, relevance, single

SCORES = st.floats(0, 1000, exclude_min=True, allow_subnormal=False)
RANKINGS = st.dictionaries(st.integers(1, 20), SCORES, max_size=12).map(
    lambda scores: sorted(scores.items(), key=lambda one: (-one[1], one[0]))
)
FUSIONS = st.builds(
    Fusion,
    method=st.sampled_from(["rrf", "weighted_sum"]),
    k=st.integers(1, 200),
    vector_weight=st.floats(0, 5),
    keyword_weight=st.floats(0, 5),
)


@given(RANKINGS, RANKINGS, FUSIONS)
def test_a_fusion_holds_all_that_any_leg_found_once_and_in_order(
    vector: Ranking, keyword: Ranking, fusion: Fusion
) -> None:
    fused = fuse({VECTOR: vector, KEYWORD: keyword}, fusion)

    assert sorted(one.id for one in fused) == sorted({chunk for chunk, _ in [*vector, *keyword]})
    assert [one.score for one in fused] == sorted((one.score for one in fused), reverse=True)
    for one in fused:
        assert one.legs == {
            leg: dict(ranking)[one.id]
            for leg, ranking in ((VECTOR, vector), (KEYWORD, keyword))
            if one.id in dict(ranking)
        }


@given(RANKINGS, RANKINGS, st.integers(1, 200), st.floats(0, 5), st.floats(0, 5))
def test_rrf_is_the_sum_of_weight_over_k_plus_rank(
    vector: Ranking, keyword: Ranking, k: int, first: float, second: float
) -> None:
    fused = fuse({VECTOR: vector, KEYWORD: keyword}, Fusion(k=k, vector_weight=first, keyword_weight=second))

    weights = {VECTOR: first, KEYWORD: second}
    for one in fused:
        assert one.score == pytest.approx(sum(weights[leg] / (k + rank) for leg, rank in one.ranks.items()))


@given(RANKINGS, FUSIONS)
def test_the_weight_of_an_empty_leg_does_not_reach_the_other(ranking: Ranking, fusion: Fusion) -> None:
    alone = fuse({VECTOR: [], KEYWORD: ranking}, fusion)
    missing = fuse({KEYWORD: ranking}, fusion)

    assert alone == missing
    assert all(one.ranks.keys() == {KEYWORD} for one in alone)


@given(RANKINGS, RANKINGS, FUSIONS)
def test_the_order_does_not_depend_on_which_leg_comes_first(vector: Ranking, keyword: Ranking, fusion: Fusion) -> None:
    one_way = fuse({VECTOR: vector, KEYWORD: keyword}, fusion)
    other_way = fuse({KEYWORD: keyword, VECTOR: vector}, fusion)

    assert [one.id for one in one_way] == [one.id for one in other_way]


def test_what_both_legs_found_goes_before_what_one_found_at_the_same_rank() -> None:
    fused = fuse({VECTOR: [(1, 0.9), (2, 0.8)], KEYWORD: [(3, 9.0), (2, 8.0)]}, Fusion())

    assert [one.id for one in fused] == [2, 1, 3]
    assert fused[0].ranks == {VECTOR: 2, KEYWORD: 2}


@pytest.mark.parametrize("method", ["rrf", "weighted_sum"])
def test_a_neighbour_that_is_not_similar_gets_nothing_for_it(method: FusionMethod) -> None:
    near, far, opposite = (1, 0.9), (2, 0.0), (3, -0.4)

    fused = fuse({VECTOR: [near, far, opposite], KEYWORD: [(3, 7.0)]}, Fusion(method=method))
    unlike = fuse({VECTOR: [far, opposite]}, Fusion(method=method))

    assert [one.id for one in fused] == [3, 1, 2], "of equal scores, what both found"
    assert fused[0].score == fused[1].score
    assert fused[2].score == 0.0
    assert fused[0].ranks == {VECTOR: 3, KEYWORD: 1}
    assert [(one.id, one.score) for one in unlike] == [(2, 0.0), (3, 0.0)]


def test_nothing_is_rounded() -> None:
    ranking = [(chunk, 1.0 / chunk) for chunk in range(1, 2001)]

    fused = fuse({VECTOR: ranking}, Fusion())

    assert len({one.score for one in fused}) == len(ranking)


def test_a_weighted_sum_adds_normalised_scores() -> None:
    fused = fuse(
        {VECTOR: [(1, 0.9), (2, 0.5)], KEYWORD: [(2, 12.0), (3, 6.0), (1, 4.0)]},
        Fusion(method="weighted_sum", vector_weight=2.0, keyword_weight=1.0),
    )

    assert [(one.id, one.score) for one in fused] == [(1, 2.0), (2, 1.0), (3, 0.25)]


@given(st.lists(SCORES, max_size=10))
def test_normalised_scores_are_from_0_to_1_in_the_same_order(scores: list[float]) -> None:
    shares = normalised(scores)

    assert all(0 <= share <= 1 for share in shares)
    assert sorted(shares) == [share for _, share in sorted(zip(scores, shares, strict=True))]


def test_relevance_is_the_better_of_the_cosine_and_of_the_share_of_words() -> None:
    (both,) = fuse({VECTOR: [(1, 0.4)], KEYWORD: [(1, 3.0)]}, Fusion())
    (opposite,) = single(VECTOR, [(1, -0.3)])
    (beyond,) = single(VECTOR, [(1, 1.0000001)])

    assert relevance(both, 0.75) == 0.75
    assert relevance(both, 0.1) == 0.4
    assert relevance(opposite, 0.0) == 0.0
    assert relevance(beyond, 0.0) == 1.0
    assert relevance(opposite, 0.9) == 0.0, "the words did not find it"
