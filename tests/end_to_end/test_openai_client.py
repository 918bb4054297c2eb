"""The unmodified OpenAI SDK against the built-in model on real MLX."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, NotFoundError, OpenAI

from serving import Server, served


@pytest.fixture
def client(tiny_server: Server) -> Iterator[Any]:  # its request types are narrower than plain dictionaries
    with OpenAI(base_url=f"{tiny_server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


QUESTION = [{"role": "user", "content": "How do I list the plugins?"}]


def test_a_question_about_lmx_gets_a_useful_answer(client: Any) -> None:
    answer = client.chat.completions.create(model="lmx-tiny", messages=QUESTION)

    assert "lmx plugins list" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_spells_the_same_answer(client: Any) -> None:
    whole = client.chat.completions.create(model="lmx-tiny", messages=QUESTION, temperature=0)

    chunks = list(
        client.chat.completions.create(
            model="lmx-tiny",
            messages=QUESTION,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_auto_names_the_model_that_answered(client: Any) -> None:
    answer = client.chat.completions.create(model="auto", messages=QUESTION, max_tokens=1)

    assert answer.model == "lmx-tiny"


def test_seeds_make_choices_reproducible_and_different(client: Any) -> None:
    def ask() -> list[str]:
        answer = client.completions.create(model="lmx-tiny", prompt="Once", n=3, seed=7, temperature=1.5, max_tokens=12)
        return [choice.text for choice in answer.choices]

    first, second = ask(), ask()

    assert first == second
    assert len(set(first)) > 1


def test_logprobs_come_with_their_alternatives(client: Any) -> None:
    answer = client.chat.completions.create(
        model="lmx-tiny", messages=QUESTION, temperature=0, max_tokens=4, logprobs=True, top_logprobs=3
    )

    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == 4
    assert all(len(token.top_logprobs) == 3 for token in tokens)
    assert all(token.logprob <= 0 and token.top_logprobs[0].logprob >= token.logprob - 1e-4 for token in tokens)
    assert "".join(token.token for token in tokens) == answer.choices[0].message.content


def test_a_stop_string_ends_the_text_before_it(client: Any) -> None:
    whole = client.chat.completions.create(model="lmx-tiny", messages=QUESTION, temperature=0)
    text = whole.choices[0].message.content
    stop = text[5:9]

    cut = client.chat.completions.create(model="lmx-tiny", messages=QUESTION, temperature=0, stop=[stop])

    assert cut.choices[0].message.content == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


def test_a_list_of_prompts_gets_one_choice_each(client: Any) -> None:
    answer = client.completions.create(model="lmx-tiny", prompt=["a", "b"], max_tokens=3)

    assert [choice.index for choice in answer.choices] == [0, 1]


def test_a_prompt_seen_before_comes_out_of_the_prefix_cache(client: Any) -> None:
    long = [{"role": "user", "content": "Tell me about LMX. " * 40}]

    cold = client.chat.completions.create(model="lmx-tiny", messages=long, temperature=0, max_tokens=8)
    warm = client.chat.completions.create(model="lmx-tiny", messages=long, temperature=0, max_tokens=8)

    assert warm.usage.prompt_tokens_details.cached_tokens > cold.usage.prompt_tokens // 2
    assert warm.choices[0].message.content == cold.choices[0].message.content


def test_an_unknown_model_is_a_404_with_advice(client: Any) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.chat.completions.create(model="lmx-tyny", messages=QUESTION)

    assert caught.value.code == "model_not_found"
    assert "lmx-tiny" in caught.value.message


def test_a_model_without_an_engine_is_listed_as_such_and_refused(tmp_path: Path) -> None:
    with (
        served(tmp_path, {"plugins": {"gguf": {"enabled": False}}}) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as client,
    ):
        with pytest.raises(APIStatusError) as caught:
            client.chat.completions.create(model="lmx-tiny-gguf", messages=[{"role": "user", "content": "hi"}])
        listed = {model.id: (model.model_extra or {})["lmx"]["state"] for model in client.models.list()}

    assert (caught.value.status_code, caught.value.code) == (503, "no_engine")
    assert listed["lmx-tiny-gguf"] == "no_engine"
