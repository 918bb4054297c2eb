"""Chunks of all kinds of servers, read into pieces."""

from collections.abc import Mapping
from typing import Any

import pytest

from lmx_hookspecs import GenerationRequest, Piece, TokenLogprob, ToolCallDelta
from lmx_hookspecs.errors import EngineFailed
from lmx_remote.answers import LONGEST_TOKEN_BYTES, AnswerReader
from lmx_remote.counts import MOST_TOKENS
from remote_support import chat, finish, text, usage


def read(*chunks: Mapping[str, Any], request: GenerationRequest | None = None) -> list[Piece]:
    reader = AnswerReader(request or chat(), "box")
    pieces = [piece for chunk in chunks for piece in reader.pieces(chunk)]
    return [*pieces, reader.end()]


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields}]}


def test_empty_chunks_are_no_pieces() -> None:
    opening = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}

    pieces = read(opening, {"choices": None}, {"choices": [{"index": 0, "delta": None}]}, text("a"), finish(), usage())

    assert [piece.text for piece in pieces] == ["a", "", ""]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_told_apart(name: str) -> None:
    pieces = read(delta(**{name: "hm"}), text("a"), finish())

    assert [(piece.reasoning, piece.text) for piece in pieces[:2]] == [("hm", ""), ("", "a")]


def test_tool_calls_keep_their_order_even_without_an_index() -> None:
    calls = [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a'}},
        {"index": 0, "function": {"arguments": '": 1}'}},
        {"id": "c2", "function": {"name": "g", "arguments": {"b": 2}}},
    ]

    pieces = read(*(delta(tool_calls=[call]) for call in calls), finish("tool_calls"))

    assert [piece.tool_calls for piece in pieces[:3]] == [
        (ToolCallDelta(index=0, id="c1", name="f", arguments='{"a'),),
        (ToolCallDelta(index=0, arguments='": 1}'),),
        (ToolCallDelta(index=0, id="c2", name="g", arguments='{"b": 2}'),),
    ]
    assert pieces[3].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("told", "reason"), [("length", "length"), ("eos", "stop"), ("function_call", "tool_calls"), ("stop", "stop")]
)
def test_finish_reasons_are_openais(told: str, reason: str) -> None:
    pieces = read(finish(told))

    assert pieces[0].finish_reason == reason


@pytest.mark.parametrize(("told", "expected"), [("END", "END"), ("other", None), (7, None), (None, None)])
def test_the_stop_string_that_a_node_names_is_told(told: Any, expected: str | None) -> None:
    ending = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": told}]}

    pieces = read(text("a"), ending, request=chat(stop=["END"]))

    assert [piece.stop for piece in pieces if piece.finish_reason] == [expected]


def test_a_node_that_gives_up_has_not_finished() -> None:
    with pytest.raises(EngineFailed, match="not OpenAI's"):
        read(finish("abort"))


def test_logprobs_of_chats_and_of_completions_are_read() -> None:
    top = {"token": "b", "bytes": None, "logprob": -2.0}
    entry = {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": [top]}
    chatted = {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [entry]}}]}
    legacy = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"b": -2.0}]}
    completed = {"choices": [{"index": 0, "text": "a", "logprobs": legacy, "finish_reason": "stop"}]}
    expected = TokenLogprob("a", b"a", -0.5, (TokenLogprob("b", b"b", -2.0),))

    from_chat = read(chatted, finish(), request=chat(logprobs=1))
    from_completion = read(completed, request=GenerationRequest(model="m", prompts=["p"], logprobs=1))

    assert from_chat[0].logprobs == (expected,)
    assert from_completion[0].logprobs == (expected,)


@pytest.mark.parametrize("raw", [10**9, "a", [256], [-1], [0.5], [0] * (LONGEST_TOKEN_BYTES + 1), {"0": 1}])
def test_bytes_of_a_token_that_are_none_are_a_failure_and_take_no_memory(raw: Any) -> None:
    entry = {"token": "a", "bytes": raw, "logprob": -0.5}
    chatted = {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [entry]}}]}

    with pytest.raises(EngineFailed, match="not OpenAI's"):
        read(chatted, request=chat(logprobs=1))


@pytest.mark.parametrize("number", [float("inf"), 10**400])
def test_odd_numbers_are_a_failure_of_the_node(number: Any) -> None:
    choices = [{"index": number}, {"delta": {"tool_calls": [{"index": number}]}}]
    entry = {"token": "a", "logprob": 10**400}
    choices.append({"delta": {"content": "a"}, "logprobs": {"content": [entry]}})

    for choice in choices:
        with pytest.raises(EngineFailed, match="node 'box'"):
            read({"choices": [choice]}, request=chat(logprobs=1))


def test_the_tokens_of_all_pieces_are_those_that_the_node_counted() -> None:
    cached = {"usage": {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}}

    pieces = read(text("a"), text("b"), finish(), cached)

    last = pieces[-1].usage
    assert last is not None
    assert (last.prompt_tokens, last.completion_tokens, last.cached_tokens, last.counted) == (9, 5, 4, True)
    assert sum(piece.tokens for piece in pieces) == 5


def test_without_counts_the_pieces_are_counted_and_that_is_said() -> None:
    pieces = read(text("a"), text("b"), finish())

    last = pieces[-1].usage
    assert last is not None
    assert (last.prompt_tokens, last.completion_tokens, last.counted) == (0, 2, False)


@pytest.mark.parametrize(
    "told",
    [
        {"completion_tokens": 1},
        {"prompt_tokens": "many"},
        [1],
        {"prompt_tokens": -1},
        {"prompt_tokens": 1, "completion_tokens": -5},
        {"prompt_tokens": 10**400},
        {"prompt_tokens": float("inf")},
        {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": MOST_TOKENS + 1}},
    ],
)
def test_counts_that_make_no_sense_are_a_failure(told: Any) -> None:
    with pytest.raises(EngineFailed, match="counts its tokens"):
        read(finish(), {"usage": told})


def test_times_are_told_apart() -> None:
    moments = iter([10.0, 11.0, 14.0])
    reader = AnswerReader(chat(), "box", clock=lambda: next(moments))

    reader.pieces(text("a"))
    reader.pieces(finish())
    last = reader.end().usage

    assert last is not None
    assert (last.prefill_s, last.decode_s) == (1.0, 3.0)
