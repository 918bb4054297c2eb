from pathlib import Path

import pytest

import lmx_dialects
from dialect_samples import spec
from lmx_dialects.catalogue import DIALECTS
from lmx_dialects.history import kimi_history, mistral_history
from lmx_dialects.tags import TagSet
from lmx_hookspecs import Message
from lmx_hookspecs.testing import check_plugin

TINY = Path(__file__).parents[3] / "plugins/tiny/lmx_tiny/models/lmx-tiny/chat_template.jinja"
TEMPLATES = {
    "harmony": "{{ '<|start|>assistant<|channel|>final<|message|>' }}",
    "minimax": "{{ '<minimax:tool_call>' }} <invoke name=",
    "gemma": "{{ '<|tool_call>' }}{{ '<tool_call|>' }}",
    "function_gemma": "{{ '<start_function_call>call:' }}",
    "glm": "{{ '<tool_call>' + name }}<arg_key>{{ k }}</arg_key></think>",
    "qwen3_coder": r"{{ '<tool_call>\n<function=' + tool_call.name }}",
    "kimi": "<|tool_calls_section_begin|>",
    "deepseek": "{{'<｜tool▁calls▁begin｜>'}}</think>",
    "mistral": '{{ "[TOOL_CALLS]" }}',
    "pythonic": "should be [func_name1(params_name1=params_value1)]",
    "llama_json": 'Respond with {"name": function name, "parameters": dictionary of argument name and its value}',
    "hermes": "{{ '<tool_call>' }} {{ tool_call.name }} </think>",
    "reasoning": "{% set content = content.split('</think>')[-1] %}",
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_tells_the_dialect(name: str) -> None:
    assert next(dialect.name for dialect in DIALECTS if dialect.matches(TEMPLATES[name])) == name


def test_the_built_in_model_speaks_hermes() -> None:
    template = TINY.read_text(encoding="utf-8")

    assert next(dialect.name for dialect in DIALECTS if dialect.matches(template)) == "hermes"


def test_a_template_without_any_markup_has_no_dialect() -> None:
    assert not any(dialect.matches("{{ messages[0].content }}") for dialect in DIALECTS)


def test_the_plugin_keeps_the_contract_and_only_reasoning_has_no_tools() -> None:
    offers = check_plugin(lmx_dialects)

    assert [dialect.name for dialect in offers["lmx_dialects"] if not dialect.tools] == ["reasoning"]


def test_kimi_gets_ids_that_count_through_the_chat() -> None:
    messages = [*turn("a", "get_time"), *turn("b", "get_weather")]

    told = kimi_history(messages)

    assert [call["id"] for message in told for call in message.tool_calls] == [
        "functions.get_time:0",
        "functions.get_weather:1",
    ]
    assert [message.tool_call_id for message in told if message.role == "tool"] == [
        "functions.get_time:0",
        "functions.get_weather:1",
    ]


def test_mistral_gets_ids_of_nine_letters_and_digits() -> None:
    told = mistral_history([*turn("call_0123456789", "get_time"), *turn("abcDEF123", "get_time")])

    first, second = (call["id"] for message in told for call in message.tool_calls)
    assert len(first) == 9
    assert first.isalnum()
    assert second == "abcDEF123"
    assert [message.tool_call_id for message in told if message.role == "tool"] == [first, second]


def test_only_some_dialects_change_the_history() -> None:
    assert {dialect.name for dialect in DIALECTS if dialect.history} == {"kimi", "mistral"}
    assert spec("hermes").history is None


def test_tags_of_which_one_is_part_of_another_cannot_be_told_apart() -> None:
    with pytest.raises(ValueError, match="'<a' is part of another"):
        TagSet.of(["<a", "<a>"])


def turn(call_id: str, name: str) -> list[Message]:
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
    return [
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="x", tool_call_id=call_id),
    ]
