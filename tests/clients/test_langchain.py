"""`langchain-openai`: ChatOpenAI and OpenAIEmbeddings with another base URL."""

from typing import Any

import httpx
import pytest

from client_samples import (
    CAT,
    CHAT,
    EMBED,
    HELP,
    HELP_ANSWER,
    KITTEN,
    LENGTH,
    MONEY,
    QUESTION,
    Report,
    alike,
    get_weather,
)

pytestmark = [
    pytest.mark.clients,
    # It dumps the SDK's parsed messages, whose `parsed` the SDK declares as null.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning:pydantic.main"),
]


@pytest.fixture
def langchain() -> Any:
    return pytest.importorskip("langchain_openai")


@pytest.fixture
def chat(langchain: Any, base_url: str, http: httpx.Client, async_http: httpx.AsyncClient) -> Any:
    return langchain.ChatOpenAI(
        model=CHAT,
        base_url=base_url,
        api_key="unused",
        temperature=0,
        max_retries=0,
        http_client=http,
        http_async_client=async_http,
    )


def test_a_stream_brings_the_answer_and_its_usage(chat: Any) -> None:
    chunks = list(chat.stream(HELP, stream_usage=True))

    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert len(chunks) > 2
    assert HELP_ANSWER in whole.content
    assert whole.usage_metadata["output_tokens"] > 0


async def test_batches_run_at_once(chat: Any) -> None:
    answers = await chat.abatch([HELP, HELP, QUESTION])

    assert [HELP_ANSWER in answer.content for answer in answers] == [True, True, False]


def test_the_model_calls_a_tool_and_answers_with_its_result(chat: Any) -> None:
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import tool

    weather = tool(get_weather)
    model = chat.bind_tools([weather])
    asked = [HumanMessage(QUESTION)]
    calling = model.invoke(asked)
    result = weather.invoke(calling.tool_calls[0])

    answer = model.invoke([*asked, calling, result])

    assert [call["name"] for call in calling.tool_calls] == ["get_weather"]
    assert "sunny" in answer.content


@pytest.mark.parametrize("choice", ["any", "get_weather"])
def test_a_forced_strict_call_is_made_alone(chat: Any, choice: str) -> None:
    from langchain_core.tools import tool

    model = chat.bind_tools([tool(get_weather)], tool_choice=choice, strict=True, parallel_tool_calls=False)

    answer = model.invoke([("system", "Call."), ("human", "Hello!")])

    assert [set(call["args"]) for call in answer.tool_calls] == [{"city"}]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_an_object(chat: Any, method: str) -> None:
    model = chat.with_structured_output(Report, method=method)

    assert isinstance(model.invoke(QUESTION), Report)


def test_structured_output_streams(chat: Any) -> None:
    parts = list(chat.with_structured_output(Report, method="json_schema").stream(QUESTION))

    assert isinstance(parts[-1], Report)


def test_json_mode_is_json(chat: Any) -> None:
    answer = chat.bind(response_format={"type": "json_object"}).invoke(QUESTION)

    assert answer.content.startswith("{")


def test_embeddings_know_what_is_alike(langchain: Any, base_url: str, http: httpx.Client) -> None:
    embeddings = langchain.OpenAIEmbeddings(
        model=EMBED,
        base_url=base_url,
        api_key="unused",
        http_client=http,
        check_embedding_ctx_length=False,  # else it sends the token ids of OpenAI's own models
    )

    cat, kitten, money = embeddings.embed_documents([CAT, KITTEN, MONEY])

    assert len(embeddings.embed_query(CAT)) == LENGTH
    assert alike(cat, kitten) > alike(cat, money)


def test_the_responses_api_streams_calls_and_parses(chat: Any) -> None:
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import tool

    model = chat.model_copy(update={"use_responses_api": True})
    weather = tool(get_weather)
    calling = model.bind_tools([weather]).invoke(QUESTION)
    result = weather.invoke(calling.tool_calls[0])
    answer = model.bind_tools([weather]).invoke([HumanMessage(QUESTION), calling, result])

    assert HELP_ANSWER in "".join(chunk.text for chunk in model.stream(HELP))
    assert answer.text
    assert isinstance(model.with_structured_output(Report, method="json_schema").invoke(QUESTION), Report)
