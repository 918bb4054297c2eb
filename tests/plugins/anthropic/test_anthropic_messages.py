"""What a request becomes on its way to the model, and what becomes of the answer."""

import json
from typing import Any

import pytest

from http_support import FakeServices, Step, said, serving
from lmx.config.schema import Prompts
from lmx.wiring import canonicaliser
from lmx_anthropic import lmx_surfaces
from lmx_hookspecs import GenerationRequest, Message, Piece, ToolCallDelta, Usage, used_fields

HI = {"role": "user", "content": "hi"}
USAGE = Usage(prompt_tokens=5, completion_tokens=3, cached_tokens=4)
ADD = {"name": "add", "description": "Adds", "input_schema": {"type": "object"}}
ADD_FUNCTION = {
    "type": "function",
    "function": {"name": "add", "description": "Adds", "parameters": {"type": "object"}},
}
CALLED = {"type": "tool_use", "id": "call_a", "name": "add", "input": {"a": 1}}


async def asked(**fields: Any) -> GenerationRequest:
    services = FakeServices()
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        body = {"model": "m", "max_tokens": 9, "messages": [HI], **fields}
        response = await served.ask("POST", "/v1/messages", json=body)
    assert response.status_code == 200, response.text
    return services.asked[0]


async def chat(*messages: dict[str, Any], **fields: Any) -> list[Message]:
    return list((await asked(messages=list(messages), **fields)).messages or ())


async def answered(*script: Step, **fields: Any) -> dict[str, Any]:
    async with serving(surfaces=lmx_surfaces(), services=FakeServices(script=lambda _: list(script))) as served:
        body = {"model": "m", "max_tokens": 9, "messages": [HI], **fields}
        response = await served.ask("POST", "/v1/messages", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize(
    "system",
    ["Be brief.\n\nBe kind.", [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]],
)
async def test_instructions_are_text_or_blocks(system: Any) -> None:
    messages = await chat(HI, system=system)

    assert messages[0] == Message(role="system", content="Be brief.\n\nBe kind.")


async def test_a_first_block_that_is_new_in_every_request_can_be_moved_out_of_the_way() -> None:
    stamp = {"type": "text", "text": "x-anthropic-billing-header: cc_version=1; cch=abc;"}
    wanted = await asked(system=[stamp, {"type": "text", "text": "Be brief."}])

    moved, notes = canonicaliser(Prompts(canonicalise=True)).apply(wanted)

    assert [message.content for message in moved.messages or ()] == [
        "Be brief.",
        "hi\n\nx-anthropic-billing-header: cc_version=1; cch=abc;",
    ]
    assert len(notes) == 1


async def test_marks_for_the_cache_are_accepted_anywhere() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    wanted = await asked(
        system=[{"type": "text", "text": "Be brief.", **mark}],
        messages=[{"role": "user", "content": [{"type": "text", "text": "hi", **mark}]}],
        tools=[{**ADD, **mark}],
        metadata={"user_id": "me"},
        **mark,
    )

    assert list(wanted.tools) == [ADD_FUNCTION]


@pytest.mark.parametrize("keep", ["all", {"type": "all"}])
async def test_to_keep_the_thoughts_of_all_turns_as_claude_code_asks_is_nothing_special(keep: Any) -> None:
    edits = [{"type": "clear_thinking_20251015", "keep": keep}]

    request = await asked(context_management={"edits": edits})

    assert used_fields(request) == used_fields(await asked())


async def test_thoughts_calls_and_results_of_earlier_turns_find_their_places() -> None:
    messages = await chat(
        HI,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I add.", "signature": "lmx-00"},
                {"type": "redacted_thinking", "data": "b3BhcXVl"},
                {"type": "text", "text": "Adding."},
                CALLED,
                {**CALLED, "id": "call_b"},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_a", "content": "2"},
                {
                    "type": "tool_result",
                    "tool_use_id": "call_b",
                    "is_error": True,
                    "content": [{"type": "text", "text": "no such"}, {"type": "text", "text": "number"}],
                },
                {"type": "text", "text": "And now?"},
            ],
        },
        {"role": "system", "content": "Be brief."},
        tools=[ADD],
    )

    assistant = messages[1]
    assert (assistant.content, assistant.reasoning_content) == ("Adding.", "I add.")
    assert [call["id"] for call in assistant.tool_calls] == ["call_a", "call_b"]
    assert json.loads(assistant.tool_calls[0]["function"]["arguments"]) == {"a": 1}
    assert messages[2:] == [
        Message(role="tool", content="2", tool_call_id="call_a"),
        Message(role="tool", content="Error: no such\n\nnumber", tool_call_id="call_b"),
        Message(role="user", content="And now?"),
        Message(role="system", content="Be brief."),
    ]


async def test_a_result_may_be_empty() -> None:
    messages = await chat(
        HI,
        {"role": "assistant", "content": [CALLED]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_a"}]},
    )

    assert messages[-1] == Message(role="tool", content="", tool_call_id="call_a")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, (None, True)),
        ({"type": "auto"}, (None, True)),
        ({"type": "auto", "disable_parallel_tool_use": True}, (None, False)),
        ({"type": "any"}, ("required", True)),
        ({"type": "any", "disable_parallel_tool_use": True}, ("required", False)),
        ({"type": "tool", "name": "add"}, ({"type": "function", "function": {"name": "add"}}, True)),
    ],
)
async def test_the_choice_among_tools(choice: Any, expected: tuple[Any, bool]) -> None:
    wanted = await asked(tools=[ADD], tool_choice=choice)

    assert list(wanted.tools) == [ADD_FUNCTION]
    assert (wanted.tool_choice, wanted.parallel_tool_calls) == expected


async def test_tools_that_must_not_be_called_are_not_shown() -> None:
    wanted = await asked(tools=[ADD], tool_choice={"type": "none"})

    assert (list(wanted.tools), wanted.tool_choice, wanted.parallel_tool_calls) == ([], None, True)


async def test_a_plain_chat_asks_for_nothing_that_an_engine_may_lack() -> None:
    assert used_fields(await asked()) == {"messages"}


async def test_sampling_and_stops_are_what_was_asked_for_and_the_rest_stays_open() -> None:
    wanted = await asked(temperature=0.2, top_p=0.9, top_k=5, stop_sequences=["END", "\n"], max_tokens=77)

    assert (wanted.sampling.temperature, wanted.sampling.top_p, wanted.sampling.top_k) == (0.2, 0.9, 5)
    assert (list(wanted.stop), wanted.max_tokens, wanted.surface) == (["END", "\n"], 77, "anthropic")
    assert wanted.explicit == {"stop"}
    assert not {"temperature", "top_p", "top_k"} & wanted.open_sampling
    assert {"temperature", "top_p", "top_k", "min_p", "seed"} <= (await asked()).open_sampling


async def test_thinking_sets_the_budget_and_the_switch_or_leaves_it_to_the_model() -> None:
    enabled = await asked(max_tokens=3000, thinking={"type": "enabled", "budget_tokens": 1024})
    disabled = await asked(thinking={"type": "disabled"})
    adaptive = await asked(thinking={"type": "adaptive"})

    assert enabled.thinking_budget == 1024
    assert enabled.chat_template_kwargs["enable_thinking"] is True
    assert enabled.dispensable == {"thinking_budget", "chat_template_kwargs"}
    assert (disabled.reasoning_effort, set(disabled.dispensable)) == ("none", {"reasoning_effort"})
    assert (adaptive.reasoning_effort, adaptive.thinking_budget, adaptive.chat_template_kwargs) == (None, None, {})


async def test_effort_and_a_schema_for_the_answer() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = await asked(output_config={"effort": "max", "format": {"type": "json_schema", "schema": schema}})

    assert wanted.reasoning_effort == "xhigh"
    assert wanted.response_format is not None
    assert wanted.response_format["json_schema"]["schema"] == schema


async def test_where_a_request_comes_from_and_how_it_is_to_be_treated_goes_along() -> None:
    services = FakeServices()
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        headers = {"X-Client-ID": "me", "X-Priority": "high", "X-Timeout": "9", "X-Request-ID": "r1"}
        body = {"model": "m", "max_tokens": 9, "messages": [HI]}
        response = await served.ask("POST", "/v1/messages", json=body, headers=headers)

    wanted = services.asked[0]
    assert (wanted.client, wanted.priority, wanted.timeout_s, wanted.request_id) == ("me", "high", 9.0, "r1")
    assert response.headers["request-id"] == "r1"


async def test_a_whole_answer_has_its_blocks_in_order() -> None:
    answer = await answered(
        Piece(reasoning="I add.", tokens=2),
        Piece(text="Adding", tokens=1),
        Piece(text=".", tokens=1),
        Piece(tool_calls=[ToolCallDelta(index=0, id="call_a", name="add")]),
        Piece(tool_calls=[ToolCallDelta(index=0, arguments='{"a": 1}')]),
        Piece(finish_reason="tool_calls", usage=USAGE),
        tools=[ADD],
    )

    thought, text, call = answer["content"]
    assert (thought["type"], thought["thinking"]) == ("thinking", "I add.")
    assert thought["signature"].startswith("lmx-")
    assert text == {"type": "text", "text": "Adding."}
    assert call == {"type": "tool_use", "id": "call_a", "name": "add", "input": {"a": 1}}
    assert (answer["stop_reason"], answer["stop_sequence"], answer["model"]) == ("tool_use", None, "real-model")
    assert answer["usage"]["input_tokens"] + answer["usage"]["cache_read_input_tokens"] == 5


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ({"finish_reason": "stop"}, ("end_turn", None)),
        ({"finish_reason": "length"}, ("max_tokens", None)),
        ({"finish_reason": "content_filter"}, ("refusal", None)),
        ({"finish_reason": "stop", "stop": "END"}, ("stop_sequence", "END")),
        ({"finish_reason": "tool_calls", "stop": "END"}, ("tool_use", None)),
    ],
)
async def test_every_stop_reason(ending: dict[str, Any], expected: tuple[str, str | None]) -> None:
    answer = await answered(Piece(text="x", tokens=1), Piece(usage=USAGE, **ending))

    assert (answer["stop_reason"], answer["stop_sequence"]) == expected


async def test_a_call_that_is_cut_off_comes_without_its_arguments_and_with_a_warning() -> None:
    cut = ToolCallDelta(index=0, id="call_a", name="add", arguments='{"a": ')
    answer = await answered(Piece(tool_calls=[cut]), Piece(finish_reason="length", usage=USAGE), tools=[ADD])

    assert (answer["content"][0]["input"], answer["stop_reason"]) == ({}, "max_tokens")
    assert "incomplete" in answer["warnings"][0]


async def test_a_lenient_client_gets_its_unknown_fields_dropped_and_told() -> None:
    async with serving(surfaces=lmx_surfaces()) as served:
        body = {"model": "m", "max_tokens": 9, "messages": [HI], "container": "c1"}
        strict = await served.ask("POST", "/v1/messages", json=body)
        lenient = await served.ask("POST", "/v1/messages", json=body, headers={"X-LMX-Lenient": "1"})

    assert strict.status_code == 400
    assert "container" in strict.json()["error"]["message"]
    assert lenient.json()["warnings"] == ["container was dropped: it is not supported"]


async def test_counting_asks_for_a_count_and_generates_nothing() -> None:
    services = FakeServices(script=lambda _: said("never"))
    async with serving(surfaces=lmx_surfaces(), services=services) as served:
        body = {"model": "m", "messages": [HI], "system": "Be brief.", "tools": [ADD]}
        response = await served.ask("POST", "/v1/messages/count_tokens", json=body)

    assert response.json() == {"input_tokens": 42}
    assert services.generations == []
    assert list(services.asked[0].tools) == [ADD_FUNCTION]
