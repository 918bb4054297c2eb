from typing import Any

import pytest

from lmx.workers.preparation import MAX_STOP_CHARS, Preparation
from lmx.workers.rows import Answer
from lmx_echo.byte_tokenizer import TURN, ByteTokenizer
from lmx_hookspecs import GenerationRequest, Message, Sampling
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest, UnsupportedParameter

CONTEXT = 100
VOCABULARY = 258


def prepare(request: GenerationRequest) -> Answer:
    return Preparation(ByteTokenizer(), CONTEXT).answer(1, request, 0.0)


def completion(*prompts: Any, **fields: Any) -> GenerationRequest:
    return GenerationRequest(model="m", prompts=prompts or ("hello",), **fields)


def test_a_chat_goes_through_the_template() -> None:
    answer = prepare(GenerationRequest(model="m", messages=[Message(role="user", content="hi")]))

    assert list(answer.rows[0].request.tokens) == [TURN, *b"hi"]
    assert answer.prompt_tokens == 3


def test_a_preset_s_template_reaches_the_tokenizer_apart_from_what_the_client_sets() -> None:
    class Templated(ByteTokenizer):
        def render(self, messages: Any, tools: Any, arguments: Any, template: str | None = None) -> list[int]:
            return [len(messages), len(tools), *self.encode(f"{arguments}{template}")]

    request = GenerationRequest(
        model="m",
        messages=[Message(role="user", content="hi")],
        chat_template="{{ 1 }}",
        chat_template_kwargs={"mood": "happy"},
    )

    answer = Preparation(Templated(), CONTEXT).answer(1, request, 0.0)

    assert list(answer.rows[0].request.tokens) == [1, 0, *b"{'mood': 'happy'}{{ 1 }}"]


def test_without_max_tokens_the_rest_of_the_context_is_used() -> None:
    answer = prepare(completion("x" * 30))

    assert answer.rows[0].request.max_tokens == CONTEXT - 30


def test_max_tokens_are_clamped_to_the_rest_of_the_context() -> None:
    answer = prepare(completion("x" * 30, max_tokens=CONTEXT))

    assert answer.rows[0].request.max_tokens == CONTEXT - 30


def test_max_tokens_above_the_context_are_what_is_left_where_they_are_only_a_wish() -> None:
    answer = prepare(completion("x" * 30, max_tokens=CONTEXT + 1, dispensable=frozenset({"max_tokens"})))

    assert answer.rows[0].request.max_tokens == CONTEXT - 30


def test_max_tokens_within_the_rest_are_kept() -> None:
    assert prepare(completion(max_tokens=7)).rows[0].request.max_tokens == 7


@pytest.mark.parametrize("max_tokens", [CONTEXT + 1, 10**9, 0, -1])
def test_max_tokens_that_no_answer_can_have_are_refused(max_tokens: int) -> None:
    with pytest.raises(InvalidRequest, match=f"max_tokens is {max_tokens}; ask for 1 to 100") as caught:
        prepare(completion(max_tokens=max_tokens))

    assert caught.value.param == "max_tokens"


@pytest.mark.parametrize("length", [CONTEXT, CONTEXT + 1])
def test_a_prompt_that_fills_the_context_is_refused_with_both_numbers(length: int) -> None:
    with pytest.raises(ContextLengthExceeded, match=f"{length} tokens and the context 100") as caught:
        prepare(completion("x" * length))

    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "prompt")


def test_num_ctx_lowers_the_context_of_one_request() -> None:
    assert prepare(completion("x" * 30, num_ctx=50)).rows[0].request.max_tokens == 20
    with pytest.raises(ContextLengthExceeded, match="30 tokens and the context 20"):
        prepare(completion("x" * 30, num_ctx=20))


def test_num_ctx_does_not_raise_the_context() -> None:
    assert prepare(completion("x" * 30, num_ctx=1000)).rows[0].request.max_tokens == CONTEXT - 30


def test_every_prompt_has_n_rows_and_is_counted_once() -> None:
    answer = prepare(completion("abc", [1, 2], n=3))

    assert [row.index for row in answer.rows] == [0, 1, 2, 3, 4, 5]
    assert [list(row.request.tokens) for row in answer.rows] == [[*b"abc"]] * 3 + [[1, 2]] * 3
    assert answer.prompt_tokens == 5


def test_choices_of_a_seeded_request_have_seeds_of_their_own() -> None:
    answer = prepare(completion("a", "b", n=2, sampling=Sampling(seed=5)))

    assert [row.request.sampling.seed for row in answer.rows] == [5, 6, 5, 6]


@pytest.mark.parametrize("token", [-1, VOCABULARY, 2**40])
def test_token_ids_beyond_the_vocabulary_are_refused(token: int) -> None:
    with pytest.raises(InvalidRequest, match=f"token id {token} does not exist") as prompt:
        prepare(completion([1, token, 2]))
    with pytest.raises(InvalidRequest, match=f"token id {token} does not exist") as bias:
        prepare(completion(sampling=Sampling(logit_bias={token: 1.0})))

    assert (prompt.value.param, bias.value.param) == ("prompt", "logit_bias")


@pytest.mark.parametrize(("top_k", "kept"), [(0, 0), (257, 257), (258, 0), (10**9, 0)])
def test_a_top_k_that_keeps_the_whole_vocabulary_keeps_all(top_k: int, kept: int) -> None:
    assert prepare(completion(sampling=Sampling(top_k=top_k))).rows[0].request.sampling.top_k == kept


def test_echo_repeats_each_prompt_before_its_choices() -> None:
    answer = prepare(completion("ab", [99, 100], n=2, echo=True))

    assert answer.opening == [(1, 0, "ab", 0), (1, 1, "ab", 0), (1, 2, "cd", 0), (1, 3, "cd", 0)]


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (completion(echo=True, logprobs=1), "echo"),
        (GenerationRequest(model="m", messages=[Message(role="user", content="hi")], echo=True), "echo"),
        (completion(suffix="x"), "suffix"),
        (completion(response_format={"type": "json_object"}), "response_format"),
        (completion(stop=["x" * MAX_STOP_CHARS, "y"]), "stop"),
        (completion(""), "prompt"),
        (completion([]), "prompt"),
    ],
)
def test_what_no_row_can_honour_is_refused_by_name(request_: GenerationRequest, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepare(request_)

    assert caught.value.param == param
    assert isinstance(caught.value, UnsupportedParameter) == (param in {"suffix", "response_format"})
