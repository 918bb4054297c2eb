import math
import struct

import pytest

from lmx.workers import vectors
from lmx_hookspecs.errors import EngineFailed, InvalidRequest


def test_a_vector_travels_as_little_endian_32_bit_floats() -> None:
    sent = vectors.to_wire([1.0, -0.5])

    assert sent == struct.pack("<2f", 1.0, -0.5)
    assert list(vectors.from_wire(sent)) == [1.0, -0.5]


@pytest.mark.parametrize("vector", [[], [math.nan], [1.0, math.inf], [1e300]])
def test_what_is_no_vector_does_not_travel(vector: list[float]) -> None:
    with pytest.raises(EngineFailed, match="empty, or not of finite numbers"):
        vectors.to_wire(vector)


def test_a_shortened_vector_has_length_one() -> None:
    assert vectors.shortened([3.0, 4.0, 12.0], 2) == pytest.approx([0.6, 0.8])


def test_a_vector_that_is_short_enough_stays_as_it_is() -> None:
    assert vectors.shortened([3.0, 4.0], None) == [3.0, 4.0]
    assert vectors.shortened([3.0, 4.0], 2) == [3.0, 4.0]
    assert vectors.shortened([0.0, 0.0, 1.0], 2) == [0.0, 0.0]


def test_more_components_than_there_are_cannot_be_had() -> None:
    with pytest.raises(InvalidRequest, match="ask for fewer") as caught:
        vectors.shortened([1.0], 2)

    assert caught.value.param == "dimensions"
