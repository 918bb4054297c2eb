"""`litellm` with the providers that people use for a server of their own."""

from typing import Any

import pytest

from client_samples import CAT, CHAT, EMBED, HELP, HELP_ANSWER, KITTEN, LENGTH, MONEY, QUESTION, RESULT, Report, alike
from serving import Server

pytestmark = [
    pytest.mark.clients,
    # Its types use a qualifier that pydantic does not enforce, and it copies models by all of their attributes.
    pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class:UserWarning:pydantic"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_.*' attribute on the instance:DeprecationWarning"),
]
PROVIDERS = ["openai", "lm_studio", "hosted_vllm"]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather of a city",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(params=[*PROVIDERS, "anthropic"])
def ask(request: pytest.FixtureRequest, server: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else the import asks GitHub for prices
    litellm = pytest.importorskip("litellm")
    path = "" if request.param == "anthropic" else "/v1"

    def ask(content: str | list[Any], **options: Any) -> Any:
        messages = [{"role": "user", "content": content}] if isinstance(content, str) else content
        return litellm.completion(
            model=f"{request.param}/{CHAT}",
            messages=messages,
            api_base=f"{server.url}{path}",
            api_key="unused",
            temperature=0,
            num_retries=0,
            **options,
        )

    return ask


def test_a_stream_brings_the_answer_and_its_usage(ask: Any) -> None:
    chunks = list(ask(HELP, stream=True, stream_options={"include_usage": True}))

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert HELP_ANSWER in text
    assert chunks[-1].usage.completion_tokens > 0


def test_the_model_calls_a_tool_and_its_message_is_taken_back(ask: Any) -> None:
    message = ask(QUESTION, tools=[WEATHER], parallel_tool_calls=True).choices[0].message
    (call,) = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": RESULT}

    answer = ask([{"role": "user", "content": QUESTION}, message, result], tools=[WEATHER])

    assert call.function.name == "get_weather"
    assert answer.choices[0].message.content


def test_a_dumped_message_is_taken_back_as_well(ask: Any) -> None:
    message = ask(HELP).choices[0].message.model_dump()

    answer = ask([{"role": "user", "content": HELP}, message, {"role": "user", "content": HELP}])

    assert answer.choices[0].message.content


def test_a_call_can_be_forced(ask: Any) -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}

    answer = ask("Hello!", tools=[WEATHER], tool_choice=choice, max_completion_tokens=64)

    assert [call.function.name for call in answer.choices[0].message.tool_calls] == ["get_weather"]


def test_a_model_class_is_a_response_format(ask: Any) -> None:
    answer = ask(QUESTION, response_format=Report)

    assert Report.model_validate_json(answer.choices[0].message.content)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_embeddings_know_what_is_alike(provider: str, base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm = pytest.importorskip("litellm")

    answer = litellm.embedding(
        model=f"{provider}/{EMBED}", input=[CAT, KITTEN, MONEY], api_base=base_url, api_key="unused"
    )

    cat, kitten, money = (entry["embedding"] for entry in answer.data)
    assert len(cat) == LENGTH
    assert alike(cat, kitten) > alike(cat, money)


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
def test_responses_go_on_from_each_other(provider: str, base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm = pytest.importorskip("litellm")
    asked = {"model": f"{provider}/{CHAT}", "api_base": base_url, "api_key": "unused", "temperature": 0}

    first = litellm.responses(input=QUESTION, **asked)
    events = list(litellm.responses(input=HELP, previous_response_id=first.id, stream=True, **asked))

    assert events[-1].type == "response.completed"
    assert events[-1].response.usage.input_tokens > first.usage.input_tokens
