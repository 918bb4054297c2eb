import re
from typing import Any

import pytest

from lmx.canonical import Canonicaliser
from lmx.config.schema import VOLATILE_LINES
from lmx_hookspecs import GenerationRequest, Message

BILLING = "x-anthropic-billing-header: cc_version=2.1.0; cc_entrypoint=cli; cch=0aaa9;"
CANONICALISER = Canonicaliser(sort_tools=True, volatile=[re.compile(written) for written in VOLATILE_LINES])


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def chat(*contents: str, tools: tuple[str, ...] = ()) -> GenerationRequest:
    """Instructions, then turns."""
    roles = ["system", *["user", "assistant"] * len(contents)]
    messages = [Message(role=role, content=text) for role, text in zip(roles, contents, strict=False)]  # type: ignore[arg-type]  # these are roles
    return GenerationRequest(model="m", messages=messages, tools=[tool(name) for name in tools])


def contents(request: GenerationRequest) -> list[Any]:
    return [message.content for message in request.messages or ()]


def test_tools_are_listed_by_name_and_the_change_is_told() -> None:
    request, notes = CANONICALISER.apply(chat("be brief", "hi", tools=("write", "read")))

    assert [item["function"]["name"] for item in request.tools] == ["read", "write"]
    assert notes == ["prompts.canonicalise put the tools in order of their names"]


def test_what_changes_with_every_request_moves_behind_what_does_not() -> None:
    first, notes = CANONICALISER.apply(chat(f"{BILLING}\nYou are an agent.\nBe brief.", "hi", "hello", "list files"))

    assert contents(first) == ["You are an agent.\nBe brief.", "hi", "hello", f"list files\n\n{BILLING}"]
    assert notes == [f"prompts.canonicalise moved '{BILLING[:60]}…' to the newest message"]


@pytest.mark.parametrize(
    "line",
    [
        BILLING,
        "Current date: 2026-11-27",
        "Today's date is Friday, November 27",
        "## Current Date & Time",
        "Now: Saturday, February 15th, 2026",
        "current time is 10:15",
    ],
)
def test_the_usual_volatile_lines_are_known(line: str) -> None:
    request, _ = CANONICALISER.apply(chat(f"You are an agent.\n{line}\nBe brief.", "hi"))

    assert contents(request) == ["You are an agent.\nBe brief.", f"hi\n\n{line}"]


@pytest.mark.parametrize(
    "line",
    ["Use the current date when asked.", "Time: is precious", "Mention x-anthropic-billing-header: never."],
)
def test_instructions_that_merely_speak_of_time_stay(line: str) -> None:
    request, notes = CANONICALISER.apply(chat(f"You are an agent.\n{line}", "hi"))

    assert contents(request) == [f"You are an agent.\n{line}", "hi"]
    assert notes == []


def test_instructions_that_held_nothing_else_are_gone() -> None:
    request, _ = CANONICALISER.apply(chat(BILLING, "hi"))

    assert contents(request) == [f"hi\n\n{BILLING}"]


def test_empty_messages_of_others_stay_where_they_are() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        Message(role="system", content=f"{BILLING}\nBe brief."),
        Message(role="user", content="hi"),
        Message(role="assistant", content="", tool_calls=[call]),
        Message(role="tool", content="", tool_call_id="c"),
        Message(role="assistant", content=""),
        Message(role="user", content="go on"),
    ]

    request, _ = CANONICALISER.apply(GenerationRequest(model="m", messages=messages))

    assert contents(request) == ["Be brief.", "hi", "", "", "", f"go on\n\n{BILLING}"]


def test_an_answer_that_is_to_be_continued_is_left_alone() -> None:
    messages = [Message(role="system", content=BILLING), Message(role="assistant", content="Once upon")]

    request, notes = CANONICALISER.apply(GenerationRequest(model="m", messages=messages))

    assert contents(request) == [BILLING, "Once upon"]
    assert notes == []


def test_a_message_of_parts_gets_one_more() -> None:
    parts = [{"type": "text", "text": "hi"}]
    messages = [Message(role="system", content=f"{BILLING}\nBe brief."), Message(role="user", content=parts)]

    request, _ = CANONICALISER.apply(GenerationRequest(model="m", messages=messages))

    assert contents(request)[-1] == [*parts, {"type": "text", "text": f"\n\n{BILLING}"}]


def test_without_a_message_behind_the_instructions_nothing_moves() -> None:
    request, notes = CANONICALISER.apply(chat(f"{BILLING}\nBe brief."))

    assert contents(request) == [f"{BILLING}\nBe brief."]
    assert notes == []


def test_it_is_off_unless_asked_for_and_leaves_completions_alone() -> None:
    asked = chat(f"{BILLING}\nBe brief.", "hi", tools=("write", "read"))

    assert Canonicaliser().apply(asked) == (asked, [])
    completion = GenerationRequest(model="m", prompts=[BILLING])
    assert CANONICALISER.apply(completion) == (completion, [])
