from collections.abc import Sequence

import pytest

from lmx_hookspecs import Piece, Sampling
from lmx_hookspecs.errors import EngineFailed
from lmx_hookspecs.stops import StopStrings
from lmx_vllm.answers import Answer, Output
from lmx_vllm.planning import Plan, RowPlan


def answer_of(*, rows: int = 1, stops: Sequence[str] = ()) -> Answer:
    plans = [
        RowPlan(index=index, tokens=[1, 2, 3], max_tokens=9, sampling=Sampling(), first_of_prompt=index == 0)
        for index in range(rows)
    ]
    return Answer.of(Plan(rows=plans, prompt_tokens=3), StopStrings.compile(stops), arrived_s=1.0)


def fed(answer: Answer, *outputs: Output) -> list[Piece]:
    (row,) = answer.rows
    pieces = [row.take(output, 2.0 + number) for number, output in enumerate(outputs)]
    return [piece for piece in pieces if piece]


def test_the_end_of_a_sequence_is_no_token_of_the_answer() -> None:
    pieces = fed(answer_of(), Output(text="hi", tokens=2), Output(text="", tokens=1, reason="stop", whole_text="hi"))

    assert [(piece.text, piece.tokens, piece.finish_reason) for piece in pieces] == [("hi", 2, None), ("", 0, "stop")]
    usage = pieces[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.prefill_s, usage.decode_s) == (3, 2, 1.0, 1.0)


def test_an_empty_answer_does_not_spell_its_end() -> None:
    (piece,) = fed(answer_of(), Output(text="", tokens=1, reason="stop", whole_text="<|end|>"))

    assert (piece.text, piece.tokens) == ("", 0)


def test_half_a_character_that_was_held_back_comes_with_the_end() -> None:
    pieces = fed(
        answer_of(), Output(text="a", tokens=1), Output(text="", tokens=1, reason="length", whole_text="a\ufffd")
    )

    assert "".join(piece.text for piece in pieces) == "a\ufffd"
    assert pieces[-1].finish_reason == "length"


def test_tokens_whose_text_is_held_back_are_told_of_with_the_next_text() -> None:
    pieces = fed(
        answer_of(stops=["END"]),
        Output(text="aE", tokens=2),
        Output(text="N", tokens=1),
        Output(text="x", tokens=1, reason="length", whole_text="aENx"),
    )

    assert [(piece.text, piece.tokens) for piece in pieces] == [("a", 2), ("ENx", 2)]


def test_a_stop_string_ends_the_row_before_it() -> None:
    answer = answer_of(stops=["END", "never"])

    pieces = fed(answer, Output(text="abE", tokens=1), Output(text="NDcd", tokens=1))

    assert "".join(piece.text for piece in pieces) == "ab"
    assert (pieces[-1].finish_reason, pieces[-1].stop) == ("stop", "END")
    assert pieces[-1].usage is not None
    assert answer.rows[0].cut


def test_usage_comes_with_the_last_of_all_choices_and_counts_the_prompt_once() -> None:
    answer = answer_of(rows=2)
    first, second = answer.rows

    early = first.take(Output(text="a", tokens=1, cached_tokens=2, reason="length", whole_text="a"), 2.0)
    late = second.take(Output(text="b", tokens=1, cached_tokens=2, reason="length", whole_text="b"), 3.0)

    assert early is not None
    assert early.usage is None
    assert late is not None
    assert late.usage is not None
    assert (late.usage.prompt_tokens, late.usage.completion_tokens, late.usage.cached_tokens) == (3, 2, 2)


def test_a_row_that_the_engine_gave_up_is_a_failure() -> None:
    with pytest.raises(EngineFailed, match="error"):
        fed(answer_of(), Output(text="", tokens=0, reason="error"))
