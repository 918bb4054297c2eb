from collections.abc import Sequence
from typing import Any

import pytest

from kernel_support import Clock
from lmx.workers.inputs import SLICE_S, Inputs, check_dimensions
from lmx_echo.byte_tokenizer import ByteTokenizer
from lmx_hookspecs import EmbeddingRequest
from lmx_hookspecs.errors import UnsupportedParameter


def inputs(given: Sequence[Any], clock: Any = None) -> Inputs:
    request = EmbeddingRequest(model="m", inputs=given)
    return Inputs(1, request, ByteTokenizer(), 100, *([clock] if clock else []))


def test_texts_and_ids_become_tokens() -> None:
    prepared = inputs(["ab", [1, 2, 3]])

    assert prepared.advance()
    assert prepared.tokens == [[97, 98], [1, 2, 3]]


def test_a_large_request_is_prepared_in_slices_so_that_others_get_their_turn() -> None:
    clock = Clock()

    def late() -> float:
        clock.now_s += 0.6 * SLICE_S  # as if each input took so long
        return clock()

    prepared = inputs(["a", "b", "c"], late)

    assert [prepared.advance(), len(prepared.tokens)] == [False, 2]
    assert prepared.advance()
    assert prepared.tokens == [[97], [98], [99]]


@pytest.mark.parametrize("details", [{"matryoshka": True}, {"dimensions": 8}])
def test_dimensions_are_honoured_by_models_that_shorten_or_have_just_so_many(details: dict[str, Any]) -> None:
    check_dimensions(8, details)
    check_dimensions(None, {})


@pytest.mark.parametrize("details", [{}, {"matryoshka": False}, {"dimensions": 16}])
def test_other_dimensions_are_refused_by_name(details: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        check_dimensions(8, details)

    assert caught.value.param == "dimensions"
