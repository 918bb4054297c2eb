"""From a constraint to the grammar that llguidance compiles, in its own notation."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen
from llguidance import LLMatcher, LLTokenizer
from llguidance.gbnf_to_lark import gbnf_to_lark, is_lark_syntax

from lmx_constrain.limits import DEEPEST, MAX_SOURCE_CHARS, is_too_deep
from lmx_hookspecs import Constraint
from lmx_hookspecs.errors import InvalidRequest

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions

MAX_CHOICES = 1024
RULE_OF_JSON = re.compile(r"^(\w+: %json )\{(\s*\})?", re.MULTILINE)
EXCERPT = re.compile(r"^\s*(\d+ +\||\^).*$", re.MULTILINE)
WHITE_SPACE = r"[ \n]{1,24}"
"""Between the parts of a JSON text: as much as pretty printing needs; unbounded, some models write nothing else."""
JSON_OPTIONS: "JsonCompileOptions" = {"whitespace_pattern": WHITE_SPACE}
LENIENT_OPTIONS: "JsonCompileOptions" = {"whitespace_pattern": WHITE_SPACE, "lenient": True, "coerce_one_of": True}


@frozen
class Grammar:
    """A grammar that compiles, and what of the constraint it leaves out."""

    text: str
    left_out: Sequence[str] = ()


def grammar_of(constraint: Constraint, tokenizer: LLTokenizer) -> Grammar:
    """The grammar of a constraint; raises InvalidRequest for one that cannot be enforced."""
    match constraint.kind:
        case "json_object":
            return _checked(_from_schema('{"type": "object"}', JSON_OPTIONS, constraint), constraint, tokenizer)
        case "json_schema":
            return _of_schema(constraint, tokenizer)
        case "regex":
            return _checked(LLMatcher.grammar_from_regex(_text(constraint)), constraint, tokenizer)
        case "choice":
            return _checked(LLMatcher.grammar_from_regex(_alternatives(constraint)), constraint, tokenizer)
        case "grammar":
            return _checked(LLMatcher.grammar_from_lark(_lark(constraint)), constraint, tokenizer)


def _of_schema(constraint: Constraint, tokenizer: LLTokenizer) -> Grammar:
    """As written; where that is impossible and the constraint not strict, without what cannot be enforced."""
    schema = constraint.source
    if not isinstance(schema, Mapping | bool):
        raise _invalid(constraint, "the schema must be a JSON object")
    if is_too_deep(schema):
        raise _invalid(constraint, f"the schema is more than {DEEPEST} levels deep; use $ref, or flatten it")
    text = json.dumps(schema)
    _check_length(constraint, text)
    exact = _from_schema(text, JSON_OPTIONS, constraint)
    failed, messages = LLMatcher.validate_grammar_with_warnings(exact, tokenizer)
    if not failed:
        return Grammar(exact)
    if constraint.strict:
        reason = f"the schema cannot be enforced: {_joined(messages)}"
        raise _invalid(constraint, f"{reason}; leave that out, or set strict to false")
    lenient = _from_schema(text, LENIENT_OPTIONS, constraint)
    failed, left_out = LLMatcher.validate_grammar_with_warnings(lenient, tokenizer)
    if failed:
        raise _invalid(constraint, f"the schema cannot be used: {_joined(left_out)}")
    return Grammar(lenient, left_out or messages)


def _checked(text: str, constraint: Constraint, tokenizer: LLTokenizer) -> Grammar:
    failed, messages = LLMatcher.validate_grammar_with_warnings(text, tokenizer)
    if failed:
        raise _invalid(constraint, f"the {constraint.kind} cannot be used: {_joined(messages)}")
    return Grammar(text)


def _from_schema(schema: str, options: "JsonCompileOptions", constraint: Constraint) -> str:
    if constraint.otherwise is not None:
        calls = _with_options(constraint.otherwise.replace("start:", "calls:", 1), LENIENT_OPTIONS)
        answer = _with_options(f"answer: %json {schema}", options)
        return LLMatcher.grammar_from_lark(f"start: answer | calls\n{answer}\n{calls}")
    try:
        return LLMatcher.grammar_from_json_schema(schema, overrides=options)
    except ValueError as error:
        raise _invalid(constraint, f"the schema cannot be used: {error}") from error


def _with_options(lark: str, options: "JsonCompileOptions") -> str:
    """The grammar with these options on each JSON schema in it, every one a rule of its own on one line."""
    written = f'"x-guidance": {json.dumps(options)}'
    return RULE_OF_JSON.sub(lambda found: f"{found[1]}{{{written}{'}' if found[2] else ', '}", lark)


def _lark(constraint: Constraint) -> str:
    text = _text(constraint)
    if not constraint.strict:
        return _with_options(text, LENIENT_OPTIONS)
    if is_lark_syntax(text):
        return text
    try:
        return gbnf_to_lark(text)
    except Exception as error:  # the converter raises bare exceptions, each about the text
        raise _invalid(
            constraint, f"the grammar is neither Lark, which has a rule `start`, nor GBNF: {error}"
        ) from error


def _alternatives(constraint: Constraint) -> str:
    choices = constraint.source
    if not choices or len(choices) > MAX_CHOICES or not all(isinstance(one, str) and one for one in choices):
        raise _invalid(constraint, f"must be a list of 1 to {MAX_CHOICES} texts, none of them empty")
    text = "|".join(re.escape(one) for one in choices)
    _check_length(constraint, text)
    return text


def _text(constraint: Constraint) -> str:
    if not isinstance(constraint.source, str) or not constraint.source:
        raise _invalid(constraint, "must be a text that is not empty")
    _check_length(constraint, constraint.source)
    return constraint.source


def _check_length(constraint: Constraint, text: str) -> None:
    if len(text) > MAX_SOURCE_CHARS:
        raise _invalid(constraint, f"has {len(text)} characters, and the limit is {MAX_SOURCE_CHARS}; shorten it")


def _joined(messages: Sequence[str]) -> str:
    """The messages in one line each, without the excerpts of the grammar that are under some."""
    return "; ".join(" ".join(EXCERPT.sub("", message).split()) for message in messages)[:1000]


def _invalid(constraint: Constraint, message: str) -> InvalidRequest:
    return InvalidRequest(f"{constraint.param}: {message}", param=constraint.param)
