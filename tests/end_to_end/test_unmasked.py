"""JSON from an engine that draws without masks, over a real socket."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from serving import served

MESSAGES: Any = [{"role": "user", "content": "hi"}]
FORMAT: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def clients(folder: Any, reply: str) -> Iterator[OpenAI]:
    config = {"plugins": {"echo": {"enabled": True, "reply": reply}}}
    with (
        served(folder, config) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    yield from clients(tmp_path_factory.mktemp("right"), '```json\n{"city": "Bern"}\n```')


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    yield from clients(tmp_path_factory.mktemp("wrong"), "Bern, of course")


@pytest.mark.parametrize("model", ["echo", "echo-process"])
def test_an_answer_that_satisfies_the_schema_comes_bare_with_a_note(right: OpenAI, model: str) -> None:
    answer: Any = right.chat.completions.create(model=model, messages=MESSAGES, response_format=FORMAT)

    assert answer.choices[0].message.content == '{"city": "Bern"}'
    assert "checked" in answer.warnings[0]


def test_a_stream_brings_the_checked_answer(right: OpenAI) -> None:
    chunks = list(right.chat.completions.create(model="echo", messages=MESSAGES, response_format=FORMAT, stream=True))

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == '{"city": "Bern"}'
    assert chunks[-1].model_extra is not None
    assert "checked" in chunks[-1].model_extra["warnings"][0]


def test_an_answer_that_cannot_be_mended_is_given_with_a_warning(wrong: OpenAI) -> None:
    answer: Any = wrong.chat.completions.create(model="echo", messages=MESSAGES, response_format=FORMAT)

    assert answer.choices[0].message.content == "Bern, of course"
    assert "is still wrong: the answer is no JSON" in answer.warnings[0]
    assert answer.usage.completion_tokens == 6


@pytest.mark.parametrize(
    "fields",
    [{"extra_body": {"regex": "a+"}}, {"extra_body": {"choice": ["a"]}}, {"n": 2, "response_format": FORMAT}],
    ids=["regex", "choice", "n"],
)
def test_what_words_cannot_do_is_refused_by_name(right: OpenAI, fields: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        right.chat.completions.create(model="echo", messages=MESSAGES, **fields)

    assert caught.value.code == "unsupported_parameter"
