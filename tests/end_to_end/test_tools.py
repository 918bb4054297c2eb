"""Tools and reasoning through the unmodified OpenAI SDK: with the built-in model, and with answers of every dialect."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from dialect_samples import HERMES_BERLIN, SAMPLES, TOOLS
from serving import Server, served

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]
TEMPLATES = {
    "hermes": "<tool_call></think>",
    "qwen3_coder": "<tool_call><function=",
    "glm": "<arg_key>",
    "harmony": "<|channel|><|message|>",
    "kimi": "<|tool_calls_section_begin|>",
    "deepseek": "<｜tool▁calls▁begin｜>",
}
THOUGHT = f"<think>\nParis, so I call.\n</think>\n\nLet me look.\n{HERMES_BERLIN}"


@pytest.fixture
def tiny(tiny_server: Server) -> Iterator[Any]:  # its request types are narrower than plain dictionaries
    with OpenAI(base_url=f"{tiny_server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "echo-tokens": {"echo": {"reply": THOUGHT, "chat_template": "tools enable_thinking <tool_call></think>"}}
    }
    config = {"plugins": {"echo": {"enabled": True}}, "models": {"settings": settings}}
    with served(tmp_path_factory.mktemp("echo"), config) as server:
        yield server


@pytest.fixture
def echo(echo_server: Server) -> Iterator[Any]:
    with OpenAI(base_url=f"{echo_server.url}/v1", api_key="unused", max_retries=0) as made:
        yield made


def gathered(stream: Any) -> dict[str, Any]:
    """What the chunks of one choice add up to."""
    told: dict[str, Any] = {"content": "", "reasoning": "", "calls": {}, "finish_reason": None, "fragments": 0}
    for chunk in stream:
        for choice in chunk.choices:
            told["finish_reason"] = choice.finish_reason or told["finish_reason"]
            told["content"] += choice.delta.content or ""
            told["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
            for delta in choice.delta.tool_calls or ():
                call = told["calls"].setdefault(delta.index, {"id": delta.id, "name": delta.function.name, "text": ""})
                call["text"] += delta.function.arguments or ""
                told["fragments"] += 1
    return told


def test_the_built_in_model_calls_a_tool_and_answers_with_its_result(tiny: Any) -> None:
    first = tiny.chat.completions.create(model="lmx-tiny", messages=ASKED, tools=[WEATHER], temperature=0)
    message = first.choices[0].message
    call = message.tool_calls[0]

    result = {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 21, "condition": "sunny"}'}
    second = tiny.chat.completions.create(
        model="lmx-tiny",
        messages=[*ASKED, message.model_dump(exclude_none=True), result],
        tools=[WEATHER],
        temperature=0,
    )

    assert first.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert call.id.startswith("call_")
    assert set(json.loads(call.function.arguments)) == {"city"}
    assert second.choices[0].finish_reason == "stop"
    assert "sunny" in second.choices[0].message.content


def test_the_gguf_engine_calls_tools_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("llama_cpp")
    asked = {"model": "lmx-tiny-gguf", "messages": ASKED, "tools": [WEATHER], "temperature": 0}
    with served(tmp_path_factory.mktemp("gguf")) as server:
        client: Any = OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)
        answer = client.chat.completions.create(**asked)
        told = gathered(client.chat.completions.create(**asked, stream=True))

    call = answer.choices[0].message.tool_calls[0].function
    assert answer.choices[0].finish_reason == told["finish_reason"] == "tool_calls"
    assert [(one["name"], one["text"]) for one in told["calls"].values()] == [(call.name, call.arguments)]
    assert call.name == "get_weather"


@pytest.mark.parametrize(("choice", "told"), [("auto", 1), ("required", 0)])
def test_a_strict_tool_is_warned_of_where_its_calls_are_not_forced(tiny: Any, choice: str, told: int) -> None:
    strict = [{**tool, "function": {**tool["function"], "strict": True}} for tool in TOOLS]
    asked = {"model": "lmx-tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 200}

    answer = tiny.chat.completions.create(**asked, tools=strict, tool_choice=choice)

    assert len([warning for warning in getattr(answer, "warnings", []) if "strict" in warning]) == told


def test_a_stream_brings_the_same_call_in_fragments(tiny: Any) -> None:
    asked = {"model": "lmx-tiny", "messages": ASKED, "tools": [WEATHER], "temperature": 0}
    whole = tiny.chat.completions.create(**asked).choices[0].message.tool_calls[0].function

    told = gathered(tiny.chat.completions.create(**asked, stream=True))

    assert told["finish_reason"] == "tool_calls"
    assert told["content"] == ""
    assert [(call["name"], call["text"]) for call in told["calls"].values()] == [(whole.name, whole.arguments)]
    assert told["fragments"] > 2


def test_without_tools_or_with_tool_choice_none_the_model_only_talks(tiny: Any) -> None:
    plain = tiny.chat.completions.create(model="lmx-tiny", messages=ASKED, temperature=0)
    none = tiny.chat.completions.create(
        model="lmx-tiny", messages=ASKED, tools=[WEATHER], tool_choice="none", temperature=0
    )

    assert plain.choices[0].message.content == none.choices[0].message.content
    assert plain.choices[0].message.tool_calls is None
    assert plain.usage.prompt_tokens == none.usage.prompt_tokens


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_a_call_that_cannot_be_forced_is_refused_by_name(echo: Any, choice: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        echo.chat.completions.create(model="echo-tokens", messages=ASKED, tools=[WEATHER], tool_choice=choice)

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "tool_choice")


def test_reasoning_text_and_call_of_one_answer_are_told_apart(echo: Any) -> None:
    answer = echo.chat.completions.create(model="echo-tokens", messages=ASKED, tools=TOOLS)
    told = gathered(echo.chat.completions.create(model="echo-tokens", messages=ASKED, tools=TOOLS, stream=True))
    message = answer.choices[0].message

    assert message.reasoning_content == told["reasoning"] == "Paris, so I call."
    assert message.content == told["content"] == "Let me look."
    assert message.tool_calls[0].function.name == told["calls"][0]["name"] == "get_weather"
    assert json.loads(message.tool_calls[0].function.arguments) == json.loads(told["calls"][0]["text"])
    assert answer.usage.completion_tokens_details.reasoning_tokens == len("Paris, so I call.")
    assert answer.usage.completion_tokens == len(THOUGHT)


@pytest.mark.parametrize("stop", ["Paris", "</think>", "<tool_call>", '"city"', "Berlin"])
def test_a_stop_string_inside_reasoning_or_a_call_ends_nothing(echo: Any, stop: str) -> None:
    asked = {"model": "echo-tokens", "messages": ASKED, "tools": TOOLS, "stop": [stop]}
    answer = echo.chat.completions.create(**asked)
    told = gathered(echo.chat.completions.create(**asked, stream=True))
    message = answer.choices[0].message

    assert message.reasoning_content == told["reasoning"] == "Paris, so I call."
    assert message.content == told["content"] == "Let me look."
    assert json.loads(message.tool_calls[0].function.arguments) == json.loads(told["calls"][0]["text"])
    assert answer.choices[0].finish_reason == told["finish_reason"] == "tool_calls"


def test_a_stop_string_in_the_text_ends_the_answer_before_its_calls(echo: Any) -> None:
    asked = {"model": "echo-tokens", "messages": ASKED, "tools": TOOLS, "stop": ["call", "me lo"], "logprobs": True}
    answer = echo.chat.completions.create(**asked)
    told = gathered(echo.chat.completions.create(**asked, stream=True))
    choice = answer.choices[0]

    assert choice.message.content == told["content"] == "Let "
    assert choice.message.reasoning_content == told["reasoning"] == "Paris, so I call."
    assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)
    assert (told["finish_reason"], told["calls"]) == ("stop", {})
    assert answer.usage.completion_tokens == THOUGHT.index("me lo") + len("me lo")


def test_a_tool_that_was_not_offered_comes_back_as_text_with_a_warning(echo: Any) -> None:
    answer = echo.chat.completions.create(model="echo-tokens", messages=ASKED, tools=TOOLS[1:])

    assert answer.choices[0].finish_reason == "stop"
    assert '"name": "get_weather"' in answer.choices[0].message.content
    assert "<tool_call>" not in answer.choices[0].message.content
    assert "none of the tools of this request" in answer.model_extra["warnings"][0]


def test_logprobs_are_those_of_the_content(echo: Any) -> None:
    answer = echo.chat.completions.create(model="echo-tokens", messages=ASKED, tools=TOOLS, logprobs=True)

    assert "".join(token.token for token in answer.choices[0].logprobs.content) == "Let me look."


def test_an_answer_that_is_cut_off_inside_a_call_ends_with_length(echo: Any) -> None:
    cut = len(THOUGHT) - 30
    whole = echo.chat.completions.create(model="echo-tokens", messages=ASKED, tools=TOOLS, max_tokens=cut)
    told = gathered(
        echo.chat.completions.create(model="echo-tokens", messages=ASKED, tools=TOOLS, max_tokens=cut, stream=True)
    )

    assert whole.choices[0].finish_reason == told["finish_reason"] == "length"
    assert whole.choices[0].message.tool_calls is None
    assert '{"name": "get_weather"' in whole.choices[0].message.content
    assert "ends before it is complete" in whole.model_extra["warnings"][0]
    assert told["calls"][0]["text"].startswith('{"city": "Be')


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_dialect_reaches_the_client_as_calls_of_openai(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sample = next(sample for sample in SAMPLES[name] if sample.calls and not sample.request.prompt_end)
    settings = {"echo-tokens": {"echo": {"reply": sample.raw, "chat_template": f"tools {TEMPLATES[name]}"}}}
    config = {"plugins": {"echo": {"enabled": True}}, "models": {"settings": settings}}
    with served(tmp_path_factory.mktemp(name), config) as server:
        client: Any = OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)
        answer = client.chat.completions.create(model="echo-tokens", messages=ASKED, tools=TOOLS)
        told = gathered(client.chat.completions.create(model="echo-tokens", messages=ASKED, tools=TOOLS, stream=True))

    message = answer.choices[0].message
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]
    assert calls == [(call["name"], json.loads(call["text"])) for call in told["calls"].values()] == [*sample.calls]
    assert (message.content or "") == told["content"] == sample.text
    assert (getattr(message, "reasoning_content", None) or "") == told["reasoning"] == sample.reasoning
    assert answer.choices[0].finish_reason == told["finish_reason"] == "tool_calls"


def test_a_model_s_settings_choose_another_dialect_or_none(tmp_path_factory: pytest.TempPathFactory) -> None:
    echo = {"reply": HERMES_BERLIN, "chat_template": "tools <tool_call>"}
    settings = {"echo-tokens": {"dialect": "none", "echo": echo}}
    config = {"plugins": {"echo": {"enabled": True}}, "models": {"settings": settings}}
    with served(tmp_path_factory.mktemp("none"), config) as server:
        client: Any = OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)
        answer = client.chat.completions.create(model="echo-tokens", messages=ASKED)
        with pytest.raises(BadRequestError) as caught:
            client.chat.completions.create(model="echo-tokens", messages=ASKED, tools=TOOLS)

    assert answer.choices[0].message.content == HERMES_BERLIN
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "tools")


def test_a_thinking_budget_ends_the_reasoning_and_the_answer_goes_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = {"lmx-tiny": {"dialect": "reasoning", "reasoning": "open"}}
    with served(tmp_path_factory.mktemp("budget"), {"models": {"settings": settings}}) as server:
        client: Any = OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)
        asked = {
            "model": "lmx-tiny",
            "messages": [{"role": "user", "content": "Count from 1 to 20."}],
            "temperature": 0,
        }
        free = client.chat.completions.create(**asked)
        bounded = client.chat.completions.create(**asked, extra_body={"thinking_budget": 5})

    assert free.choices[0].message.content == ""
    assert free.usage.completion_tokens_details.reasoning_tokens > 5
    assert bounded.usage.completion_tokens_details.reasoning_tokens == 5
    assert free.choices[0].message.reasoning_content.startswith(bounded.choices[0].message.reasoning_content)
    assert "</think>" not in bounded.choices[0].message.content


def test_a_thinking_budget_is_refused_by_an_engine_that_draws_without_masks(echo: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        echo.chat.completions.create(model="echo-tokens", messages=ASKED, extra_body={"thinking_budget": 5})

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "thinking_budget")
