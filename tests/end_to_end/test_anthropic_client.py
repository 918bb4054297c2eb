"""The unmodified Anthropic SDK against the built-in model on real MLX, and against scripted engines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import (
    Anthropic,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OverloadedError,
)

from dialect_samples import HERMES_BERLIN
from serving import Server, served

QUESTION = [{"role": "user", "content": "How do I list the plugins?"}]
ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {
    "name": "get_weather",
    "description": "Get the current weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
THOUGHT = f"<think>\nParis, so I call.\n</think>\n\nLet me look.\n{HERMES_BERLIN}"
KEY = "k" * 40
GREEDY = {"temperature": 0}
"""This SDK has no argument for it any more."""


def client_of(server: Server, key: str = "unused") -> Any:  # its request types are narrower than plain dictionaries
    return Anthropic(base_url=server.url, api_key=key, max_retries=0)


@pytest.fixture
def tiny(tiny_server: Server) -> Iterator[Any]:
    with client_of(tiny_server) as client:
        yield client


@pytest.fixture(scope="module")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "echo-tokens": {"echo": {"reply": THOUGHT, "chat_template": "tools enable_thinking <tool_call></think>"}},
        "echo-process": {"echo": {"crash_after": 2}},
    }
    config = {"plugins": {"echo": {"enabled": True}}, "models": {"settings": settings}}
    with served(tmp_path_factory.mktemp("echo"), config) as server:
        yield server


@pytest.fixture
def echo(echo_server: Server) -> Iterator[Any]:
    with client_of(echo_server) as client:
        yield client


def create(client: Any, **fields: Any) -> Any:
    return client.messages.create(**{"model": "lmx-tiny", "max_tokens": 60, "extra_body": GREEDY, **fields})


def prompt_tokens(answer: Any) -> int:
    return int(answer.usage.input_tokens + answer.usage.cache_read_input_tokens)


def test_a_question_about_lmx_gets_a_useful_answer(tiny: Any) -> None:
    answer = create(tiny, messages=QUESTION)

    assert [block.type for block in answer.content] == ["text"]
    assert "lmx plugins list" in answer.content[0].text
    assert (answer.role, answer.model, answer.stop_reason) == ("assistant", "lmx-tiny", "end_turn")
    assert answer.usage.output_tokens > 0


def test_a_stream_spells_the_same_answer(tiny: Any) -> None:
    whole = create(tiny, messages=QUESTION)

    with tiny.messages.stream(model="lmx-tiny", max_tokens=60, extra_body=GREEDY, messages=QUESTION) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()

    assert len(texts) > 2
    assert "".join(texts) == final.content[0].text == whole.content[0].text
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", whole.usage.output_tokens)
    assert prompt_tokens(final) == prompt_tokens(whole)


def test_an_answer_that_is_cut_off_says_so(tiny: Any) -> None:
    answer = create(tiny, messages=QUESTION, max_tokens=2)

    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 2)


@pytest.mark.parametrize("stream", [False, True])
def test_the_stop_sequence_that_was_hit_is_named(tiny: Any, stream: bool) -> None:
    asked = {"model": "lmx-tiny", "max_tokens": 60, "extra_body": GREEDY, "messages": QUESTION}
    stops = ["never said", "plugins"]
    if stream:
        with tiny.messages.stream(**asked, stop_sequences=stops) as events:
            answer = events.get_final_message()
    else:
        answer = tiny.messages.create(**asked, stop_sequences=stops)

    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "plugins")
    assert "plugins" not in answer.content[0].text


def test_a_tool_is_called_and_its_result_answered(tiny: Any) -> None:
    first = create(tiny, messages=ASKED, tools=[WEATHER])
    call = first.content[0]

    result = {
        "type": "tool_result",
        "tool_use_id": call.id,
        "content": [{"type": "text", "text": '{"temperature": 21, "condition": "sunny"}'}],
    }
    turns = [*ASKED, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = create(tiny, messages=turns, tools=[WEATHER])

    assert (first.stop_reason, call.type, call.name) == ("tool_use", "tool_use", "get_weather")
    assert set(call.input) == {"city"}
    assert second.stop_reason == "end_turn"
    assert "sunny" in second.content[0].text


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_call_can_be_forced(tiny: Any, choice: Any) -> None:
    answer = create(tiny, messages=QUESTION, tools=[WEATHER], tool_choice=choice, max_tokens=200)

    assert answer.stop_reason == "tool_use"
    assert [block.name for block in answer.content if block.type == "tool_use"] == ["get_weather"]


def test_a_streamed_call_is_the_same(tiny: Any) -> None:
    whole = create(tiny, messages=ASKED, tools=[WEATHER]).content[0]

    with tiny.messages.stream(
        model="lmx-tiny", max_tokens=60, extra_body=GREEDY, messages=ASKED, tools=[WEATHER]
    ) as stream:
        fragments = [event.partial_json for event in stream if event.type == "input_json"]
        final = stream.get_final_message()

    assert len(fragments) > 1
    assert [(block.name, block.input) for block in final.content] == [(whole.name, whole.input)]
    assert final.stop_reason == "tool_use"


@pytest.mark.parametrize(
    "prompt",
    [
        {"messages": QUESTION},
        {"messages": QUESTION, "system": "Answer about LMX."},
        {"messages": ASKED, "tools": [WEATHER]},
        {"messages": ASKED, "tools": [WEATHER], "tool_choice": {"type": "none"}},
        {
            "messages": [
                *ASKED,
                {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "get_weather", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "Grüße, 21 °C"}]},
            ],
            "tools": [WEATHER],
        },
    ],
)
def test_a_count_is_what_the_usage_says(tiny: Any, prompt: Any) -> None:
    counted = tiny.messages.count_tokens(model="lmx-tiny", **prompt)
    answer = create(tiny, max_tokens=1, **prompt)

    assert counted.input_tokens == prompt_tokens(answer) > 0


def test_tools_cost_tokens(tiny: Any) -> None:
    without = tiny.messages.count_tokens(model="lmx-tiny", messages=ASKED).input_tokens
    with_tools = tiny.messages.count_tokens(model="lmx-tiny", messages=ASKED, tools=[WEATHER]).input_tokens

    assert with_tools > without


def test_a_schema_binds_the_answer(tiny: Any) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    output = {"format": {"type": "json_schema", "schema": schema}}

    answer = create(tiny, messages=QUESTION, output_config=output)

    assert answer.content[0].text.replace(" ", "") in ('{"n":1}', '{"n":2}')


def test_thoughts_text_and_calls_are_blocks_of_their_own(echo: Any) -> None:
    asked = {
        "model": "echo-tokens",
        "max_tokens": 4000,
        "messages": ASKED,
        "tools": [WEATHER],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
    }
    whole = echo.messages.create(**asked)
    with echo.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()

    for answer in (whole, streamed):
        assert [block.type for block in answer.content] == ["thinking", "text", "tool_use"]
        thought, text, call = answer.content
        assert (thought.thinking, text.text, call.name) == ("Paris, so I call.", "Let me look.", "get_weather")
        assert thought.signature == whole.content[0].signature
        assert answer.stop_reason == "tool_use"
        assert answer.usage.output_tokens_details.thinking_tokens == len("Paris, so I call.")


def test_stop_sequences_end_the_text_and_neither_thoughts_nor_calls(echo: Any) -> None:
    asked = {"model": "echo-tokens", "max_tokens": 4000, "messages": ASKED, "tools": [WEATHER]}
    beside = echo.messages.create(**asked, stop_sequences=["Paris", "city"])
    with echo.messages.stream(**asked, stop_sequences=["look"]) as stream:
        within = stream.get_final_message()

    assert [block.type for block in beside.content] == ["thinking", "text", "tool_use"]
    assert (beside.stop_reason, beside.stop_sequence) == ("tool_use", None)
    assert [block.type for block in within.content] == ["thinking", "text"]
    assert (within.content[1].text, within.stop_reason, within.stop_sequence) == ("Let me ", "stop_sequence", "look")


def test_thoughts_and_calls_of_earlier_turns_can_be_sent_back(echo: Any) -> None:
    asked = {"model": "echo-tokens", "max_tokens": 4000, "tools": [WEATHER]}
    first = echo.messages.create(**asked, messages=ASKED)

    result = {"type": "tool_result", "tool_use_id": first.content[-1].id, "content": "no such city", "is_error": True}
    turns = [*ASKED, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = echo.messages.create(**asked, messages=turns)

    assert second.content


def test_errors_are_the_clients_exceptions(tiny: Any) -> None:
    with pytest.raises(NotFoundError) as missing:
        create(tiny, model="nope", messages=QUESTION)
    with pytest.raises(BadRequestError, match="max_tokens") as bad:
        create(tiny, messages=QUESTION, max_tokens=0)
    with pytest.raises(BadRequestError, match=r"messages\[0\].content\[0\]"):
        create(tiny, messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}])

    assert missing.value.type == "not_found_error"
    assert bad.value.type == "invalid_request_error"
    assert bad.value.request_id


def test_an_answer_carries_the_id_of_its_request(tiny: Any) -> None:
    assert create(tiny, messages=QUESTION, max_tokens=1)._request_id


def test_an_engine_that_dies_in_mid_stream_raises(echo: Any) -> None:
    asked = {"model": "echo-process", "max_tokens": 60, "messages": [{"role": "user", "content": "one two three four"}]}

    with pytest.raises(APIStatusError, match="the engine died"):
        list(echo.messages.create(**asked, stream=True))


def test_an_engine_with_a_tokenizer_of_its_own_counts_too(echo: Any) -> None:
    counted = echo.messages.count_tokens(model="echo", messages=[{"role": "user", "content": "one two three"}])

    assert counted.input_tokens == 3


def test_models_are_listed_for_this_client_too(tiny: Any) -> None:
    models = list(tiny.models.list())
    one = tiny.models.retrieve("lmx-tiny")

    assert "lmx-tiny" in [model.id for model in models]
    assert {model.type for model in models} == {"model"}
    assert (one.id, one.display_name, one.type) == ("lmx-tiny", "lmx-tiny", "model")


def test_a_wrong_key_is_an_authentication_error(tmp_path: Path) -> None:
    config = {"plugins": {"echo": {"enabled": True}}, "security": {"api_keys": [KEY]}}
    with served(tmp_path, config) as server, client_of(server, "wrong") as stranger, client_of(server, KEY) as friend:
        with pytest.raises(AuthenticationError) as refused:
            create(stranger, model="echo", messages=QUESTION)
        answer = create(friend, model="echo", messages=QUESTION)

    assert refused.value.type == "authentication_error"
    assert answer.content[0].text == QUESTION[0]["content"]


def test_a_server_under_pressure_is_overloaded(tmp_path: Path) -> None:
    pressure = {"shed_above_percent": 1, "resume_below_percent": 0.1}
    config = {"plugins": {"echo": {"enabled": True}, "shedder": pressure}}
    with served(tmp_path, config) as server, client_of(server) as client, pytest.raises(OverloadedError) as refused:
        create(client, model="echo", messages=QUESTION)

    assert (refused.value.status_code, refused.value.type) == (529, "overloaded_error")
    assert refused.value.response.headers["retry-after"] == "30"
