"""The OpenAI SDK with its helpers: the stream manager, `parse` and `pydantic_function_tool`."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI, pydantic_function_tool
from pydantic import BaseModel

from client_samples import CAT, CHAT, EMBED, HELP, HELP_ANSWER, KITTEN, LENGTH, MONEY, QUESTION, RESULT, Report, alike

pytestmark = [
    pytest.mark.clients,
    # The SDK declares `parsed` of its own parsed messages as null, and says so when they are sent again.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning:pydantic.main"),
]


class GetWeather(BaseModel):
    city: str


TOOL = pydantic_function_tool(GetWeather, name="get_weather", description="Get the current weather of a city")
ASKED = [{"role": "user", "content": QUESTION}]


@pytest.fixture
def client(base_url: str) -> Iterator[Any]:  # its request types are narrower than plain dictionaries
    with OpenAI(base_url=base_url, api_key="unused", max_retries=0) as client:
        yield client


async def test_the_asynchronous_client_streams(base_url: str) -> None:
    told = ""
    async with AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model=CHAT, messages=[{"role": "user", "content": HELP}], stream=True
        )
        async for chunk in stream:
            told += chunk.choices[0].delta.content or ""

    assert HELP_ANSWER in told


def test_the_stream_manager_tells_the_call_and_then_the_answer(client: Any) -> None:
    asked = {"model": CHAT, "tools": [TOOL], "temperature": 0, "stream_options": {"include_usage": True}}
    with client.chat.completions.stream(messages=ASKED, **asked) as stream:
        events = list(stream)
        first = stream.get_final_completion()
    message = first.choices[0].message
    call = message.tool_calls[0]

    result = {"role": "tool", "tool_call_id": call.id, "content": [{"type": "text", "text": RESULT}]}
    second = client.chat.completions.parse(messages=[*ASKED, message, result], **{**asked, "stream_options": None})

    assert [event.name for event in events if event.type == "tool_calls.function.arguments.done"] == ["get_weather"]
    assert isinstance(call.function.parsed_arguments, GetWeather)
    assert first.usage.total_tokens > 0
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_forced_call_holds_to_the_strict_schema(client: Any, choice: Any) -> None:
    answer = client.chat.completions.parse(
        model=CHAT,
        messages=[{"role": "developer", "content": "Call."}, {"role": "user", "content": "Hello!"}],
        tools=[TOOL],
        tool_choice=choice,
        parallel_tool_calls=False,
        max_completion_tokens=64,
        temperature=0,
    )

    (call,) = answer.choices[0].message.tool_calls
    assert call.function.parsed_arguments == GetWeather(**json.loads(call.function.arguments))


def test_a_parsed_object_can_be_said_again(client: Any) -> None:
    first = client.chat.completions.parse(model=CHAT, messages=ASKED, response_format=Report, temperature=0)
    again = [*ASKED, first.choices[0].message, {"role": "user", "content": "And in Rome?"}]
    with client.chat.completions.stream(model=CHAT, messages=again, response_format=Report, temperature=0) as stream:
        second = stream.get_final_completion()

    assert isinstance(first.choices[0].message.parsed, Report)
    assert isinstance(second.choices[0].message.parsed, Report)


def test_a_whole_message_of_an_earlier_answer_is_taken_back(client: Any) -> None:
    first = client.chat.completions.parse(model=CHAT, messages=ASKED, response_format=Report, temperature=0)
    again = [*ASKED, first.choices[0].message.model_dump(), {"role": "user", "content": HELP}]

    answer = client.chat.completions.create(model=CHAT, messages=again, temperature=0)

    assert answer.choices[0].message.content


def test_embeddings_know_what_is_alike(client: Any) -> None:
    answer = client.embeddings.create(model=EMBED, input=[CAT, KITTEN, MONEY])

    cat, kitten, money = (entry.embedding for entry in answer.data)
    assert len(cat) == LENGTH
    assert alike(cat, kitten) > alike(cat, money)
