"""What is refused, what is checked afterwards, and what is kept."""

from typing import Any

import pytest

from lmx_constrain.compiler import MOST_KEPT, GrammarCompiler
from lmx_constrain.vocabulary import vocabulary_of
from lmx_echo.byte_tokenizer import ByteTokenizer
from lmx_hookspecs import Constraint
from lmx_hookspecs.errors import InvalidRequest

NOT_ENFORCED: dict[str, Any] = {
    "not": {"type": "object", "not": {"required": ["a"]}},
    "if": {"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}},
    "uniqueItems": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
    "dependentRequired": {"type": "object", "dependentRequired": {"a": ["b"]}},
    "oneOf": {"oneOf": [{"type": "string"}, {"type": "string", "minLength": 3}]},
}


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(vocabulary_of(ByteTokenizer()))


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def refusal(compiler: GrammarCompiler, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        compiler.compile(Constraint(**fields))
    return caught.value


@pytest.mark.parametrize("keyword", NOT_ENFORCED)
def test_a_strict_schema_is_refused_by_the_name_of_what_cannot_be_enforced(
    compiler: GrammarCompiler, keyword: str
) -> None:
    refused = refusal(compiler, kind="json_schema", source=NOT_ENFORCED[keyword])

    assert keyword in refused.message
    assert refused.param == "response_format"


@pytest.mark.parametrize("keyword", NOT_ENFORCED)
def test_a_schema_that_is_not_strict_is_followed_as_far_as_possible_with_a_warning(
    compiler: GrammarCompiler, keyword: str
) -> None:
    compiled = compiler.compile(Constraint(kind="json_schema", source=NOT_ENFORCED[keyword], strict=False))

    assert any(keyword in warning for warning in compiled.warnings)
    assert compiled.flaw_of is not None


def test_what_was_not_enforced_is_checked_in_the_answer(compiler: GrammarCompiler) -> None:
    compiled = compiler.compile(Constraint(kind="json_schema", source=NOT_ENFORCED["uniqueItems"], strict=False))

    assert compiled.flaw_of is not None
    assert compiled.flaw_of("[1, 2]") is None
    assert "non-unique" in str(compiled.flaw_of("[1, 1]"))
    assert "no JSON" in str(compiled.flaw_of("[1, "))


def test_a_schema_that_is_enforced_needs_no_check(compiler: GrammarCompiler) -> None:
    compiled = compiler.compile(Constraint(kind="json_schema", source={"type": "integer"}, strict=False))

    assert compiled.flaw_of is None
    assert not compiled.warnings


@pytest.mark.parametrize(
    ("kind", "source", "reason"),
    [
        ("json_schema", "text", "must be a JSON object"),
        ("json_schema", {"type": "frob"}, "Invalid type"),
        ("json_schema", {"$ref": "http://example.org/schema"}, "not present"),
        ("json_schema", {"type": "object", "properties": {"a": False}, "required": ["a"]}, "nsatisfiable"),
        ("json_schema", nested(500), "levels deep"),
        ("json_schema", {"$ref": "#"}, "no answer can be begun"),
        ("json_schema", {"enum": ["x" * 100] * 10_000}, "characters"),
        ("grammar", 'start: "a', "grammar cannot be used"),
        ("grammar", "root ::= missing", "neither Lark"),
        ("grammar", "", "not empty"),
        ("grammar", "start: start", "no answer can be begun"),
        ("grammar", "x" * 300_000, "characters"),
        ("regex", "(a", "unclosed group"),
        ("regex", "(?=a)b", "look-around"),
        ("choice", [], "1 to 1024"),
        ("choice", ["a", ""], "none of them empty"),
        ("choice", ["a"] * 2000, "1 to 1024"),
    ],
)
def test_what_cannot_be_compiled_is_refused_with_the_reason(
    compiler: GrammarCompiler, kind: Any, source: Any, reason: str
) -> None:
    refused = refusal(compiler, kind=kind, source=source, param="field")

    assert reason in refused.message
    assert refused.param == "field"


@pytest.mark.parametrize("expression", ["(a*)*" * 50, "[ab]{1,100000}", "((a|b|c){1,50}){1,50}", "(a+)+$"])
def test_an_expression_that_would_explode_elsewhere_compiles(compiler: GrammarCompiler, expression: str) -> None:
    mask = compiler.compile(Constraint(kind="regex", source=expression)).mask(10)

    assert mask.allowed()
    assert mask.failure is None


def test_a_recursive_schema_compiles(compiler: GrammarCompiler) -> None:
    compiled = compiler.compile(Constraint(kind="json_schema", source={"properties": {"child": {"$ref": "#"}}}))

    assert compiled.mask(10).allowed()


def test_a_schema_that_refers_to_itself_alone_is_judged_without_end(compiler: GrammarCompiler) -> None:
    source = {"type": "object", "not": {"$ref": "#"}}
    compiled = compiler.compile(Constraint(kind="json_schema", source=source, strict=False))

    assert compiled.flaw_of is not None
    assert "could not be checked" in str(compiled.flaw_of("{}"))


def test_what_a_text_may_be_instead_tells_constraints_apart(compiler: GrammarCompiler) -> None:
    first, second = (
        compiler.compile(Constraint(kind="json_object", otherwise=f'start: "{word}"')) for word in ("left", "right")
    )

    assert first is not second
    assert (first.mask(9).allowed() or b"")[ord("l") // 8] >> ord("l") % 8 & 1


def test_the_last_constraints_are_kept_and_no_more(compiler: GrammarCompiler) -> None:
    first = Constraint(kind="choice", source=["first"])
    kept = compiler.compile(first)

    assert compiler.compile(first) is kept
    for number in range(MOST_KEPT + 1):
        compiler.compile(Constraint(kind="choice", source=[str(number)]))
    assert compiler.compile(first) is not kept


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('start: "a" b\nb: b', "nothing may follow what begins one"),
        ('start: "abc" b\nb: b "x"', "nothing may follow what begins one"),
        ('start: "x"{3} b\nb: "y" b', "Too many items"),
    ],
)
def test_a_grammar_that_begins_answers_and_ends_none_is_refused(
    compiler: GrammarCompiler, source: str, reason: str
) -> None:
    refused = refusal(compiler, kind="grammar", source=source, param="grammar", strict=True)

    assert reason in str(refused)
    assert "no answer can be ended" in str(refused)


@pytest.mark.parametrize(
    "source", ['start: "a" (b | "d")\nb: b', 'start: "a" b | "c"\nb: b', 'start: /[a-z]{9,99}/ "!"']
)
def test_a_grammar_of_which_some_answer_has_an_end_compiles(compiler: GrammarCompiler, source: str) -> None:
    assert compiler.compile(Constraint(kind="grammar", source=source, param="grammar", strict=True)).mask(600)
