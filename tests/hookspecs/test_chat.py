"""Chats as the templates of models see them, whatever the engine."""

import pytest

from lmx_hookspecs import Message
from lmx_hookspecs.chat import template_messages
from lmx_hookspecs.errors import InvalidRequest


def test_arguments_of_calls_become_mappings_and_reasoning_stays() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    said = Message(role="assistant", content=None, reasoning_content="hm", tool_calls=[call])

    (seen,) = template_messages([said])

    assert (seen["content"], seen["reasoning_content"]) == ("", "hm")
    assert seen["tool_calls"][0]["function"]["arguments"] == {"a": 1}


@pytest.mark.parametrize("arguments", ["[" * 500_000, "{", "[1]"])
def test_arguments_that_are_no_object_stay_text(arguments: str) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}

    (seen,) = template_messages([Message(role="assistant", content=None, tool_calls=[call])])

    assert seen["tool_calls"][0]["function"]["arguments"] == arguments


def test_content_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="image_url"):
        template_messages([Message(role="user", content=[{"type": "image_url", "image_url": {}}])])
