"""What is wrong with a request is said before any engine hears of it, by the name of the field or block."""

from collections.abc import Mapping
from typing import Any

import pytest

from http_support import FakeServices, serving
from lmx_anthropic import lmx_surfaces

HI = {"role": "user", "content": "hi"}
ADD = {"name": "add", "input_schema": {}}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "add", "input": {}}]}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
RESULT = {"type": "tool_result", "tool_use_id": "a"}


def user(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"messages": [HI, {"role": "assistant", "content": list(blocks)}, HI]}


def results(*blocks: Any) -> dict[str, Any]:
    return {"messages": [HI, CALL, {"role": "user", "content": list(blocks)}]}


BAD: Mapping[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "messages"),
    "a role that there is not": ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    "a message without content": ({"messages": [{"role": "user"}]}, "messages[0].content"),
    "no blocks": (user(), "messages[0].content"),
    "a block that is text": (user("hi"), "messages[0].content"),
    "an image": (user({"type": "text", "text": "x"}, IMAGE), "messages[0].content[1]"),
    "a document": (user({"type": "document"}), "messages[0].content[0]"),
    "a block without a type": (user({}), "messages[0].content[0]"),
    "a text without text": (user({"type": "text"}), "messages[0].content[0].text"),
    "an image in a result": (results({**RESULT, "content": [IMAGE]}), "messages[2].content[0].content[0]"),
    "a result that is a number": (results({**RESULT, "content": 3}), "messages[2].content[0].content"),
    "a result of strings": (results({**RESULT, "content": ["x"]}), "messages[2].content[0].content[0]"),
    "a result of no call": (user(RESULT), "messages[0].content[0]"),
    "a second result": (results(RESULT, RESULT), "messages[2].content[1]"),
    "a result behind a text": (results({"type": "text", "text": "x"}, RESULT), "messages[2].content"),
    "is_error in words": (results({**RESULT, "is_error": "yes"}), "messages[2].content[0].is_error"),
    "a call without input": (assistant({"type": "tool_use", "id": "a", "name": "add"}), "messages[1].content[0].input"),
    "a call without a name": (assistant({"type": "tool_use", "id": "a", "input": {}}), "messages[1].content[0].name"),
    "two calls of one id": (assistant(*CALL["content"], *CALL["content"]), "messages[1].content[1].id"),
    "a call with the id of an answered one": (
        {"messages": [HI, CALL, {"role": "user", "content": [RESULT]}, CALL, {"role": "user", "content": [RESULT]}]},
        "messages[3].content[0].id",
    ),
    "a thought without text": (assistant({"type": "thinking"}), "messages[1].content[0].thinking"),
    "an image by the assistant": (assistant(IMAGE), "messages[1].content[0]"),
    "an answer that is begun": ({"messages": [HI, {"role": "assistant", "content": "I"}]}, "assistant's"),
    "an image as instructions": ({"system": [IMAGE]}, "system[0]"),
    "max_tokens 0": ({"max_tokens": 0}, "max_tokens"),
    "no max_tokens": ({"max_tokens": None}, "max_tokens"),
    "temperature 1.5": ({"temperature": 1.5}, "temperature"),
    "top_p 2": ({"top_p": 2}, "top_p"),
    "top_k -1": ({"top_k": -1}, "top_k"),
    "an empty stop sequence": ({"stop_sequences": [""]}, "stop_sequences"),
    "65 stop sequences": ({"stop_sequences": ["x"] * 65}, "stop_sequences"),
    "a tool without a name": ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
    "a tool with a space in its name": ({"tools": [{**ADD, "name": "add up"}]}, "tools[0].name"),
    "a tool with properties in words": (
        {"tools": [{**ADD, "input_schema": {"properties": "x"}}]},
        "tools[0].input_schema",
    ),
    "a tool without a schema": ({"tools": [{"name": "add"}]}, "tools[0].input_schema"),
    "a tool described by a number": ({"tools": [{**ADD, "description": 3}]}, "tools[0].description"),
    "two tools of one name": ({"tools": [ADD, ADD]}, "tools[1]"),
    "a tool of Anthropic's": ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0]"),
    "a strict tool": ({"tools": [{**ADD, "strict": True}]}, "tools[0].strict"),
    "513 tools": ({"tools": [{**ADD, "name": f"t{n}"} for n in range(513)]}, "tools"),
    "a choice that there is not": ({"tools": [ADD], "tool_choice": {"type": "some"}}, "tool_choice.type"),
    "a choice of another tool": ({"tools": [ADD], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
    "a choice that is a list": ({"tools": [ADD], "tool_choice": {"type": "tool", "name": []}}, "tool_choice.name"),
    "a choice without tools": ({"tool_choice": {"type": "any"}}, "tool_choice"),
    "parallel calls in words": (
        {"tools": [ADD], "tool_choice": {"type": "auto", "disable_parallel_tool_use": "no"}},
        "disable_parallel_tool_use",
    ),
    "thinking of no type": ({"thinking": {}}, "thinking.type"),
    "thinking without a budget": ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    "a budget above max_tokens": ({"thinking": {"type": "enabled", "budget_tokens": 99}}, "thinking.budget_tokens"),
    "a display that there is not": ({"thinking": {"type": "adaptive", "display": "all"}}, "thinking.display"),
    "an effort that there is not": ({"output_config": {"effort": ["much"]}}, "output_config.effort"),
    "a format without a schema": ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format"),
    "a field that means something elsewhere": ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
    "an edit that clears something": (
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
        "context_management",
    ),
    "an edit that keeps one thought": (
        {"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}},
        "context_management",
    ),
    "edits in words": ({"context_management": {"edits": "none"}}, "context_management"),
    "n 2": ({"n": 2}, "'n'"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_request_is_refused_by_name(name: str) -> None:
    fields, where = BAD[name]
    services = FakeServices()
    body = {"model": "m", "max_tokens": 20, "messages": [HI], **fields}
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        response = await served.ask("POST", "/v1/messages", json=body)

    assert response.status_code == 400, response.text
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert where in response.json()["error"]["message"]
    assert services.asked == []


async def test_a_count_is_refused_for_the_same_reasons() -> None:
    services = FakeServices()
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        response = await served.ask("POST", "/v1/messages/count_tokens", json={"model": "m", **user(IMAGE)})

    assert response.status_code == 400
    assert "messages[0].content[0]" in response.json()["error"]["message"]
    assert services.asked == []
