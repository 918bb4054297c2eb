from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_static.table import Table, table_of
from static_support import EMBEDDINGS, SCALES

UNKNOWN, ONE, TWO, THREE, FOUR, S, ZERO = range(7)


def table() -> Table:
    return Table(np.array(EMBEDDINGS, dtype=np.int8), np.array(SCALES, dtype=np.float32))


def test_vectors_are_weighted_sums_of_length_one() -> None:
    (vector,) = table().embed([[ONE, TWO]])

    np.testing.assert_allclose(vector, np.array([1, 2, 0]) / np.sqrt(5), atol=1e-6)


def test_the_order_of_tokens_does_not_matter_and_how_often_they_come_does() -> None:
    forth, back, twice = table().embed([[ONE, TWO, TWO], [TWO, ONE, TWO], [TWO, ONE]])

    np.testing.assert_allclose(forth, back, atol=1e-6)
    assert np.abs(forth - twice).max() > 0.05


def test_an_unknown_token_counts_only_where_there_is_nothing_else() -> None:
    mixed, known, alone = table().embed([[ONE, UNKNOWN], [ONE], [UNKNOWN]])

    np.testing.assert_allclose(mixed, known, atol=1e-5)
    np.testing.assert_allclose(alone, [0, 0, 1], atol=1e-6)


def test_fewer_dimensions_are_the_first_ones_at_length_one() -> None:
    (vector,) = table().embed([[ONE, TWO, S]], dimensions=2)

    np.testing.assert_allclose(vector, np.array([1, 2]) / np.sqrt(5), atol=1e-6)


@given(st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=20), min_size=1, max_size=5), st.integers(1, 3))
def test_vectors_are_finite_and_alike_in_any_company(inputs: list[list[int]], dimensions: int) -> None:
    vectors = table().embed(inputs, dimensions)

    assert vectors.shape == (len(inputs), dimensions)
    assert np.isfinite(vectors).all()
    for tokens, vector in zip(inputs, vectors, strict=True):
        np.testing.assert_array_equal(table().embed([tokens], dimensions)[0], vector)


def test_vectors_that_cancel_each_other_out_are_no_nan() -> None:
    cancelled, nothing = table().embed([[TWO, FOUR], [ZERO]])

    assert np.isfinite(cancelled).all()
    np.testing.assert_array_equal(nothing, np.zeros(3))


def test_weights_that_make_no_table_are_refused() -> None:
    embeddings, scales = np.array(EMBEDDINGS, dtype=np.int8), np.array(SCALES, dtype=np.float32)

    refused: list[dict[str, Any]] = [
        {"embeddings": embeddings},
        {"embeddings": embeddings, "scales": scales[1:]},
        {"embeddings": embeddings[:0], "scales": scales[:0]},
        {"embeddings": embeddings, "scales": scales * np.float32("nan")},
    ]
    for tensors in refused:
        with pytest.raises(ValueError, match=r"tensor 'scales'|make no table|not a number"):
            table_of(tensors)
