"""Bodies as clients send them: what asks for nothing, or says the usual in another form, is taken without a word."""

from typing import Any

import pytest

from http_support import FakeServices, said, serving
from lmx_openai import lmx_surfaces

USER = {"role": "user", "content": "hi"}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
FUNCTION = {"name": "f", "description": "", "parameters": PARAMETERS}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
CALLING = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "x"}
EMPTY_ANSWER: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": None,
    "refusal": None,
    "annotations": [],
}
NULLS = (
    "functions",
    "function_call",
    "logit_bias",
    "stop",
    "n",
    "seed",
    "top_logprobs",
    "response_format",
    "tool_choice",
)


@pytest.mark.parametrize(
    "fields",
    [
        dict.fromkeys((*NULLS, "tools", "stream_options", "max_tokens", "prediction", "web_search_options")),
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
        {"tools": [{**TOOL, "function": {**FUNCTION, "strict": True}}], "parallel_tool_calls": True},
        {"tools": [{**TOOL, "function": {**FUNCTION, "strict": None}}], "tool_choice": "auto"},
        {"tools": [{**TOOL, "strict": True}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"max_completion_tokens": 5, "max_tokens": 5},
        {"stream_options": {"include_usage": True}},
        {"response_format": {"type": "text"}, "modalities": ["text"], "verbosity": "medium", "store": False},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "r", "strict": None, "schema": PARAMETERS},
            }
        },
        {"messages": [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, USER]},
        {"messages": [USER, EMPTY_ANSWER, {**USER, "name": None}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}
            ]
        },
        {"tools": [TOOL], "messages": [USER, CALLING, {**RESULT, "name": "f"}]},
        {"tools": [TOOL], "messages": [USER, {**CALLING, "content": ""}, {**RESULT, "content": ""}]},
        {"messages": [USER, {**CALLING, "content": []}, {**RESULT, "content": [{"type": "text", "text": "x"}]}]},
    ],
)
async def test_what_clients_are_used_to_send_is_taken_without_a_word(fields: dict[str, Any]) -> None:
    services = FakeServices(script=lambda _: said("yes"))
    async with serving(surfaces=lmx_surfaces(), services=services) as server:
        answer = await server.ask("POST", "/v1/chat/completions", json={"model": "m", "messages": [USER], **fields})

    assert answer.status_code == 200, answer.text
    assert "warnings" not in answer.json()


async def test_parts_of_a_tool_s_result_are_its_text() -> None:
    services = FakeServices(script=lambda _: said("yes"))
    parts = [{"type": "text", "text": "21 "}, {"type": "text", "text": "degrees"}]
    async with serving(surfaces=lmx_surfaces(), services=services) as server:
        messages = [USER, CALLING, {**RESULT, "content": parts}]
        await server.ask("POST", "/v1/chat/completions", json={"model": "m", "messages": messages, "tools": [TOOL]})

    assert [message.content for message in services.asked[0].messages or ()] == ["hi", None, "21 degrees"]
