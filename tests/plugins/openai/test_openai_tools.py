"""What a chat may say of tools, and what is refused by the name of the field."""

from typing import Any

import pytest

from http_support import USAGE, FakeServices, serving
from lmx_hookspecs import Piece, Usage
from lmx_openai import lmx_surfaces

USER = {"role": "user", "content": "hi"}
CALL: dict[str, Any] = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "x"}


def tool(name: object = "f", **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


def services(usage: Usage = USAGE) -> FakeServices:
    return FakeServices(script=lambda _: [Piece(text="yes", finish_reason="stop", usage=usage)])


async def ask(told: FakeServices, **fields: Any) -> Any:
    async with serving(surfaces=lmx_surfaces(), services=told) as server:
        return await server.ask("POST", "/v1/chat/completions", json={"model": "m", "messages": [USER], **fields})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [tool(), tool()]}, "tools[1].function.name"),
        ({"tools": [{"type": "retrieval"}]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tools": [tool("")]}, "tools[0]"),
        ({"tools": [tool("x" * 129)]}, "tools[0].function.name"),
        ({"tools": [tool("get weather")]}, "tools[0].function.name"),
        ({"tools": [tool(5)]}, "tools[0].function.name"),
        ({"tools": [tool(parameters=[])]}, "tools[0].function.parameters"),
        ({"tools": [tool(parameters={"properties": "x"})]}, "tools[0].function.parameters"),
        ({"tools": [tool(f"f{n}") for n in range(513)]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": ["f"]}}}, "tool_choice"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"messages": [USER, RESULT]}, "messages[1].tool_call_id"),
        ({"messages": [USER, CALLING, RESULT, RESULT]}, "messages[3].tool_call_id"),
        ({"messages": [USER, RESULT, CALLING]}, "messages[1].tool_call_id"),
    ],
)
async def test_what_cannot_be_meant_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    told = services()

    answer = await ask(told, **fields)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert told.asked == []


async def test_five_hundred_tools_are_taken() -> None:
    told = services()

    answer = await ask(told, tools=[tool(f"f{n}") for n in range(500)])

    assert answer.status_code == 200
    assert len(told.asked[0].tools) == 500


async def test_calls_results_and_reasoning_of_earlier_turns_reach_the_model() -> None:
    told = services()

    await ask(told, messages=[USER, {**CALLING, "reasoning_content": "Hm."}, RESULT], tools=[tool()])

    _, calling, result = told.asked[0].messages or ()
    assert calling.tool_calls == (CALL,)
    assert calling.reasoning_content == "Hm."
    assert (result.role, result.tool_call_id, result.content) == ("tool", "call_1", "x")


async def test_what_clients_leave_in_earlier_answers_goes_no_further() -> None:
    told = services()
    function = {**CALL["function"], "parsed_arguments": {}}
    call = {**CALL, "function": function, "index": 0, "provider_specific_fields": {"a": 1}}
    said = {**CALLING, "tool_calls": [call], "parsed": {"a": 1}, "provider_specific_fields": {"refusal": None}}

    answer = await ask(told, messages=[USER, {**said, "function_call": None, "audio": None}, RESULT], tools=[tool()])

    assert answer.status_code == 200, answer.text
    assert (told.asked[0].messages or ())[1].tool_calls == (CALL,)
    assert "warnings" not in answer.json()


@pytest.mark.parametrize(
    ("fields", "parallel"),
    [
        ({"tools": [tool()]}, True),
        ({"tools": [tool()], "parallel_tool_calls": False}, False),
        ({"parallel_tool_calls": False}, True),
    ],
)
async def test_parallel_tool_calls_say_something_only_where_there_are_tools(
    fields: dict[str, Any], parallel: bool
) -> None:
    told = services()

    await ask(told, **fields)

    assert told.asked[0].parallel_tool_calls is parallel


async def test_reasoning_tokens_stand_in_the_usage_where_they_are_known() -> None:
    known = await ask(services(Usage(prompt_tokens=1, completion_tokens=5, reasoning_tokens=3)))
    unknown = await ask(services())

    assert known.json()["usage"]["completion_tokens_details"] == {"reasoning_tokens": 3}
    assert "completion_tokens_details" not in unknown.json()["usage"]


async def test_reasoning_effort_travels_with_the_request() -> None:
    told = services()

    await ask(told, reasoning_effort="low")

    assert told.asked[0].reasoning_effort == "low"
