"""What is wrong with a request is said before any engine hears of it."""

from collections.abc import Mapping
from typing import Any

import pytest

from http_support import FakeServices, error_of, serving
from lmx_openai import lmx_surfaces

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
USER = {"role": "user", "content": "hi"}
ADD = {"type": "function", "function": {"name": "add", "arguments": "{}"}}


def chat(**fields: Any) -> tuple[str, dict[str, Any]]:
    return CHAT, {"model": "m", "messages": [USER], **fields}


def said_by(role: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return chat(messages=[USER, {"role": role, **fields}])


def completion(**fields: Any) -> tuple[str, dict[str, Any]]:
    return COMPLETIONS, {"model": "m", "prompt": "hi", **fields}


BAD: Mapping[str, tuple[tuple[str, dict[str, Any]], str]] = {
    "no model": ((CHAT, {"messages": [USER]}), "model"),
    "no messages": ((CHAT, {"model": "m"}), "messages"),
    "no prompt": ((COMPLETIONS, {"model": "m"}), "prompt"),
    "an empty model": (chat(model=""), "model"),
    "a model's name of 1,025 characters": (chat(model="x" * 1025), "model"),
    "a completion's model of 15 MB": (completion(model="x" * 15_000_000), "model"),
    "a model that is a list": (chat(model=["m"]), "model"),
    "empty messages": (chat(messages=[]), "messages"),
    "an unknown role": (said_by("wizard", content="x"), "messages[1].role"),
    "a message without a role": (chat(messages=[{"content": "x"}]), "messages[0].role"),
    "a message that is text": (chat(messages=["hi"]), "messages[0]"),
    "a misspelt field of a message": (said_by("user", contents="x"), "messages[1].contents"),
    "a message without content": (said_by("user"), "messages[1].content"),
    "a part of an unknown type": (said_by("user", content=[{"type": "image_url"}]), "messages[1].content[0]"),
    "a part without text": (said_by("user", content=[{"type": "text"}]), "messages[1].content[0].text"),
    "a part that is text": (said_by("user", content=["x"]), "messages[1].content[0]"),
    "tool calls of a user": (said_by("user", content="x", tool_calls=[{"id": "1", **ADD}]), "messages[1].tool_calls"),
    "a tool call without an id": (said_by("assistant", tool_calls=[ADD]), "messages[1].tool_calls[0].id"),
    "a result without its call": (said_by("tool", content="3"), "messages[1].tool_call_id"),
    "audio of an earlier answer": (said_by("assistant", content="x", audio={"id": "a"}), "messages[1].audio"),
    "temperature 3": (chat(temperature=3), "temperature"),
    "a temperature in words": (chat(temperature="hot"), "temperature"),
    "a boolean as a number": (chat(temperature=True), "temperature"),
    "top_p 1.1": (chat(top_p=1.1), "top_p"),
    "top_k -1": (chat(top_k=-1), "top_k"),
    "min_p 2": (chat(min_p=2), "min_p"),
    "repetition_penalty 0": (chat(repetition_penalty=0), "repetition_penalty"),
    "presence_penalty 2.1": (chat(presence_penalty=2.1), "presence_penalty"),
    "frequency_penalty -3": (chat(frequency_penalty=-3), "frequency_penalty"),
    "max_tokens -1": (chat(max_tokens=-1), "max_tokens"),
    "max_tokens 0": (chat(max_tokens=0), "max_tokens"),
    "max_tokens 1.5": (chat(max_tokens=1.5), "max_tokens"),
    "two different limits": (chat(max_tokens=1, max_completion_tokens=2), "max_completion_tokens"),
    "n 17": (chat(n=17), "n"),
    "n 0": (chat(n=0), "n"),
    "five stops": (chat(stop=list("abcde")), "stop"),
    "an empty stop": (chat(stop=""), "stop"),
    "an empty stop in a list": (chat(stop=["a", ""]), "stop"),
    "a stop that is a number": (chat(stop=3), "stop"),
    "top_logprobs 21": (chat(logprobs=True, top_logprobs=21), "top_logprobs"),
    "top_logprobs without logprobs": (chat(top_logprobs=2), "top_logprobs"),
    "logprobs as a number in a chat": (chat(logprobs=3), "logprobs"),
    "a bias that is no number": (chat(logit_bias={"1": "x"}), "logit_bias.1"),
    "a bias of no token": (chat(logit_bias={"x": 1}), "logit_bias.x"),
    "a bias of a negative token": (chat(logit_bias={"-1": 1}), "logit_bias"),
    "a bias of 101": (chat(logit_bias={"1": 101}), "logit_bias"),
    "num_ctx 511": (chat(num_ctx=511), "num_ctx"),
    "num_ctx 131073": (chat(num_ctx=131073), "num_ctx"),
    "stream as text": (chat(stream="yes"), "stream"),
    "an unknown stream option": (chat(stream=True, stream_options={"padding": True}), "stream_options.padding"),
    "a tool without a name": (chat(tools=[{"type": "function", "function": {}}]), "tools[0]"),
    "a tool of another type": (chat(tools=[{"type": "retrieval"}]), "tools[0]"),
    "an unknown response format": (chat(response_format={"type": "xml"}), "response_format"),
    "a response format without a type": (chat(response_format={}), "response_format"),
    "an empty list of prompts": (completion(prompt=[]), "prompt"),
    "129 prompts": (completion(prompt=["x"] * 129), "prompt"),
    "a prompt without ids": (completion(prompt=[[1], []]), "prompt"),
    "prompts of two kinds": (completion(prompt=["a", 1]), "prompt"),
    "a prompt of booleans": (completion(prompt=[True]), "prompt"),
    "logprobs -1": (completion(logprobs=-1), "logprobs"),
    "messages for a completion": (completion(messages=[USER]), "messages"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_request_is_400_and_names_the_field(name: str) -> None:
    (path, body), param = BAD[name]
    services = FakeServices()

    async with serving(surfaces=lmx_surfaces(), services=services) as server:
        answer = await server.ask("POST", path, json=body)

    error = error_of(answer)
    assert answer.status_code == 400, answer.text
    assert (error["param"] or "").startswith(param), error
    assert error["type"] == "invalid_request_error"
    assert services.asked == []


async def test_a_name_that_is_too_long_is_not_repeated() -> None:
    async with serving(surfaces=lmx_surfaces()) as server:
        answer = await server.ask("POST", CHAT, json=chat(model="x" * 15_000_000)[1])

    assert answer.status_code == 400
    assert len(answer.content) < 1000


VALID: Mapping[str, tuple[str, dict[str, Any]]] = {
    "an earlier answer with a call, and its result": chat(
        messages=[
            USER,
            {"role": "assistant", "content": None, "refusal": None, "tool_calls": [{"id": "1", **ADD}]},
            {"role": "tool", "tool_call_id": "1", "content": "3"},
        ]
    ),
    "an earlier answer as the SDK keeps it": said_by(
        "assistant", content="x", audio=None, function_call=None, annotations=[], refusal=None, tool_calls=None
    ),
    "a developer's message with a name": said_by("developer", content="be brief", name="boss"),
    "parts of text": said_by("user", content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
    "no tools and no choice of one": chat(tools=[], tool_choice="auto", response_format={"type": "text"}),
    "max_tokens of a billion": chat(max_tokens=10**9),
    "a model's name of 1,024 characters": chat(model="x" * 1024),
    "both limits alike": chat(max_tokens=3, max_completion_tokens=3),
    "four stops": chat(stop=list("abcd")),
    "no stops": chat(stop=[]),
    "usage wanted without a stream": chat(stream_options={"include_usage": True}),
    "an empty prompt": completion(prompt=""),
    "token ids": completion(prompt=[1, 2, 3]),
    "logprobs of five": completion(logprobs=5),
}


@pytest.mark.parametrize("name", VALID)
async def test_unusual_but_valid_requests_are_answered(name: str) -> None:
    path, body = VALID[name]

    async with serving(surfaces=lmx_surfaces()) as server:
        answer = await server.ask("POST", path, json=body)

    assert answer.status_code == 200, answer.text


async def test_text_parts_are_joined() -> None:
    services = FakeServices()
    path, body = VALID["parts of text"]

    async with serving(surfaces=lmx_surfaces(), services=services) as server:
        await server.ask("POST", path, json=body)

    assert services.asked[0].messages is not None
    assert services.asked[0].messages[1].content == "ab"


async def test_tools_and_formats_go_to_the_backend_that_may_refuse_them() -> None:
    services = FakeServices()
    tool = {"type": "function", "function": {"name": "add", "parameters": {}}}
    path, body = chat(tools=[tool], tool_choice="required", response_format={"type": "json_object"})

    async with serving(surfaces=lmx_surfaces(), services=services) as server:
        await server.ask("POST", path, json=body)

    [asked] = services.asked
    assert (asked.tools, asked.tool_choice, asked.response_format) == ((tool,), "required", {"type": "json_object"})


async def test_tools_that_may_not_be_called_are_left_out() -> None:
    services = FakeServices()
    path, body = chat(tools=[{"type": "function", "function": {"name": "add"}}], tool_choice="none")

    async with serving(surfaces=lmx_surfaces(), services=services) as server:
        await server.ask("POST", path, json=body)

    assert (services.asked[0].tools, services.asked[0].tool_choice) == ((), None)
