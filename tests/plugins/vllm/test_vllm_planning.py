from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve, frozen

from lmx_hookspecs import GenerationRequest, Message, Sampling
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest
from lmx_vllm.planning import planned
from lmx_vllm.prompts import Prompts

CONTEXT = 64
VOCAB = 128


@frozen
class Characters:
    """A tokenizer with one token for each ASCII character, and a template that joins contents."""

    has_chat_template: bool = True
    bos_token: str | None = "^"

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return [ord(character) for character in ("^" + text if add_special_tokens else text)]

    def apply_chat_template(self, messages: Sequence[dict[str, Any]], **arguments: Any) -> str:
        if messages[0]["role"] == "tool":
            raise ValueError("a tool speaks first")
        return str(arguments.get("chat_template", "")) + "|".join(message["content"] for message in messages)


PROMPTS = Prompts(wrapper=Characters(), vocab_size=VOCAB)
CHAT = GenerationRequest(model="m", messages=[Message(role="user", content="abc")])


def test_a_chat_is_rendered_without_a_second_beginning() -> None:
    plan = planned(CHAT, PROMPTS, CONTEXT)

    assert [list(row.tokens) for row in plan.rows] == [[97, 98, 99]]
    assert (plan.prompt_tokens, plan.rows[0].max_tokens) == (3, CONTEXT - 3)


def test_each_prompt_gets_its_choices_and_is_counted_once() -> None:
    request = GenerationRequest(model="m", prompts=["ab", [1, 2, 3]], n=2, max_tokens=5, sampling=Sampling(seed=7))

    plan = planned(request, PROMPTS, CONTEXT)

    assert [row.index for row in plan.rows] == [0, 1, 2, 3]
    assert [list(row.tokens) for row in plan.rows[::2]] == [[94, 97, 98], [1, 2, 3]]
    assert [row.sampling.seed for row in plan.rows] == [7, 8, 7, 8]
    assert [row.first_of_prompt for row in plan.rows] == [True, False, True, False]
    assert plan.prompt_tokens == 6


def test_a_prompt_that_begins_with_its_own_beginning_gets_no_second_one() -> None:
    plan = planned(GenerationRequest(model="m", prompts=["^ab"]), PROMPTS, CONTEXT)

    assert list(plan.rows[0].tokens) == [94, 97, 98]


def test_an_answer_ends_with_the_context_or_with_num_ctx() -> None:
    assert planned(evolve(CHAT, max_tokens=CONTEXT), PROMPTS, CONTEXT).rows[0].max_tokens == CONTEXT - 3
    assert planned(evolve(CHAT, num_ctx=10), PROMPTS, CONTEXT).rows[0].max_tokens == 7
    wish = evolve(CHAT, max_tokens=CONTEXT + 1, dispensable=frozenset({"max_tokens"}))
    assert planned(wish, PROMPTS, CONTEXT).rows[0].max_tokens == CONTEXT - 3


def test_a_template_of_a_preset_takes_the_place_of_the_models_own() -> None:
    plan = planned(evolve(CHAT, chat_template="x"), PROMPTS, CONTEXT)

    assert list(plan.rows[0].tokens) == [120, 97, 98, 99]


def test_a_top_k_of_the_whole_vocabulary_is_none() -> None:
    assert planned(evolve(CHAT, sampling=Sampling(top_k=VOCAB)), PROMPTS, CONTEXT).rows[0].sampling.top_k == 0


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": CONTEXT + 1}, "max_tokens"),
        ({"stop": ["x" * 5000]}, "stop"),
        ({"sampling": Sampling(logit_bias={VOCAB: 1.0})}, "logit_bias"),
        ({"messages": None, "prompts": [[VOCAB]]}, "prompt"),
        ({"messages": None, "prompts": [[-1]]}, "prompt"),
        ({"messages": None, "prompts": [[]]}, "prompt"),
        ({"chat_template_kwargs": {"tokenize": True}}, "chat_template_kwargs"),
        ({"messages": [Message(role="tool", content="x")]}, "messages"),
        ({"messages": [Message(role="user", content=[{"type": "image_url"}])]}, "messages"),
    ],
)
def test_what_would_harm_the_engine_is_refused_by_name(change: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        planned(evolve(CHAT, **change), PROMPTS, CONTEXT)

    assert caught.value.param == param


def test_a_prompt_as_long_as_the_context_is_refused_with_both_lengths() -> None:
    with pytest.raises(ContextLengthExceeded, match=f"{CONTEXT} tokens and the context {CONTEXT}"):
        planned(GenerationRequest(model="m", prompts=[[1] * CONTEXT]), PROMPTS, CONTEXT)


def test_a_chat_without_a_template_is_sent_to_completions() -> None:
    prompts = Prompts(wrapper=Characters(has_chat_template=False), vocab_size=VOCAB)

    with pytest.raises(InvalidRequest, match="/v1/completions"):
        planned(CHAT, prompts, CONTEXT)
