"""The `anthropic` SDK: a stream, a tool's round trip and an exact count of tokens."""

from collections.abc import Iterator
from typing import Any

import pytest

from client_samples import CHAT, HELP, HELP_ANSWER, QUESTION, RESULT, Report, get_weather
from serving import Server

pytestmark = pytest.mark.clients
WEATHER = {
    "name": "get_weather",
    "description": "Get the current weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
GREEDY = {"temperature": 0}  # the newest SDK has no such argument, since the newest models of its maker do not take it
ASKED = [{"role": "user", "content": QUESTION}]


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    anthropic = pytest.importorskip("anthropic")
    with anthropic.Anthropic(base_url=server.url, api_key="unused", max_retries=0) as client:
        yield client


def test_a_stream_brings_the_answer_and_its_usage(client: Any) -> None:
    with client.messages.stream(
        model=CHAT, max_tokens=100, system="Be brief.", messages=[{"role": "user", "content": HELP}]
    ) as stream:
        text = "".join(stream.text_stream)
        whole = stream.get_final_message()

    assert HELP_ANSWER in text
    assert whole.content[0].text == text
    assert whole.usage.output_tokens > 0


def test_the_model_calls_a_tool_and_its_content_is_taken_back(client: Any) -> None:
    asked = {"model": CHAT, "max_tokens": 100, "tools": [WEATHER], "extra_body": GREEDY}
    with client.messages.stream(messages=ASKED, **asked) as stream:
        calling = stream.get_final_message()
    call = next(block for block in calling.content if block.type == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": RESULT}]}
    turns = [*ASKED, {"role": "assistant", "content": calling.content}, {"role": "user", "content": [result]}]

    answer = client.messages.create(messages=turns, **asked)

    assert (calling.stop_reason, call.name, set(call.input)) == ("tool_use", "get_weather", {"city"})
    assert answer.content


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_call_can_be_forced(client: Any, choice: Any) -> None:
    answer = client.messages.create(
        model=CHAT,
        max_tokens=100,
        messages=[{"role": "user", "content": "Hello!"}],
        tools=[WEATHER],
        tool_choice={**choice, "disable_parallel_tool_use": True},
        extra_body=GREEDY,
    )

    assert [block.name for block in answer.content if block.type == "tool_use"] == ["get_weather"]


def test_tokens_are_counted_as_the_answer_counts_them(client: Any) -> None:
    counted = client.messages.count_tokens(model=CHAT, messages=ASKED, tools=[WEATHER])
    answer = client.messages.create(model=CHAT, messages=ASKED, tools=[WEATHER], max_tokens=1)

    assert counted.input_tokens == answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)


def test_the_tool_runner_calls_and_goes_on(client: Any) -> None:
    anthropic = pytest.importorskip("anthropic")
    if not hasattr(anthropic, "beta_tool"):
        pytest.skip("this release has no tool runner")
    tools = [anthropic.beta_tool(get_weather)]
    runner = client.beta.messages.tool_runner(
        model=CHAT, max_tokens=100, messages=ASKED, tools=tools, extra_body=GREEDY
    )

    answers = list(runner)

    assert [block.name for block in answers[0].content if block.type == "tool_use"] == ["get_weather"]
    assert len(answers) > 1


def test_a_model_class_is_an_output_format(client: Any) -> None:
    answer = client.messages.parse(model=CHAT, max_tokens=100, messages=ASKED, output_format=Report)

    assert isinstance(answer.parsed_output, Report)
