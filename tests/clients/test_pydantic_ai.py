"""`pydantic-ai`: agents over the OpenAI chat model, with each of its ways to an object."""

from typing import Any

import httpx
import pytest

from client_samples import CHAT, HELP, HELP_ANSWER, QUESTION, Report, get_weather

pytestmark = pytest.mark.clients


@pytest.fixture
def ai() -> Any:
    return pytest.importorskip("pydantic_ai")


@pytest.fixture
def model(ai: Any, base_url: str, async_http: httpx.AsyncClient) -> Any:
    assert ai
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=base_url, api_key="unused", http_client=async_http)
    return OpenAIChatModel(CHAT, provider=provider, settings={"temperature": 0, "max_tokens": 100})


async def test_an_agent_streams(ai: Any, model: Any) -> None:
    async with ai.Agent(model, instructions="Be brief.").run_stream(HELP) as run:
        parts = [part async for part in run.stream_text(delta=True, debounce_by=None)]

    assert len(parts) > 2
    assert HELP_ANSWER in "".join(parts)
    assert run.usage.output_tokens > 0


async def test_an_agent_calls_its_tool_and_answers_with_the_result(ai: Any, model: Any) -> None:
    agent = ai.Agent(model, tools=[get_weather])

    run = await agent.run(QUESTION)

    parts = [part for message in run.all_messages() for part in message.parts]
    assert [part.tool_name for part in parts if part.part_kind == "tool-return"] == ["get_weather"]
    assert run.output


async def test_a_conversation_goes_on(ai: Any, model: Any) -> None:
    agent = ai.Agent(model, tools=[get_weather])
    first = await agent.run(QUESTION)

    second = await agent.run(HELP, message_history=first.all_messages())

    assert second.output


@pytest.mark.parametrize("way", ["ToolOutput", "NativeOutput"])
async def test_each_way_brings_an_object_at_the_first_try(ai: Any, model: Any, way: str) -> None:
    agent = ai.Agent(model, output_type=getattr(ai, way)(Report), retries=0)

    run = await agent.run(QUESTION)

    assert isinstance(run.output, Report)


async def test_an_object_grows_while_it_streams(ai: Any, model: Any) -> None:
    agent = ai.Agent(model, output_type=ai.NativeOutput(Report), retries=0)
    async with agent.run_stream(QUESTION) as run:
        parts = [part async for part in run.stream_output(debounce_by=None)]

    assert isinstance(parts[-1], Report)


async def test_an_agent_works_over_the_responses_api_too(ai: Any, base_url: str, async_http: httpx.AsyncClient) -> None:
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=base_url, api_key="unused", http_client=async_http)
    model = OpenAIResponsesModel(CHAT, provider=provider, settings={"temperature": 0, "max_tokens": 100})
    called = await ai.Agent(model, tools=[get_weather]).run(QUESTION)
    parsed = await ai.Agent(model, output_type=ai.NativeOutput(Report), retries=0).run(QUESTION)
    async with ai.Agent(model).run_stream(HELP) as run:
        streamed = await run.get_output()

    parts = [part for message in called.all_messages() for part in message.parts]
    assert [part.tool_name for part in parts if part.part_kind == "tool-return"] == ["get_weather"]
    assert isinstance(parsed.output, Report)
    assert HELP_ANSWER in streamed
