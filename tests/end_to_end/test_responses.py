"""The unmodified OpenAI SDK's `responses`, against the built-in model on real MLX."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from serving import Server, eventually

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
QUESTION = "How do I list the plugins?"
ASKED: dict[str, Any] = {"model": "lmx-tiny", "input": QUESTION, "temperature": 0}
CALLING: dict[str, Any] = {
    "model": "lmx-tiny",
    "input": "What is the weather in Paris?",
    "tools": [WEATHER],
    "temperature": 0,
}
LONG: dict[str, Any] = {"model": "lmx-tiny", "input": "Count from 1 to 20.", "background": True}


class City(BaseModel):
    name: str
    big: bool


@pytest.fixture
def client(tiny_server: Server) -> Iterator[Any]:  # its request types are narrower than plain dictionaries
    with OpenAI(base_url=f"{tiny_server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def test_a_response_is_what_the_sdk_s_types_insist_on(client: Any) -> None:
    response = client.responses.create(**ASKED)

    assert "lmx plugins list" in response.output_text
    assert (response.status, response.model) == ("completed", "lmx-tiny")
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    Response.model_validate(json.loads(response.to_json()), strict=False)
    assert Response.model_validate(response.to_dict(mode="json")) == response


def test_a_stream_spells_the_same_response(client: Any) -> None:
    whole = client.responses.create(**ASKED)

    with client.responses.stream(**ASKED) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()

    assert "".join(deltas) == final.output_text == whole.output_text
    assert len(deltas) > 2
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_an_object_is_parsed_whole_and_streamed(client: Any) -> None:
    asked = {"model": "lmx-tiny", "input": "Is Paris big?", "text_format": City, "temperature": 0}

    parsed = client.responses.parse(**asked)
    with client.responses.stream(**asked) as stream:
        done = [event.parsed for event in stream if event.type == "response.output_text.done"]
        final = stream.get_final_response()

    assert isinstance(parsed.output_parsed, City)
    assert done == [final.output_parsed] == [parsed.output_parsed]


def test_a_json_object_is_json(client: Any) -> None:
    response = client.responses.create(**ASKED, text={"format": {"type": "json_object"}}, max_output_tokens=200)

    assert response.text.format.type == "json_object"
    assert response.status == "incomplete" or isinstance(json.loads(response.output_text), dict)


def test_a_call_is_streamed_answered_and_talked_about(client: Any) -> None:
    with client.responses.stream(**CALLING) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.function_call_arguments.delta"]
        first = stream.get_final_response()
    (call,) = first.output

    result = {"type": "function_call_output", "call_id": call.call_id, "output": '{"condition": "sunny"}'}
    second = client.responses.create(**{**CALLING, "input": [result], "previous_response_id": first.id})
    third = client.responses.create(**{**CALLING, "input": "Thank you", "previous_response_id": second.id})
    items = client.responses.input_items.list(third.id, order="asc", limit=100).data

    assert (call.type, call.name, snapshots[-1]) == ("function_call", "get_weather", call.arguments)
    assert set(call.parsed_arguments) == {"city"}
    assert "sunny" in second.output_text
    kinds = ["message", "function_call", "function_call_output", "message", "message"]
    assert [item.type for item in items] == kinds
    assert items[1].id == call.id
    assert third.usage.input_tokens > second.usage.input_tokens


def test_a_call_can_be_sent_back_by_hand(client: Any) -> None:
    first = client.responses.create(**CALLING, store=False)
    (call,) = first.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": '{"condition": "sunny"}'}
    question = {"role": "user", "content": CALLING["input"]}

    second = client.responses.create(**{**CALLING, "input": [question, *first.output, result]}, store=False)

    assert "sunny" in second.output_text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_weather"}])
def test_a_call_can_be_forced(client: Any, choice: Any) -> None:
    response = client.responses.create(**{**CALLING, "input": QUESTION}, tool_choice=choice)

    assert [item.type for item in response.output] == ["function_call"]


def test_log_probabilities_are_those_of_the_text(client: Any) -> None:
    response = client.responses.create(
        **ASKED, max_output_tokens=4, include=["message.output_text.logprobs"], top_logprobs=2
    )

    tokens = response.output[0].content[0].logprobs
    assert "".join(token.token for token in tokens) == response.output_text
    assert all(len(token.top_logprobs) == 2 for token in tokens)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_input_items_are_paged_by_the_sdk(client: Any) -> None:
    turns = [{"role": "user", "content": f"{number}"} for number in range(5)]
    response = client.responses.create(model="lmx-tiny", input=turns, max_output_tokens=1)

    listed = [item.content[0].text for item in client.responses.input_items.list(response.id, limit=2)]

    assert listed == ["4", "3", "2", "1", "0"]


def test_what_is_deleted_or_not_stored_is_gone(client: Any) -> None:
    kept = client.responses.create(**ASKED)
    loose = client.responses.create(**ASKED, store=False)
    found = client.responses.retrieve(kept.id)

    client.responses.delete(kept.id)

    assert found == kept
    for response in (kept, loose):
        with pytest.raises(NotFoundError):
            client.responses.retrieve(response.id)
    with pytest.raises(BadRequestError) as caught:
        client.responses.create(**ASKED, previous_response_id=kept.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


def test_one_in_the_background_is_polled_to_its_end(client: Any) -> None:
    made = client.responses.create(**{**ASKED, "background": True})
    eventually(lambda: client.responses.retrieve(made.id).status == "completed", 60)

    assert "lmx plugins list" in client.responses.retrieve(made.id).output_text


def test_one_in_the_background_is_followed_from_where_a_client_left_off(client: Any) -> None:
    stream = client.responses.create(**{**ASKED, "background": True}, stream=True)
    first = [next(stream) for _ in range(3)]
    stream.close()

    rest = list(client.responses.retrieve(first[0].response.id, stream=True, starting_after=2))

    numbers = [event.sequence_number for event in [*first, *rest]]
    assert numbers == list(range(len(numbers)))
    assert "lmx plugins list" in rest[-1].response.output_text


def test_one_in_the_background_can_be_cancelled(client: Any) -> None:
    made = client.responses.create(**LONG, extra_body={"seed": 1})

    cancelled = client.responses.cancel(made.id)

    assert cancelled.status in ("cancelled", "completed")
    assert client.responses.retrieve(made.id).status == cancelled.status


def test_a_conversation_too_long_is_refused_or_trimmed(client: Any) -> None:
    turns = [{"role": "user", "content": "word " * 400} for _ in range(30)]

    with pytest.raises(BadRequestError) as caught:
        client.responses.create(model="lmx-tiny", input=turns, max_output_tokens=1)
    trimmed = client.responses.create(model="lmx-tiny", input=turns, max_output_tokens=1, truncation="auto")

    assert caught.value.code == "context_length_exceeded"
    assert trimmed.warnings


def test_errors_are_the_sdk_s_exceptions(client: Any) -> None:
    with pytest.raises(NotFoundError) as unknown:
        client.responses.create(**{**ASKED, "model": "lmx-tyny"})
    with pytest.raises(BadRequestError) as tool:
        client.responses.create(**ASKED, tools=[{"type": "web_search"}])
    image = [{"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/x.png"}]}]
    with pytest.raises(BadRequestError) as part:
        client.responses.create(**{**ASKED, "input": image})

    assert unknown.value.code == "model_not_found"
    assert (tool.value.code, tool.value.param) == ("unsupported_parameter", "tools[0]")
    assert (part.value.code, part.value.param) == ("unsupported_parameter", "input[0].content[0]")
