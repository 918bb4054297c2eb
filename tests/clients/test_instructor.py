"""`instructor` over the OpenAI SDK, in each of its modes that asks a server for an object."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from client_samples import CHAT, QUESTION, Report

pytestmark = pytest.mark.clients
ASKED = [{"role": "user", "content": QUESTION}]


@pytest.fixture
def instructor() -> Any:
    return pytest.importorskip("instructor")


@pytest.fixture
def client(base_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=base_url, api_key="unused", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA"])
def test_each_mode_brings_an_object_at_the_first_try(instructor: Any, client: OpenAI, mode: str) -> None:
    patched = instructor.from_openai(client, mode=instructor.Mode[mode])

    report = patched.chat.completions.create(
        model=CHAT, messages=ASKED, response_model=Report, max_retries=0, temperature=0
    )

    assert isinstance(report, Report)


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA"])
def test_a_partial_object_grows_while_it_streams(instructor: Any, client: OpenAI, mode: str) -> None:
    patched = instructor.from_openai(client, mode=instructor.Mode[mode])

    parts = list(
        patched.chat.completions.create_partial(model=CHAT, messages=ASKED, response_model=Report, temperature=0)
    )

    assert parts[0].sky is None
    assert parts[-1].sky in ("sunny", "cloudy")


def test_the_responses_api_brings_an_object_at_the_first_try(instructor: Any, client: OpenAI) -> None:
    patched = instructor.from_openai(client, mode=instructor.Mode.RESPONSES_TOOLS)

    report = patched.responses.create(model=CHAT, input=QUESTION, response_model=Report, max_retries=0, temperature=0)

    assert isinstance(report, Report)


async def test_the_asynchronous_client_brings_an_object_and_the_completion(instructor: Any, base_url: str) -> None:
    async with AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0) as client:
        patched = instructor.from_openai(client)
        report, completion = await patched.chat.completions.create_with_completion(
            model=CHAT, messages=ASKED, response_model=Report, max_retries=0, temperature=0
        )

    assert isinstance(report, Report)
    assert completion.usage.completion_tokens > 0
