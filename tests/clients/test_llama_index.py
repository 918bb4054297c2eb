"""`llama-index-llms-openai-like`: a chat model, an agent, structured prediction and embeddings."""

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
    # Its workflows look at every attribute of an agent, the deprecated ones of pydantic too.
    pytest.mark.filterwarnings("ignore:The `.*` attribute is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_.*' attribute on the instance:DeprecationWarning"),
]


@pytest.fixture
def llm(base_url: str, http: httpx.Client, async_http: httpx.AsyncClient) -> Any:
    module = pytest.importorskip("llama_index.llms.openai_like")
    return module.OpenAILike(
        model=CHAT,
        api_base=base_url,
        api_key="unused",
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=8192,
        temperature=0,
        max_retries=0,
        http_client=http,
        async_http_client=async_http,
    )


def test_a_chat_streams(llm: Any) -> None:
    from llama_index.core.llms import ChatMessage

    parts = list(llm.stream_chat([ChatMessage(role="user", content=HELP)]))

    assert len(parts) > 2
    assert HELP_ANSWER in parts[-1].message.content


def test_a_completion_model_continues_a_prompt(llm: Any) -> None:
    llm.is_chat_model = False

    assert llm.complete("Once", max_tokens=5).text


async def test_an_agent_calls_its_tool_and_answers_with_the_result(llm: Any) -> None:
    from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult

    handler = FunctionAgent(llm=llm, tools=[get_weather]).run(QUESTION)
    used = [event.tool_name async for event in handler.stream_events() if isinstance(event, ToolCallResult)]

    answer = await handler

    assert used == ["get_weather"]
    assert str(answer)


def test_a_tool_can_be_required(llm: Any) -> None:
    from llama_index.core.tools import FunctionTool

    tool = FunctionTool.from_defaults(get_weather)

    answer = llm.chat_with_tools([tool], "Hello!", tool_required=True, allow_parallel_tool_calls=False)

    (call,) = llm.get_tool_calls_from_response(answer)
    assert (call.tool_name, set(call.tool_kwargs)) == ("get_weather", {"city"})


def test_structured_prediction_is_an_object(llm: Any) -> None:
    from llama_index.core.prompts import PromptTemplate

    assert isinstance(llm.structured_predict(Report, PromptTemplate(QUESTION)), Report)


def test_embeddings_know_what_is_alike(base_url: str, http: httpx.Client) -> None:
    module = pytest.importorskip("llama_index.embeddings.openai_like")
    embedding = module.OpenAILikeEmbedding(
        model_name=EMBED, api_base=base_url, api_key="unused", max_retries=0, http_client=http
    )

    cat, kitten, money = embedding.get_text_embedding_batch([CAT, KITTEN, MONEY])

    assert len(embedding.get_query_embedding(CAT)) == LENGTH
    assert alike(cat, kitten) > alike(cat, money)
