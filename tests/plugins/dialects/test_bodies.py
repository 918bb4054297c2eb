"""Bodies of calls, read as mlx-lm's own parsers read them, and typed by the tools' schemas."""

import importlib
import json
from typing import Any

import pytest

from dialect_samples import TOOLS
from lmx_dialects.call_object import NotACall
from lmx_dialects.gemma_calls import function_gemma_calls, gemma_calls
from lmx_dialects.pythonic_calls import pythonic_calls
from lmx_dialects.sink import schemas_of
from lmx_dialects.tagged_calls import Read
from lmx_dialects.typed import typed
from lmx_dialects.xml_calls import glm_calls, invoke_calls, qwen_calls

SCHEMAS = schemas_of(TOOLS)
ALIKE = [
    (
        qwen_calls,
        "qwen3_coder",
        (
            "\n<function=get_weather>\n<parameter=city>\nNew\nYork\n</parameter>\n<parameter=days>\n5\n</parameter>\n"
            '<parameter=detailed>\nTrue\n</parameter>\n<parameter=extra>\n{"a": [1]}\n</parameter>\n</function>\n'
        ),
    ),
    (qwen_calls, "qwen3_coder", "<function=get_time>\n</function>"),
    (
        glm_calls,
        "glm47",
        (
            "get_weather\n<arg_key>city</arg_key>\n<arg_value>5</arg_value>\n<arg_key>days</arg_key>\n<arg_value>5</arg_value>"
            '<arg_key>extra</arg_key><arg_value>{"a": "b"}</arg_value>'
        ),
    ),
    (glm_calls, "glm47", '{"name": "get_weather", "arguments": {"city": "Berlin"}}'),
    (
        invoke_calls,
        "minimax_m2",
        (
            '\n<invoke name="get_weather">\n<parameter name="city">Köln</parameter>\n'
            '<parameter name="days">3</parameter>\n'
            '<parameter name="detailed">false</parameter>\n</invoke>\n'
        ),
    ),
    (gemma_calls, "gemma4", 'call:get_weather{city:<|"|>a, {b}<|"|>,days:5,extra:{x:[1,2.5,true]}}'),
    (function_gemma_calls, "function_gemma", "call:get_weather{city:<escape>a, b<escape>,days:5,detailed:true}"),
    (pythonic_calls, "pythonic", '[get_weather(city="a", days=5, extra={"x": [true, None]})]'),
    (pythonic_calls, "pythonic", "[get_time()]"),
]


@pytest.mark.parametrize(("read", "module", "body"), ALIKE)
def test_bodies_are_read_as_mlx_lm_reads_them(read: Read, module: str, body: str) -> None:
    pytest.importorskip("mlx_lm")
    parser = importlib.import_module(f"mlx_lm.tool_parsers.{module}")

    (name, arguments), *others = read(body, SCHEMAS)

    told: Any = parser.parse_tool_call(body, list(TOOLS))
    assert not others
    assert {"name": name, "arguments": json.loads(arguments)} == told


WIDE: Any = {"anyOf": [{"anyOf": [{"$ref": "#/$defs/wide"}] * 10}] * 10}
"""Ten to the power of its depth, for who follows every branch."""


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("5", {"type": "integer"}, 5),
        ("+5.0", {"type": "integer"}, 5),
        ("5", {"type": "string"}, "5"),
        ("5", {"type": ["string", "integer"]}, 5),
        ("five", {"type": ["string", "integer"]}, "five"),
        ("five", {"type": "integer"}, "five"),
        ("1e3", {"type": "number"}, 1000.0),
        (".5", {"type": "number"}, 0.5),
        ("1e999", {"type": "number"}, "1e999"),
        ("True", {"type": "boolean"}, True),
        ("None", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, None),
        ("null", {"type": "string"}, "null"),
        ("{'a': (1,)}", {"type": "object"}, {"a": [1]}),
        ("[NaN]", {"type": "array"}, "[NaN]"),
        ("{1, 2}", {"type": "object"}, "{1, 2}"),
        ('{"a": 1}', {}, {"a": 1}),
        ("5", {}, "5"),
        ("2", {"enum": [1, 2]}, 2),
        ("b", {"enum": ["a", "b"]}, "b"),
        ("7", {"const": 7}, 7),
        ("7", {"$ref": "#/$defs/n"}, 7),
        ("7", {"$ref": "#/$defs/loop"}, "7"),
        ("7", {"anyOf": [{"$ref": "#/$defs/wide"}, {"type": "integer"}]}, 7),
        ("\u0665", {"type": "integer"}, "\u0665"),
        ("9" * 500, {"type": "integer"}, int("9" * 500)),
    ],
)
def test_values_get_the_type_that_the_schema_wants(text: str, schema: Any, value: Any) -> None:
    root = {"$defs": {"n": {"type": "integer"}, "loop": {"$ref": "#/$defs/loop"}, "wide": WIDE}}

    written = typed(text, schema, root)

    assert json.loads(written) == value
    assert type(json.loads(written)) is type(value)


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (qwen_calls, "get_weather"),
        (qwen_calls, "<function=get_weather>text</function>"),
        (qwen_calls, "<function=get_weather><parameter=city>Berlin</function>"),
        (qwen_calls, "{broken"),
        (glm_calls, "  "),
        (glm_calls, "get_weather and more"),
        (glm_calls, "get_weather<arg_key>a</arg_key><arg_value>b"),
        (glm_calls, "get_weather" + "<arg_key>a</arg_key><arg_value>b</arg_value>c" * 20_000),
        (invoke_calls, "<invoke name=a></invoke> and more"),
        (gemma_calls, "call:f{a:1 b:2"),
        (gemma_calls, "call:f" + "{a:" * 5_000),
        (gemma_calls, 'call:f{a:<|"|>never}'),
        (pythonic_calls, "[f(1)]"),
        (pythonic_calls, "[f(a=g())]"),
        (pythonic_calls, "[]"),
        (pythonic_calls, "(" * 10_000),
        (pythonic_calls, "[f(a=1e999)]"),
        (pythonic_calls, "[f(**x)]"),
    ],
)
def test_what_has_not_the_form_of_a_call_is_none(read: Read, body: str) -> None:
    with pytest.raises(NotACall):
        read(body, SCHEMAS)
