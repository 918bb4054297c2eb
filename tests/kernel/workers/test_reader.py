"""Rows whose text is read by a dialect: what goes where, and what is counted as what."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmx.workers import recipe, wire
from lmx.workers.dialect import Dialect, dialect_of
from lmx.workers.frames import Decoder, Encoder
from lmx.workers.preparation import Preparation
from lmx_echo.byte_tokenizer import ByteTokenizer
from lmx_hookspecs import Capability, GenerationRequest, Message, Piece, TokenPiece
from token_host_support import ScriptedSteps, hosted, script
from worker_support import usage_of

TOOLS = [{"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}]
CALL = '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>'
CHAT: dict[str, Any] = {"prompts": (), "messages": [Message(role="user", content="hi")], "tools": TOOLS, "stream": True}


SPECS = recipe.dialects({"lmx_dialects": ["dialects"]})


def hermes(tokenizer: Any) -> Dialect:
    return dialect_of(tokenizer, SPECS, {})


def templated(raw: str, **fields: Any) -> ScriptedSteps:
    tokenizer = ByteTokenizer(chat_template="tools <tool_call></think>")
    return ScriptedSteps(script(raw, **fields), tokenizer=tokenizer, context_length=1_000)


def answer(raw: str, *, script_fields: dict[str, Any] | None = None, **fields: Any) -> list[Piece]:
    with hosted(templated(raw, **(script_fields or {})), dialect_of=hermes) as kernel:
        return kernel.generate(**{**CHAT, **fields})


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def logprobs_of(pieces: list[Piece]) -> str:
    return "".join(logprob.token for piece in pieces for logprob in piece.logprobs)


def test_reasoning_calls_and_text_travel_apart() -> None:
    pieces = answer(f"<think>Hm.</think>Yes.{CALL}")

    deltas = [delta for piece in pieces for delta in piece.tool_calls]
    assert "".join(piece.reasoning for piece in pieces) == "Hm."
    assert text_of(pieces) == "Yes."
    assert [delta.name for delta in deltas if delta.name] == ["get_time"]
    assert "".join(delta.arguments for delta in deltas) == "{}"
    assert pieces[-1].finish_reason == "tool_calls"


def test_every_token_is_counted_in_some_piece_and_those_of_the_reasoning_once_more() -> None:
    raw = f"<think>Hm.</think>Yes.{CALL}"

    pieces = answer(raw)

    assert sum(piece.tokens for piece in pieces) == usage_of(pieces).completion_tokens == len(raw)
    assert usage_of(pieces).reasoning_tokens == len("Hm.")


def test_without_a_dialect_nobody_tells_reasoning_tokens_apart() -> None:
    with hosted(ScriptedSteps(script("abc"))) as kernel:
        assert usage_of(kernel.generate()).reasoning_tokens is None


@pytest.mark.parametrize("raw", ["<think>Hm.</think>Yes.", f"Yes.{CALL}", f"{CALL}Yes.", "Ye<think>Hm.</think>s."])
def test_logprobs_are_those_of_the_text(raw: str) -> None:
    pieces = answer(raw, script_fields={"logprob": -0.5}, logprobs=0)

    assert logprobs_of(pieces) == text_of(pieces) == "Yes."


def test_a_stop_string_ends_the_text_and_nothing_behind_it_is_read() -> None:
    engine = templated(f"Yes. STOP {CALL}")
    with hosted(engine, dialect_of=hermes) as kernel:
        pieces = kernel.generate(**CHAT, stop=["STOP"])

    assert text_of(pieces) == "Yes. "
    assert not any(piece.tool_calls for piece in pieces)
    assert (pieces[-1].finish_reason, pieces[-1].stop) == ("stop", "STOP")
    assert usage_of(pieces).completion_tokens == len("Yes. STOP")
    assert engine.cancelled == [0]


@pytest.mark.parametrize("stop", ["STOP", "think", "</think>", "tool_call", '"name"', "ge"])
def test_a_stop_string_in_the_reasoning_or_in_a_call_ends_nothing(stop: str) -> None:
    pieces = answer(f"<think>Do not STOP, call get_time.</think>Yes.{CALL} And", stop=[stop])

    assert "".join(piece.reasoning for piece in pieces) == "Do not STOP, call get_time."
    assert text_of(pieces) == "Yes.And"
    assert [delta.name for piece in pieces for delta in piece.tool_calls if delta.name] == ["get_time"]
    assert (pieces[-1].finish_reason, pieces[-1].stop) == ("tool_calls", None)


def test_a_stop_string_is_one_of_the_text_that_the_client_sees() -> None:
    pieces = answer("<think>STO</think>Yes. STOP no", stop=["STOP"])

    assert (text_of(pieces), pieces[-1].stop) == ("Yes. ", "STOP")


@pytest.mark.parametrize("between", ["<think>Hm.</think>", CALL])
def test_a_thought_or_a_call_parts_a_stop_string_and_comes_after_the_text_before_it(between: str) -> None:
    pieces = answer(f"Yes. ST{between}OP no", stop=["STOP"])

    first = next(place for place, piece in enumerate(pieces) if piece.tool_calls or piece.reasoning)
    assert text_of(pieces[: first + 1]) == "Yes. ST"
    assert (text_of(pieces), pieces[-1].stop) == ("Yes. STOP no", None)


def test_white_space_that_stops_is_found_once_it_is_certain_to_be_text() -> None:
    pieces = answer("Yes.\n\nNo.", stop=["\n\n"])
    at_the_end = answer("Yes.\n\n", stop=["\n\n"])
    before_a_call = answer(f"Yes.\n\n{CALL}", stop=["\n\n"])

    assert [text_of(pieces), text_of(at_the_end), text_of(before_a_call)] == ["Yes."] * 3
    assert [pieces[-1].stop, at_the_end[-1].stop, before_a_call[-1].stop] == ["\n\n", "\n\n", None]


@pytest.mark.parametrize("raw", ["Yes. STO", f"{CALL}Yes. STO", "<think>Hm.</think>Yes. STO"])
def test_the_beginning_of_a_stop_string_is_text_where_the_answer_ends(raw: str) -> None:
    pieces = answer(raw, script_fields={"logprob": -0.5}, stop=["STOP"], logprobs=0)

    assert text_of(pieces) == "Yes. STO"
    assert logprobs_of(pieces) == "Yes. STO"


@pytest.mark.parametrize("raw", ["Yes. STOP no", "<think>STOP.</think>Yes. STOP no", f"{CALL}Yes. STOP no"])
def test_logprobs_end_with_the_text_before_a_stop_string(raw: str) -> None:
    pieces = answer(raw, script_fields={"logprob": -0.5}, stop=["STOP"], logprobs=0)

    assert logprobs_of(pieces) == text_of(pieces) == "Yes. "
    assert all(piece.text for piece in pieces if piece.logprobs)


def test_an_answer_that_is_too_long_ends_with_length_though_it_called() -> None:
    pieces = answer(f"{CALL}Ye", script_fields={"token": ord("s"), "finish_reason": "length"})

    assert pieces[-1].finish_reason == "length"
    assert text_of(pieces) == "Yes"


PARTS = ["Yes", "STOP", "ST", "OP", " ", "\n", "<", "<th", "<think>", "</think>", "Hm.", CALL, "<tool_call>", "</tool_"]


@given(st.lists(st.sampled_from(PARTS), max_size=10), st.sampled_from(["STOP", "\n", "<", "OP", " Y", "m."]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_whatever_an_answer_holds_its_text_is_cut_at_the_first_stop_string(parts: list[str], stop: str) -> None:
    free = taken("".join(parts), stop=[])
    bound = taken("".join(parts), stop=[stop])

    text, found = cut(stretches_of(free), stop)
    assert text_of(bound) == text
    assert bound[-1].stop == found
    assert logprobs_of(free).startswith(logprobs_of(bound))
    assert bound[-1].finish_reason in ("stop", "tool_calls")


def stretches_of(pieces: list[Piece]) -> list[str]:
    """The text between calls and thoughts."""
    stretches = [""]
    for piece in pieces:
        if piece.reasoning:
            stretches.append("")
        stretches[-1] += piece.text
        if piece.tool_calls:
            stretches.append("")
    return stretches


def cut(stretches: list[str], stop: str) -> tuple[str, str | None]:
    for place, stretch in enumerate(stretches):
        before, found, _ = stretch.partition(stop)
        if found:
            return "".join([*stretches[:place], before]), stop
    return "".join(stretches), None


def taken(raw: str, **fields: Any) -> list[Piece]:
    """The pieces of a row, without a host around it."""
    engine = templated(raw, logprob=-0.5)
    request = GenerationRequest(**{"model": "m", **CHAT, "logprobs": 0, **fields})
    (row,) = Preparation(engine.tokenizer, 1_000, hermes(engine.tokenizer)).answer(1, request, 0.0).rows
    wired = []
    for step in engine.script:
        wired.append(row.take(TokenPiece(id=0, **step), 0.0))
        if row.ended:
            break
    (arrived,) = Decoder().feed(Encoder().encode([piece for piece in wired if piece]))
    return [*map(wire.piece_from_wire, arrived)]


def test_half_a_tag_at_the_length_limit_is_text_that_a_warning_tells_of() -> None:
    pieces = answer("Yes. <tool_", script_fields={"token": ord("c"), "finish_reason": "length"}, stop=["STOP"])

    assert (text_of(pieces), pieces[-1].finish_reason) == ("Yes. <tool_c", "length")
    assert [warning for piece in pieces for warning in piece.warnings] == [
        "the answer ends in '<tool_c', where a tag may begin; it is left in the text"
    ]


def test_warnings_of_the_parser_reach_the_client() -> None:
    pieces = answer("<tool_call>oops</tool_call>")

    assert text_of(pieces) == "oops"
    assert any("a block of calls holds something else" in warning for piece in pieces for warning in piece.warnings)


def test_each_choice_is_read_by_itself() -> None:
    pieces = answer(CALL, n=3)

    named = {piece.index: delta.id for piece in pieces for delta in piece.tool_calls if delta.name}
    assert sorted(named) == [0, 1, 2]
    assert len(set(named.values())) == 3


def test_the_engine_s_description_tells_what_template_and_dialect_add() -> None:
    with hosted(templated(""), dialect_of=hermes) as kernel:
        told = kernel.call("describe")

    assert told["capabilities"] == [Capability.TOOLS]
    assert told["details"]["dialect"] == "hermes"
