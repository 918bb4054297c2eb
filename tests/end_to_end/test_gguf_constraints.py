"""Masks in the GGUF engine: what MLX keeps to, llama.cpp keeps to as well."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openai import OpenAI

from schema_corpus import corpus
from serving import served

pytest.importorskip("llama_cpp", reason="the GGUF engine is not installed: pip install 'opta-lmx[gguf]'")
MESSAGES: Any = [{"role": "user", "content": "Who are you?"}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "pick",
        "parameters": {
            "type": "object",
            "properties": {"colour": {"enum": ["red", "blue"]}},
            "required": ["colour"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    with (
        served(tmp_path_factory.mktemp("gguf_constraints")) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=120, max_retries=0) as made,
    ):
        yield made


def ask(client: OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(
        **{"model": "lmx-tiny-gguf", "messages": MESSAGES, "max_tokens": 300, "temperature": 1.0, "seed": 1, **fields}
    )


@pytest.mark.parametrize("number", range(0, 200, 20))
def test_schemas_are_satisfied(client: OpenAI, number: int) -> None:
    schema: Any = corpus()[number]
    told = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}

    answer = ask(client, response_format=told)

    Draft202012Validator(schema).validate(json.loads(answer.choices[0].message.content))


def test_choices_and_expressions_hold_in_every_row(client: OpenAI) -> None:
    chosen = ask(client, n=3, extra_body={"choice": ["left", "right"]})
    matched = ask(client, extra_body={"regex": "[0-9]{4}"})

    assert {choice.message.content for choice in chosen.choices} <= {"left", "right"}
    assert matched.choices[0].message.content.isdigit()


def test_a_forced_call_is_valid(client: OpenAI) -> None:
    answer = ask(client, tools=[TOOL], tool_choice="required")

    assert answer.choices[0].finish_reason == "tool_calls"
    for call in answer.choices[0].message.tool_calls:
        Draft202012Validator(TOOL["function"]["parameters"]).validate(json.loads(call.function.arguments))
