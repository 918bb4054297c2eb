"""Prompts far above the context: refused or trimmed by their beginning, counted in full where that does not tell."""

from collections.abc import Sequence
from typing import Any

import pytest
from attrs import define, field

from lmx.workers.oversize import CHARS_A_TOKEN, LEAST_CHARS
from lmx.workers.preparation import Preparation
from lmx_echo.byte_tokenizer import ByteTokenizer
from lmx_hookspecs import GenerationRequest, Message
from lmx_hookspecs.errors import ContextLengthExceeded

CONTEXT = 8_192
LIMIT = CONTEXT * CHARS_A_TOKEN
HUGE = "x" * (LIMIT * 20)


@define(eq=False)
class Watched(ByteTokenizer):
    """Remembers how long the texts were."""

    chars: list[int] = field(factory=list)

    def encode(self, text: str) -> list[int]:
        self.chars.append(len(text))
        return super().encode(text)


class Dense(Watched):
    """A token for sixteen characters."""

    def encode(self, text: str) -> list[int]:
        return super().encode(text)[::16]


def chat(*contents: Any, **fields: Any) -> GenerationRequest:
    roles = ["user", "assistant"] * len(contents)
    messages = [Message(role=role, content=content) for role, content in zip(roles, contents, strict=False)]  # type: ignore[arg-type]  # the words are roles
    return GenerationRequest(model="m", messages=messages, **fields)


def prepared(tokenizer: ByteTokenizer, request: GenerationRequest) -> tuple[Sequence[int], Sequence[str]]:
    answer = Preparation(tokenizer, CONTEXT).answer(1, request, 0.0)
    return answer.rows[0].request.tokens, answer.warnings


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (GenerationRequest(model="m", prompts=["hi", HUGE]), "prompt"),
        (chat(HUGE), "messages"),
        (chat([{"type": "text", "text": HUGE}]), "messages"),
        (chat("hi", "ho", HUGE, context_policy="trim"), "messages"),
        (chat(*["x" * 4_000] * 1_000), "messages"),
    ],
)
def test_what_certainly_does_not_fit_is_refused_by_its_beginning(request_: GenerationRequest, param: str) -> None:
    tokenizer = Watched()

    with pytest.raises(
        ContextLengthExceeded, match=f"has more than {CONTEXT} tokens and the context {CONTEXT}"
    ) as told:
        prepared(tokenizer, request_)

    assert told.value.param == param
    assert max(tokenizer.chars) <= LIMIT + 1
    assert sum(tokenizer.chars) <= 2 * (LIMIT + 1)


def test_trimming_leaves_out_what_is_far_too_long_without_reading_all_of_it() -> None:
    tokenizer = Watched()

    tokens, (warning,) = prepared(tokenizer, chat(HUGE, "ok", HUGE, "ok", "and now?", context_policy="trim"))

    assert bytes(tokens[1:]) == b"and now?"
    assert "4 of 5 messages were left out" in warning
    assert max(tokenizer.chars) <= LIMIT + 1


def test_a_long_text_of_few_tokens_is_answered() -> None:
    text = "x" * (LIMIT + LIMIT // 2)

    tokens, _ = prepared(Dense(), GenerationRequest(model="m", prompts=[text]))

    assert len(tokens) == len(text) // 16


def test_what_is_not_much_too_long_is_counted_to_the_last_token() -> None:
    with pytest.raises(ContextLengthExceeded, match=f"has {LIMIT} tokens"):
        prepared(Watched(), GenerationRequest(model="m", prompts=["x" * LIMIT]))


def test_a_short_context_still_has_true_counts_for_texts_of_ordinary_length() -> None:
    with pytest.raises(ContextLengthExceeded, match=f"has {LEAST_CHARS} tokens and the context 10"):
        Preparation(Watched(), 10).answer(1, GenerationRequest(model="m", prompts=["x" * LEAST_CHARS]), 0.0)


def test_thoughts_that_a_template_may_leave_out_prove_nothing() -> None:
    class Forgetful(Watched):
        def render(self, messages: Any, *_: Any) -> list[int]:
            return self.encode("".join(message.content for message in messages if message.role == "user"))

    tokens, _ = prepared(Forgetful(), chat("hi", HUGE, "ho"))

    assert bytes(tokens) == b"hiho"


def test_counting_counts_however_long_a_prompt_is() -> None:
    assert Preparation(Watched(), CONTEXT).count(GenerationRequest(model="m", prompts=[HUGE])) == len(HUGE)
