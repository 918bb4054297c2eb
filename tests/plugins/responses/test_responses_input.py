"""What a request may say, what of it reaches the model, and what is refused by the name of the field."""

from typing import Any

import pytest

from http_support import FakeServices, error_of
from lmx_hookspecs import Message, used_fields
from lmx_hookspecs.errors import InvalidRequest
from responses_support import URL, make, responding

USER = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,"}


def tool(name: str = "f", **fields: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, **fields}


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"input": None}, "invalid_value", "input"),
        ({"input": []}, "invalid_value", "input"),
        ({"input": [{"role": "user", "content": [IMAGE]}]}, "unsupported_parameter", "input[0].content[0]"),
        (
            {"input": [USER, {"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]},
            None,
            "input[1].content[0]",
        ),
        ({"input": [{"role": "robot", "content": "hi"}]}, "invalid_value", "input[0].role"),
        ({"input": [{"role": "user"}]}, "invalid_value", "input[0].content"),
        ({"input": [{"role": "user", "content": "\ud800"}]}, "invalid_value", "input[0].content"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "invalid_value",
            "input[0].content[0].text",
        ),
        ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "unsupported_parameter", "input[0]"),
        ({"input": [{}]}, "unsupported_parameter", "input[0]"),
        ({"input": [USER, RESULT]}, "invalid_value", "input[1].call_id"),
        ({"input": [CALL, RESULT, RESULT]}, "invalid_value", "input[2].call_id"),
        ({"input": [{**CALL, "name": ""}]}, "invalid_value", "input[0].name"),
        ({"input": [{**USER, "id": "x" * 129}]}, "invalid_value", "input[0].id"),
        ({"input": [{"type": "item_reference", "id": "msg_none"}]}, "invalid_value", "input[0].id"),
        (
            {"input": [{"type": "reasoning", "summary": [], "encrypted_content": "x"}]},
            None,
            "input[0].encrypted_content",
        ),
        ({"previous_response_id": "resp_none"}, "previous_response_not_found", "previous_response_id"),
        ({"tools": [{"type": "code_interpreter"}]}, "unsupported_parameter", "tools[0]"),
        ({"tools": [tool(), {"type": "web_search"}]}, "unsupported_parameter", "tools[1]"),
        ({"tools": [tool(), tool()]}, "invalid_value", "tools[1].name"),
        ({"tools": [tool("")]}, "invalid_value", "tools[0].name"),
        ({"tools": [tool("x" * 129)]}, "invalid_value", "tools[0].name"),
        ({"tools": [tool("get weather")]}, "invalid_value", "tools[0].name"),
        ({"tools": [tool(parameters={"required": 5})]}, "invalid_value", "tools[0].parameters"),
        ({"tools": [tool(parameters=[])]}, "invalid_value", "tools[0].parameters"),
        ({"tools": [tool(f"f{n}") for n in range(513)]}, "invalid_value", "tools"),
        ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
        ({"tools": [tool()], "tool_choice": "sometimes"}, "invalid_value", "tool_choice"),
        ({"tools": [tool()], "tool_choice": tool("g")}, "invalid_value", "tool_choice"),
        (
            {"tools": [tool()], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
            None,
            "tool_choice",
        ),
        ({"text": {"format": {"type": "yaml"}}}, "invalid_value", "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "invalid_value", "text.format.schema"),
        ({"text": {"verbosity": "high"}}, "unsupported_parameter", "text.verbosity"),
        ({"top_logprobs": 2}, "invalid_value", "top_logprobs"),
        ({"top_logprobs": 21}, "invalid_value", "top_logprobs"),
        ({"include": ["everything"]}, "unsupported_parameter", "include[0]"),
        ({"background": True, "store": False}, "invalid_value", "background"),
        ({"metadata": {"a": 1}}, "invalid_value", "metadata.a"),
        ({"metadata": {"a": "x" * 513}}, "invalid_value", "metadata"),
        ({"metadata": {str(n): "" for n in range(17)}}, "invalid_value", "metadata"),
        ({"max_output_tokens": 0}, "invalid_value", "max_output_tokens"),
        ({"truncation": "middle"}, "invalid_value", "truncation"),
        ({"reasoning": {"effort": "huge"}}, "invalid_value", "reasoning.effort"),
        ({"conversation": "conv_1"}, "unsupported_parameter", "conversation"),
        ({"prompt": {"id": "x"}}, "unsupported_parameter", "prompt"),
        ({"stream_options": {"include_obfuscation": True}}, "invalid_value", "stream_options.include_obfuscation"),
    ],
)
async def test_what_cannot_be_meant_is_refused_by_name(fields: dict[str, Any], code: str | None, param: str) -> None:
    told = FakeServices()
    async with responding(told) as server:
        answer = await make(server, **fields)

    assert answer.status_code == 400
    error = error_of(answer)
    assert error["param"] == param
    assert code is None or error["code"] == code
    assert told.asked == []


async def asked(**fields: Any) -> Any:
    """What the kernel is asked, and the answer to it."""
    told = FakeServices()
    async with responding(told) as server:
        answer = await make(server, **fields)
    assert answer.status_code == 200, answer.text
    return told.asked[0], answer.json()


async def test_the_items_of_one_turn_are_one_message_of_the_assistant() -> None:
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "So."}]}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]}
    second = {**CALL, "call_id": "call_2"}
    items = [USER, thought, said, CALL, second, RESULT, {**RESULT, "call_id": "call_2"}, {**USER, "role": "developer"}]

    request, _ = await asked(input=items, instructions="Be brief.")

    function = {"name": "f", "arguments": "{}"}
    calls = tuple({"id": name, "type": "function", "function": function} for name in ("call_1", "call_2"))
    assert request.messages == [
        Message(role="system", content="Be brief."),
        Message(role="user", content="hi"),
        Message(role="assistant", content="Let me look.", tool_calls=calls, reasoning_content="So."),
        Message(role="tool", tool_call_id="call_1", content="sunny"),
        Message(role="tool", tool_call_id="call_2", content="sunny"),
        Message(role="developer", content="hi"),
    ]


async def test_every_field_reaches_the_kernel_under_its_own_name() -> None:
    request, answer = await asked(
        tools=[tool(description="d", parameters={"type": "object"}, strict=True)],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
        reasoning={"effort": "low"},
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.9,
        top_logprobs=3,
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        truncation="auto",
        seed=1,
        thinking_budget=9,
        metadata={"a": "b"},
        user="u",
        prompt_cache_key="k",
        safety_identifier="s",
        service_tier="flex",
        store=False,
    )

    function = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
    assert request.tools == ({"type": "function", "function": function},)
    assert request.tool_choice == {"type": "function", "function": {"name": "f"}}
    assert not request.parallel_tool_calls
    schema = {"name": "n", "schema": {"type": "object"}, "strict": True}
    assert request.response_format == {"type": "json_schema", "json_schema": schema}
    assert (request.max_tokens, request.logprobs, request.context_policy) == (7, 3, "trim")
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.seed) == (0.5, 0.9, 1)
    assert request.open_sampling.isdisjoint({"temperature", "top_p", "seed"})
    assert request.explicit == {"response_format", "context_policy"}
    assert (request.reasoning_effort, request.thinking_budget, request.surface) == ("low", 9, "responses")
    assert (answer["metadata"], answer["user"], answer["service_tier"]) == ({"a": "b"}, "u", "default")
    assert (answer["temperature"], answer["store"], answer["truncation"]) == (0.5, False, "auto")
    assert answer["text"]["format"]["schema"] == {"type": "object"}


async def test_a_plain_request_asks_for_nothing_that_a_backend_may_lack() -> None:
    request, _ = await asked()

    assert used_fields(request) == {"messages"}


async def test_allowed_tools_are_all_that_the_model_is_shown() -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}

    request, answer = await asked(tools=[tool("f"), tool("g")], tool_choice=allowed)

    assert [shown["function"]["name"] for shown in request.tools] == ["g"]
    assert request.tool_choice == "required"
    assert answer["tool_choice"] == allowed


async def test_tool_choice_none_shows_no_tools() -> None:
    request, _ = await asked(tools=[tool()], tool_choice="none")

    assert (request.tools, request.tool_choice, request.parallel_tool_calls) == ((), None, True)


async def test_a_summary_of_the_reasoning_is_dropped_with_a_warning() -> None:
    _, answer = await asked(reasoning={"summary": "auto"})

    assert "reasoning.summary was dropped" in answer["warnings"][0]


async def test_a_lenient_client_is_told_what_was_dropped() -> None:
    async with responding() as server:
        body = {"model": "m", "input": "hi", "conversation": "conv_1", "text": {"verbosity": "low"}}
        answer = await server.ask("POST", URL, json=body, headers={"X-LMX-Lenient": "1"})

    assert answer.status_code == 200
    assert answer.json()["warnings"] == [
        "conversation was dropped: it is not supported",
        "text.verbosity was dropped: it is not supported",
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_model_refuses_is_called_as_this_api_calls_it(stream: bool) -> None:
    error = InvalidRequest("max_tokens is 9; ask for less", param="max_tokens")
    for services in (FakeServices(refused=error), FakeServices(lambda _: [error])):
        async with responding(services) as server:
            answer = await make(server, stream=stream)

        told = error_of(answer)
        assert (answer.status_code, told["param"]) == (400, "max_output_tokens")
        assert told["message"] == "max_output_tokens is 9; ask for less"
