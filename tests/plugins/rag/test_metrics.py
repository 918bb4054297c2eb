from math import log2

import pytest

from lmx_rag.commands.metrics import answerable, means, ndcg, recall, reciprocal_rank

GRADES = {"a": 3, "b": 2, "c": 0, "d": 1}


def test_ndcg_of_the_ideal_ranking_is_one() -> None:
    assert ndcg(["a", "b", "d", "c"], GRADES) == pytest.approx(1.0)


def test_ndcg_has_linear_gains_and_a_logarithmic_discount() -> None:
    # c 0, b 2, a 3: 2/log2(3) + 3/log2(4) = 1.26186 + 1.5; ideal 3/1 + 2/1.58496 + 1/2 = 4.76186
    assert ndcg(["c", "b", "a"], GRADES) == pytest.approx((2 / log2(3) + 3 / 2) / (3 + 2 / log2(3) + 1 / 2))
    assert ndcg(["c", "b", "a"], GRADES) == pytest.approx(0.57999, abs=1e-5)


def test_ndcg_looks_at_the_first_documents_only() -> None:
    assert ndcg(["x", "y", "a"], GRADES, depth=2) == 0.0


def test_the_ideal_of_ndcg_ends_at_the_same_depth() -> None:
    many = {str(number): 1 for number in range(20)}

    assert ndcg([str(number) for number in range(10)], many, depth=10) == pytest.approx(1.0)


def test_documents_without_a_judgement_and_negative_grades_count_as_not_relevant() -> None:
    assert ndcg(["x", "bad", "a"], {"a": 1, "bad": -2}) == pytest.approx(0.5)
    assert recall(["bad"], {"a": 1, "bad": -2}) == 0.0
    assert reciprocal_rank(["bad", "a"], {"a": 1, "bad": -2}) == 0.5


def test_recall_is_the_part_of_the_relevant_ones_that_was_found() -> None:
    assert recall(["a", "x", "d"], GRADES) == pytest.approx(2 / 3)
    assert recall(["x", "a"], GRADES, depth=1) == 0.0


def test_the_reciprocal_rank_is_that_of_the_first_relevant_document() -> None:
    assert reciprocal_rank(["x", "c", "d", "a"], GRADES) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x"], GRADES) == 0.0


def test_nothing_relevant_makes_zeros_and_no_division_by_zero() -> None:
    assert (ndcg(["a"], {"a": 0}), recall(["a"], {}), reciprocal_rank([], {})) == (0.0, 0.0, 0.0)
    assert means({}, {}) == {"ndcg@10": 0.0, "recall@100": 0.0, "mrr": 0.0}


def test_means_leave_out_queries_without_relevant_documents_and_count_those_without_hits() -> None:
    judgements = {"found": {"a": 1}, "not found": {"b": 1}, "nothing to find": {"c": 0}}

    measured = means({"found": ["x", "a"], "nothing to find": ["c"]}, judgements)

    assert answerable(judgements) == ["found", "not found"]
    assert measured["mrr"] == pytest.approx((0.5 + 0) / 2)
    assert measured["recall@100"] == pytest.approx(0.5)
    assert measured["ndcg@10"] == pytest.approx(1 / log2(3) / 2)


def test_the_order_of_ties_is_that_of_the_ranking() -> None:
    grades = {"a": 1}

    assert ndcg(["a", "b"], grades) > ndcg(["b", "a"], grades)
