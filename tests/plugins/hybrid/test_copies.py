"""Chunks with the same vector, behind one label."""

import numpy as np
import pytest

from lmx_hybrid.copies import Copies

EAST, NORTH = np.array([1, 0], np.float32), np.array([0, 1], np.float32)


def of_five() -> Copies:
    """1, 3 and 4 are the same, 2 and 5 are."""
    copies = Copies()
    for chunk, vector in enumerate((EAST, NORTH, EAST, EAST, NORTH), start=1):
        copies.put(chunk, vector)
    return copies


def spread(copies: Copies, *labels: int, k: int = 10, allowed: list[int] | None = None) -> dict[int, float]:
    scores = np.arange(len(labels), 0, -1).astype(np.float32)
    wanted = None if allowed is None else np.array(allowed, np.int64)
    ids, found = copies.spread(np.array(labels, np.int64), scores, k, wanted)
    return dict(zip(ids.tolist(), found.tolist(), strict=True))


def test_only_the_first_chunk_with_a_vector_needs_a_row() -> None:
    copies = Copies()

    assert [copies.put(chunk, vector) for chunk, vector in ((1, EAST), (2, NORTH), (3, EAST))] == [True, True, False]
    assert (len(copies), copies.labels, copies.ids().tolist()) == (3, 2, [1, 2, 3])


def test_every_chunk_behind_a_label_is_found_with_its_score() -> None:
    assert spread(of_five(), 2, 1) == {2: 2, 5: 2, 1: 1, 3: 1, 4: 1}
    assert spread(of_five(), 2, 1, k=2) == {2: 2, 5: 2, 1: 1, 3: 1}
    assert spread(of_five(), 2, 1, k=1, allowed=[4, 5]) == {5: 2, 4: 1}
    assert spread(of_five()) == {}


@pytest.mark.parametrize("order", [(1, 3, 4), (4, 3, 1), (3, 1, 4)])
def test_a_label_goes_with_the_last_chunk_that_has_it(order: tuple[int, ...]) -> None:
    copies = of_five()

    assert [copies.drop(chunk) for chunk in order] == [None, None, 1]
    copies.forget(EAST)

    assert (copies.labels, copies.ids().tolist()) == (1, [2, 5])
    assert copies.drop(1) is None, "a second time changes nothing"
    assert copies.put(6, EAST), "a later chunk is the first again"


def test_the_label_stays_when_the_first_chunk_goes() -> None:
    copies = of_five()
    copies.drop(1)

    assert spread(copies, 1) == {3: 1, 4: 1}
    assert not copies.put(6, EAST)
    assert spread(copies, 1) == {3: 1, 4: 1, 6: 1}


def test_saved_rows_come_back_as_they_were() -> None:
    copies = of_five()
    copies.drop(1)

    again = Copies.of_rows(copies.rows())

    assert (len(again), again.labels) == (4, 2)
    assert spread(again, 2, 1) == spread(copies, 2, 1)
    assert not again.put(6, EAST)
    assert [again.drop(chunk) for chunk in (3, 4, 6)] == [None, None, 1]
    assert len(Copies.of_rows(Copies().rows())) == 0
