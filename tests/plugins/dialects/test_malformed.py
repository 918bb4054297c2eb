"""Answers as models write them when something goes wrong: nothing is lost, and a warning says what it was."""

import json

import pytest
from attrs import evolve

from dialect_samples import ASKED, HERMES_BERLIN, TOOLS, spec
from lmx_hookspecs import ParserRequest
from lmx_hookspecs.testing import Reading, read_dialect

BERLIN = ("get_weather", '{"city": "Berlin", "days": 5}')


DIGITS = "9" * 5_000
"""A whole number that Python's parser of JSON refuses."""


def read(name: str, raw: str, request: ParserRequest = ASKED) -> Reading:
    return read_dialect(spec(name), request, [raw])


@pytest.mark.parametrize(
    ("name", "raw", "text"),
    [
        (
            "hermes",
            '<tool_call>{"name": "get_time", "arguments": [1]}</tool_call>',
            '{"name": "get_time", "arguments": [1]}',
        ),
        ("hermes", "a <tool_call>{oops}</tool_call> b", "a {oops} b"),
        ("hermes", '<tool_call>{"name": "get_time"', '{"name": "get_time"'),
        ("hermes", '<tool_call>{"name": 5, "arguments": {}}</tool_call>', '{"name": 5, "arguments": {}}'),
        ("hermes", "<tool_call>words</tool_call>", "words"),
        ("hermes", f'<tool_call>{{"name": {DIGITS}}}</tool_call>', f'{{"name": {DIGITS}}}'),
        ("hermes", f'<tool_call>{{"function": {{"x": {DIGITS}}}}}</tool_call>', f'{{"function": {{"x": {DIGITS}}}}}'),
        ("qwen3_coder", "<tool_call><function=f>x</function></tool_call>", "<function=f>x</function>"),
        ("glm", "<tool_call>two words</tool_call>", "two words"),
        ("minimax", "<minimax:tool_call>?</minimax:tool_call>", "?"),
        ("mistral", "[TOOL_CALLS]get_time[ARGS]{oops}", "get_time{oops}"),
        ("kimi", "<|tool_calls_section_begin|>?<|tool_calls_section_end|>", "?"),
        ("kimi", "<|tool_call_begin|>get_time{}<|tool_call_end|>", "get_time{}"),
        ("deepseek", "<｜tool▁call▁begin｜>x<｜tool▁sep｜>{<｜tool▁call▁end｜>", "x{"),
        ("gemma", "<|tool_call>call:f{a}<tool_call|>", "call:f{a}"),
        ("harmony", "<|channel|>nonsense<|message|>Hello", "nonsenseHello"),
        ("harmony", "<|start|>assistant to=functions.get_time<|channel|>commentary<|message|>{oops}<|call|>", "{oops}"),
        ("pythonic", "[get_time(", "[get_time("),
    ],
)
def test_a_malformed_call_comes_back_as_text_with_a_warning(name: str, raw: str, text: str) -> None:
    reading = read(name, raw)

    assert (reading.text, reading.calls) == (text, ())
    assert reading.warnings


def test_of_several_calls_the_good_ones_survive_a_bad_one() -> None:
    reading = read("hermes", f"{HERMES_BERLIN}<tool_call>{{bad}}</tool_call>{HERMES_BERLIN}")

    assert reading.calls == (BERLIN, BERLIN)
    assert reading.text == "{bad}"


def test_a_call_without_its_end_tag_does_not_swallow_the_next() -> None:
    reading = read("hermes", f"<tool_call>{{bad}}\n{HERMES_BERLIN}")

    assert reading.calls == (BERLIN,)


def test_a_call_inside_reasoning_that_never_ends_is_a_call() -> None:
    reading = read("hermes", f"<think>I call. {HERMES_BERLIN}")

    assert (reading.reasoning, reading.calls, reading.text) == ("I call.", (BERLIN,), "")


def test_a_stray_end_of_reasoning_is_taken_out_with_a_warning() -> None:
    reading = read("hermes", "Hm.</think>Yes.")

    assert reading.text == "Hm.Yes."
    assert "'</think>'" in reading.warnings[0]


def test_with_parallel_tool_calls_false_only_the_first_call_counts() -> None:
    raw = f"{HERMES_BERLIN}\n{HERMES_BERLIN} Done."
    for stream in (False, True):
        reading = read("hermes", raw, evolve(ASKED, parallel=False, stream=stream))

        assert reading.calls == (BERLIN,)
        assert reading.text == "Done."
        assert reading.warnings == ("further calls were dropped: parallel_tool_calls is false",)


def test_a_call_of_an_unknown_tool_is_text_beside_a_known_one() -> None:
    reading = read("pythonic", "[get_time(), get_money(amount=5)]")

    assert reading.calls == (("get_time", "{}"),)
    assert reading.text == "[get_time(), get_money(amount=5)]"
    assert "'get_money', which is none of the tools" in reading.warnings[0]


def test_raw_line_breaks_inside_a_json_string_are_escaped() -> None:
    raw = '<tool_call>{"name": "write_file", "arguments": {"content": "a\nb\tc"}}</tool_call>'

    ((_, arguments),) = read("hermes", raw).calls

    assert json.loads(arguments) == {"content": "a\nb\tc"}


def test_arguments_that_come_as_text_are_json_all_the_same() -> None:
    raw = '<tool_call>{"name": "write_file", "arguments": "{\\"content\\": \\"a\\nb\\"}"}</tool_call>'

    ((_, arguments),) = read("hermes", raw).calls

    assert json.loads(arguments) == {"content": "a\nb"}


def test_arguments_nested_too_deeply_are_no_call() -> None:
    deep = '{"a":' * 1_000 + "1" + "}" * 1_000

    reading = read("hermes", f'<tool_call>{{"name": "get_time", "arguments": {deep}}}</tool_call>')

    assert reading.calls == ()
    assert reading.warnings


@pytest.mark.parametrize("properties", [None, 5, ["city"], {"city": None}, {"city": 5}])
@pytest.mark.parametrize(
    ("name", "raw"),
    [
        (
            "minimax",
            '<minimax:tool_call><invoke name="f"><parameter name="city">B</parameter></invoke></minimax:tool_call>',
        ),
        (
            "deepseek",
            (
                '<｜DSML｜function_calls><｜DSML｜invoke name="f"><｜DSML｜parameter name="city" string="true">B'
                "</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜function_calls>"
            ),
        ),
        ("gemma", '<|tool_call>call:f{city:<|"|>B<|"|>}<tool_call|>'),
        ("qwen3_coder", "<tool_call><function=f><parameter=city>B</parameter></function></tool_call>"),
        ("glm", "<tool_call>f<arg_key>city</arg_key><arg_value>B</arg_value></tool_call>"),
    ],
)
def test_a_tool_whose_schema_is_nonsense_can_be_called(name: str, raw: str, properties: object) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"properties": properties}}}]

    assert read(name, raw, ParserRequest(tools=tools)).calls == (("f", '{"city": "B"}'),)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("glm", '<tool_call>{"name": "write_file", "arguments": {"content": "\\ud83d\\ude00 \\ud800"}}</tool_call>'),
        ("pythonic", '[write_file(content="\\ud83d\\ude00 \\ud800")]'),
        (
            "hermes",
            '<tool_call>{"name": "write_file", "arguments": "{\\"content\\": \\"\\ud83d\\ude00 \\ud800\\"}"}</tool_call>',  # noqa: E501
        ),
    ],
)
def test_halves_of_characters_are_joined_or_replaced(name: str, raw: str) -> None:
    ((_, arguments),) = read(name, raw).calls

    assert json.loads(arguments.encode()) == {"content": "\N{GRINNING FACE} \ufffd"}


def test_a_stream_gets_name_and_fragments_as_they_come() -> None:
    parser = spec("hermes").parser(ParserRequest(tools=TOOLS, stream=True))

    named = parser.feed('<tool_call>{"name": "get_weather", "arguments": {')
    fragment = parser.feed('"city": "Ber')
    last = parser.feed('lin"}}</tool_call>')

    assert [(delta.name, delta.arguments) for delta in named.tool_calls] == [("get_weather", ""), (None, "{")]
    assert [delta.arguments for delta in fragment.tool_calls] == ['"city": "Ber']
    assert [delta.arguments for delta in last.tool_calls] == ['lin"}']


def test_a_streamed_call_that_breaks_off_is_told_of() -> None:
    raw = '<tool_call>{"name": "get_weather", "arguments": {"city": oops}}</tool_call> More.'

    reading = read("hermes", raw, ParserRequest(tools=TOOLS, stream=True))

    assert reading.calls == (("get_weather", '{"city": '),)
    assert reading.text == "}} More."
    assert any("break off" in warning for warning in reading.warnings)


def test_a_tag_whose_halves_meet_is_no_tag_however_the_answer_is_cut() -> None:
    raw = "[[THINK]TOOL_CALLS]"
    request = evolve(ASKED, prompt_end="<think>")

    for chunks in ([raw], [*raw], [raw[:1], raw[1:]], [raw[:3], raw[3:]]):
        reading = read_dialect(spec("mistral"), request, chunks)

        assert (reading.text, reading.reasoning) == ("", "[")
