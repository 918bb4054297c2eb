"""Calls that are forced: whatever the grammar lets through, the dialect's own parser reads as valid calls."""

import json
import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lmx.workers.forcing import forced_calls
from lmx_constrain.compiler import GrammarCompiler
from lmx_constrain.vocabulary import vocabulary_of
from lmx_dialects import lmx_dialects
from lmx_echo.byte_tokenizer import END, ByteTokenizer
from lmx_hookspecs import Constraint, DialectSpec, ParserRequest, TokenMask
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.testing import read_dialect

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "maxLength": 3},
                    "name": {"type": "string"},
                    "days": {"type": "integer", "minimum": 1, "maximum": 9},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                    "where": {
                        "type": "object",
                        "properties": {"x": {"type": "boolean"}},
                        "additionalProperties": False,
                    },
                },
                "required": ["city", "days"],
                "additionalProperties": False,
            },
        },
    },
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "maxProperties": 0}}},
]
WRITERS = [spec for spec in lmx_dialects() if spec.calls is not None]
TOKENIZER = ByteTokenizer()
TEXT_ENDS = ('"', "\n</parameter>\n", "</parameter>\n", "</arg_value>\n")


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(vocabulary_of(TOKENIZER))


def answer_to(compiler: GrammarCompiler, spec: DialectSpec, choice: Any, seed: int, *, parallel: bool = True) -> str:
    """Drawn at random from what the grammar allows; now and then a text is brought to its end, as a model would."""
    assert spec.calls is not None
    grammar = forced_calls(spec.calls, TOOLS, choice, TOKENIZER, parallel=parallel)
    mask = compiler.compile(Constraint(kind="grammar", source=grammar)).mask(5000)
    rng, tokens, coming = random.Random(seed), list[int](), list[int]()
    for _ in range(5000):
        allowed = allowed_by(mask)
        if not coming and len(allowed) > 100 and rng.random() < 0.3:
            coming = list(rng.choice(TEXT_ENDS).encode())
        wanted = coming.pop(0) if coming else None
        token = END if END in allowed and rng.random() < 0.7 else rng.choice(allowed)
        mask.accept(wanted if wanted in allowed else token)
        if wanted not in allowed and token == END:
            return TOKENIZER.decode(tokens)
        tokens.append(wanted if wanted is not None and wanted in allowed else token)
    raise AssertionError(TOKENIZER.decode(tokens))


def allowed_by(mask: TokenMask) -> list[int]:
    """Readable characters, and the end; others only where there is nothing else."""
    bits = mask.allowed() or b""
    allowed = [token for token in range(8 * len(bits)) if bits[token // 8] >> (token % 8) & 1]
    return [token for token in allowed if token < 127 or token == END] or allowed


def calls_in(spec: DialectSpec, text: str) -> list[tuple[str, Any]]:
    parser = spec.parser(ParserRequest(tools=TOOLS))
    parts = [parser.feed(text), parser.finish()]
    assert "".join(part.text for part in parts).strip() == ""
    assert not [warning for part in parts for warning in part.warnings]
    calls: dict[int, list[str]] = {}
    for delta in (delta for part in parts for delta in part.tool_calls):
        name, arguments = calls.setdefault(delta.index, ["", ""])
        calls[delta.index] = [name + (delta.name or ""), arguments + delta.arguments]
    return [(name, json.loads(arguments)) for name, arguments in calls.values()]


def test_most_dialects_can_be_forced() -> None:
    assert {spec.name for spec in WRITERS} >= {"hermes", "qwen3_coder", "mistral", "llama_json", "deepseek", "glm"}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("spec", WRITERS, ids=lambda spec: spec.name)
def test_required_calls_are_read_back_as_valid_calls(compiler: GrammarCompiler, spec: DialectSpec, seed: int) -> None:
    calls = calls_in(spec, answer_to(compiler, spec, "required", seed))

    assert calls
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
    for name, arguments in calls:
        Draft202012Validator(schemas[name]).validate(arguments)


@pytest.mark.parametrize("spec", WRITERS, ids=lambda spec: spec.name)
def test_a_named_function_is_called_once_and_no_other(compiler: GrammarCompiler, spec: DialectSpec) -> None:
    choice = {"type": "function", "function": {"name": "get_time"}}

    assert [name for name, _ in calls_in(spec, answer_to(compiler, spec, choice, 1))] == ["get_time"]


@pytest.mark.parametrize("spec", WRITERS, ids=lambda spec: spec.name)
def test_without_parallel_calls_there_is_one(compiler: GrammarCompiler, spec: DialectSpec) -> None:
    assert len(calls_in(spec, answer_to(compiler, spec, "required", 2, parallel=False))) == 1


ODD: Any = {
    "type": "object",
    "properties": {
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "either": {"type": ["string", "null"]},
        "named": {"$ref": "#/$defs/name"},
        "untyped": {},
        "anything": True,
        "colour": {"$ref": "#/$defs/colour"},
        "unit": {"anyOf": [{"$ref": "#/$defs/colour"}, {"type": "null"}]},
        "mixed": {"enum": ["a", 1, None]},
        "count": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "never": False,
    },
    "required": ["maybe", "either", "named", "untyped", "anything", "colour", "unit", "mixed", "count"],
    "$defs": {"name": {"type": "string", "maxLength": 6}, "colour": {"enum": ["red", "blue"], "type": "string"}},
}
GIVEN = {
    "maybe": "Berlin",
    "either": "null",
    "named": "Berlin",
    "untyped": "Berlin",
    "anything": "Berlin",
    "colour": "red",
    "unit": "null",
    "mixed": "a",
    "count": "5",
}
READ = {**GIVEN, "either": None, "unit": None, "count": 5}
BARE = {
    "qwen3_coder": ("<tool_call>\n<function=f>\n", "<parameter={}>\n{}\n</parameter>\n", "</function>\n</tool_call>"),
    "glm": ("<tool_call>f\n", "<arg_key>{}</arg_key>\n<arg_value>{}</arg_value>\n", "</tool_call>"),
    "minimax": (
        '<minimax:tool_call>\n<invoke name="f">\n',
        '<parameter name="{}">{}</parameter>\n',
        "</invoke>\n</minimax:tool_call>",
    ),
}


def odd_tools(parameters: Any = ODD) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", "parameters": parameters}}]


def lets_through(compiler: GrammarCompiler, grammar: str, text: str) -> bool:
    mask = compiler.compile(Constraint(kind="grammar", source=grammar)).mask(5000)
    for token in [*TOKENIZER.encode(text), END]:
        bits = mask.allowed() or b""
        if not bits[token // 8] >> (token % 8) & 1:
            return False
        mask.accept(token)
    return True


@pytest.mark.parametrize("name", BARE)
def test_where_a_text_is_possible_it_is_written_bare_and_read_back_so(compiler: GrammarCompiler, name: str) -> None:
    spec = next(spec for spec in WRITERS if spec.name == name)
    assert spec.calls is not None
    grammar = forced_calls(spec.calls, odd_tools(), "required", TOKENIZER, parallel=True)
    begin, element, end = BARE[name]

    def written(given: dict[str, str]) -> str:
        return begin + "".join(element.format(key, value) for key, value in given.items()) + end

    assert lets_through(compiler, grammar, written(GIVEN))
    for wrong in ({"colour": "green"}, {"colour": '"red"'}, {"named": "a long name"}, {"count": "many"}):
        assert not lets_through(compiler, grammar, written({**GIVEN, **wrong}))
    reading = read_dialect(spec, ParserRequest(tools=odd_tools()), [written(GIVEN)])
    assert [(name, json.loads(arguments)) for name, arguments in reading.calls] == [("f", READ)]


@pytest.mark.parametrize("spec", WRITERS, ids=lambda spec: spec.name)
def test_null_for_properties_and_required_counts_as_left_out(compiler: GrammarCompiler, spec: DialectSpec) -> None:
    assert spec.calls is not None
    tools = odd_tools({"type": "object", "properties": None, "required": None})

    grammar = forced_calls(spec.calls, tools, "required", TOKENIZER, parallel=True)

    assert compiler.compile(Constraint(kind="grammar", source=grammar)).mask(50).allowed()


@pytest.mark.parametrize("parameters", [{"properties": "x"}, {"properties": {"x": 5}}, {"required": 5}])
@pytest.mark.parametrize("spec", WRITERS, ids=lambda spec: spec.name)
def test_a_schema_that_is_none_is_the_requests_fault(spec: DialectSpec, parameters: Any) -> None:
    assert spec.calls is not None

    with pytest.raises(InvalidRequest) as refused:
        forced_calls(spec.calls, odd_tools(parameters), "required", TOKENIZER, parallel=True)

    assert refused.value.param == "tools[0].function.parameters"


def test_branches_that_go_round_in_circles_are_written_all_the_same() -> None:
    spec = next(spec for spec in WRITERS if spec.name == "glm")
    assert spec.calls is not None
    wide = {"anyOf": [{"$ref": "#/$defs/wide"}] * 10}
    parameters = {"properties": {"x": {"$ref": "#/$defs/wide"}}, "$defs": {"wide": wide}}

    assert forced_calls(spec.calls, odd_tools(parameters), "required", TOKENIZER, parallel=True)
