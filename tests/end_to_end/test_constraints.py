"""Answers that have to be something, from the built-in model through the real OpenAI client."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import openai
import pytest
from jsonschema import Draft202012Validator
from openai import OpenAI
from pydantic import BaseModel

from schema_corpus import corpus
from serving import Server, served

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Bern", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
CLOCK: Any = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}
MESSAGES: Any = [{"role": "user", "content": "Who are you?"}]


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("constraints")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=120, max_retries=0) as made:
        yield made


def schema_format(schema: Any, *, strict: bool = True) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}}


def ask(client: OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": "lmx-tiny", "messages": MESSAGES, "max_tokens": 300, **fields})


def text_of(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def test_every_schema_of_the_corpus_gets_an_answer_that_satisfies_it(client: OpenAI) -> None:
    def answer(number: int) -> str:
        return text_of(ask(client, response_format=schema_format(corpus()[number]), temperature=1.0, seed=number))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(answer, range(200)))

    for schema, text in zip(corpus(), answers, strict=True):
        Draft202012Validator(schema).validate(json.loads(text))


def test_json_objects_are_objects_in_every_choice(client: OpenAI) -> None:
    answer = ask(client, response_format={"type": "json_object"}, n=4, temperature=1.0, max_tokens=60)

    assert all(isinstance(json.loads(choice.message.content), dict) for choice in answer.choices)
    assert {choice.finish_reason for choice in answer.choices} == {"stop"}


def test_the_client_parses_an_answer_into_its_class(client: OpenAI) -> None:
    parsed = client.chat.completions.parse(
        model="lmx-tiny", messages=MESSAGES, response_format=Person, max_tokens=200, temperature=1.0, seed=1
    )

    assert isinstance(parsed.choices[0].message.parsed, Person)


def test_a_stream_adds_up_to_the_same_object(client: OpenAI) -> None:
    fields: dict[str, Any] = {"response_format": schema_format(PERSON), "temperature": 1.0, "seed": 5}
    whole = text_of(ask(client, **fields))

    chunks = [chunk.choices[0].delta.content or "" for chunk in ask(client, stream=True, **fields)]

    assert "".join(chunks) == whole
    Draft202012Validator(PERSON).validate(json.loads(whole))


def test_grammar_expression_and_choice_hold(client: OpenAI) -> None:
    assert text_of(ask(client, extra_body={"choice": ["left", "right"]})) in {"left", "right"}
    assert text_of(ask(client, extra_body={"regex": "[A-C]{3}-[0-9]{2}"})).count("-") == 1
    assert text_of(ask(client, extra_body={"grammar": 'root ::= "yes" | "no"'})) in {"yes", "no"}
    assert text_of(ask(client, extra_body={"grammar": 'start: "1" | "2"'})) in {"1", "2"}


def test_completions_are_constrained_too(client: OpenAI) -> None:
    answer = client.completions.create(model="lmx-tiny", prompt=["a", "b"], extra_body={"choice": ["x", "y"]})

    assert {choice.text for choice in answer.choices} <= {"x", "y"}


def test_a_stop_string_still_ends_an_answer(client: OpenAI) -> None:
    answer = ask(client, extra_body={"regex": "(ab)+c{50}"}, stop=["cc"])

    assert "cc" not in text_of(answer)
    assert answer.choices[0].finish_reason == "stop"


def test_what_is_not_enforced_is_checked_and_told(client: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "boolean"}},
        "required": ["a"],
        "additionalProperties": False,
        "not": {"required": ["a"]},
    }

    answer = ask(client, response_format=schema_format(schema, strict=False))

    assert json.loads(text_of(answer)).keys() == {"a"}
    assert any("not enforced as a whole" in warning for warning in answer.warnings)
    assert any("does not satisfy the schema" in warning for warning in answer.warnings)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_is_required_is_made_and_valid(client: OpenAI, stream: bool) -> None:
    with (
        client.chat.completions.stream(
            model="lmx-tiny", messages=MESSAGES, tools=[WEATHER, CLOCK], tool_choice="required", max_tokens=300
        )
        if stream
        else _Whole(client) as answer
    ):
        choice = answer.get_final_completion().choices[0]

    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    for call in choice.message.tool_calls:
        _check(call)


def test_a_named_function_is_called_once(client: OpenAI) -> None:
    chosen: Any = {"type": "function", "function": {"name": "get_weather"}}

    answer = ask(client, tools=[WEATHER, CLOCK], tool_choice=chosen, temperature=1.0, seed=3)

    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    _check(call)


def test_a_forced_call_has_no_text_that_a_format_could_be_for(client: OpenAI) -> None:
    wanted: Any = {"type": "json_object"}

    answer = ask(client, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False, response_format=wanted)

    (call,) = answer.choices[0].message.tool_calls
    assert answer.choices[0].message.content is None
    _check(call)


def test_a_forced_call_has_no_text_that_could_be_stopped(client: OpenAI) -> None:
    answer = ask(client, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False, stop=["a", "{"])

    (call,) = answer.choices[0].message.tool_calls
    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("tool_calls", None)
    _check(call)


def test_where_json_is_asked_for_tools_may_still_be_called(client: OpenAI) -> None:
    """The model has learnt to ask for the weather with this very tool."""
    described = "Get the current weather of a city"
    parameters = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "get_weather", "description": described, "parameters": parameters}}
    weather = [{"role": "user", "content": "What is the weather in Paris?"}]
    bound: dict[str, Any] = {"response_format": schema_format(PERSON), "tools": [tool], "temperature": 0}

    called = ask(client, messages=weather, **bound).choices[0]
    answered = ask(client, **{**bound, "tools": [CLOCK], "temperature": 1.0, "seed": 3}).choices[0]

    assert called.finish_reason == "tool_calls"
    Draft202012Validator(parameters).validate(json.loads(called.message.tool_calls[0].function.arguments))
    assert answered.finish_reason == "stop"
    Draft202012Validator(PERSON).validate(json.loads(answered.message.content))


def test_a_tool_whose_schema_cannot_be_enforced_as_a_whole_is_called_as_far_as_possible(client: OpenAI) -> None:
    loose: Any = {
        "type": "function",
        "function": {
            "name": "open_page",
            "parameters": {
                "type": "object",
                "properties": {"n": {"type": "integer"}},
                "required": ["n"],
                "not": {"a": 1},
            },
        },
    }
    strict: Any = {**loose, "function": {**loose["function"], "strict": True}}

    (call,) = (
        ask(client, tools=[loose], tool_choice="required", parallel_tool_calls=False).choices[0].message.tool_calls
    )
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, tools=[strict], tool_choice="required")

    assert isinstance(json.loads(call.function.arguments)["n"], int)
    assert caught.value.param == "tools[0].function.parameters"


class _Whole:
    """A completion that was not streamed, with the face of one that was."""

    def __init__(self, client: OpenAI) -> None:
        self._answer = ask(client, tools=[WEATHER, CLOCK], tool_choice="required")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def get_final_completion(self) -> Any:
        return self._answer


def _check(call: Any) -> None:
    schemas: Any = {tool["function"]["name"]: tool["function"]["parameters"] for tool in (WEATHER, CLOCK)}
    Draft202012Validator(schemas[call.function.name]).validate(json.loads(call.function.arguments))
