"""Answers that cannot be bound to what is asked for: refused by name, before they begin wherever that can be told."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from serving import Server

CLOCK: Any = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}
MESSAGES: Any = [{"role": "user", "content": "Who are you?"}]


@pytest.fixture
def client(tiny_server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{tiny_server.url}/v1", api_key="none", timeout=120, max_retries=0) as made:
        yield made


def schema_format(schema: Any) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def ask(client: OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": "lmx-tiny", "messages": MESSAGES, "max_tokens": 300, **fields})


def test_a_strict_schema_that_cannot_be_enforced_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="uniqueItems") as caught:
        ask(client, response_format=schema_format({"type": "array", "uniqueItems": True}))

    assert caught.value.param == "response_format"


def test_what_cannot_be_followed_to_the_end_is_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="too many") as caught:
        ask(client, extra_body={"regex": "(a?){500}a{500}"})

    assert caught.value.param == "regex"


def test_a_stream_that_can_be_followed_no_further_ends_with_an_error_event(client: OpenAI) -> None:
    asked = {"model": "lmx-tiny", "prompt": "a", "stream": True, "regex": "[a-z]{40}(a?){500}a{500}"}

    answer = httpx.post(f"{client.base_url}completions", json=asked, timeout=60)

    *pieces, last = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    told = json.loads(last)["error"]
    assert answer.status_code == 200
    assert "".join(json.loads(piece)["choices"][0]["text"] for piece in pieces)
    assert (told["param"], told["type"]) == ("regex", "invalid_request_error")
    assert "send a simpler one" in told["message"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "broken"}}])
def test_the_tool_that_cannot_be_called_is_named(client: OpenAI, choice: Any) -> None:
    broken: Any = {"properties": {"x": {"type": "array", "items": {"type": "any"}}}, "required": ["x"]}
    others = [{**CLOCK, "function": {**CLOCK["function"], "name": f"clock_{number}"}} for number in range(99)]
    tools: Any = [*others, {"type": "function", "function": {"name": "broken", "parameters": broken}}]

    with pytest.raises(openai.BadRequestError, match="Invalid type: any") as caught:
        ask(client, tools=tools, tool_choice=choice)

    assert caught.value.param == "tools[99].function.parameters"


@pytest.mark.parametrize("stream", [False, True])
def test_what_dies_after_its_first_tokens_is_refused_before_it_begins(client: OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError, match="no answer can be ended") as caught:
        ask(client, stream=stream, extra_body={"grammar": 'start: "a" b\nb: "c" b'})

    assert caught.value.param == "grammar"


def test_bad_constraints_are_refused_and_the_server_goes_on(client: OpenAI) -> None:
    deep: Any = {"type": "integer"}
    for _ in range(300):
        deep = {"type": "array", "items": deep}
    bad: list[dict[str, Any]] = [
        {"response_format": {"type": "json_schema"}},
        {"response_format": schema_format(deep)},
        {"response_format": schema_format({"enum": ["x" * 1000] * 1000})},
        {"extra_body": {"grammar": 'root ::= "'}},
        {"extra_body": {"regex": "("}},
        {"extra_body": {"regex": "a", "choice": ["a"]}},
        {"extra_body": {"choice": ["a"]}, "tools": [CLOCK], "tool_choice": "required"},
    ]

    for fields in bad:
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, **fields)
        assert caught.value.param
    assert ask(client, max_tokens=1).choices[0].message.content is not None
