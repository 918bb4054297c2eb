"""What functions may be called, and what their parameters may be."""

from typing import Any

import pytest

from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.functions import DEEPEST, check_parameters, checked_function_name, without_nulls


@pytest.mark.parametrize("name", ["f", "get_weather", "mcp__files__read-file", "a.b", "9", "x" * 128])
def test_a_name_of_letters_digits_and_a_few_signs_is_taken(name: str) -> None:
    assert checked_function_name(name, "name") == name


@pytest.mark.parametrize("name", ["", "x" * 129, "a b", 'a"', "a>b", "a:b", "a\n", "naïve", "\ud800", None, 5, []])
def test_a_name_that_no_dialect_reads_back_is_refused(name: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        checked_function_name(name, "tools[0].name")

    assert refused.value.param == "tools[0].name"


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        {"properties": None, "required": None},
        {"properties": {"x": True, "y": False, "z": {"enum": None, "minLength": None}}, "required": ["x"]},
        {"properties": {"x": {"type": "string", "enum": ["a"], "minLength": 0, "maxLength": 5}}},
        {"properties": {"x": {"type": ["array", "null"], "items": [{"type": "string"}, True], "minItems": None}}},
        {"properties": {"x": {"anyOf": [{"$ref": "#/$defs/a"}, {"const": None}]}}, "$defs": {"a": {"type": "null"}}},
        {"properties": {"x": {"type": "string", "required": True}, "y": {"type": "object", "required": False}}},
        {"properties": {"x": None, "y": {"type": "array", "maxItems": 10.0}}},
        {"properties": {"properties": {"type": "string"}, "items": {"type": "integer"}}},
    ],
)
def test_schemas_of_objects_are_taken_with_null_for_what_is_left_out(parameters: Any) -> None:
    check_parameters(parameters, "p")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ([], "p must be a JSON schema"),
        ("object", "p must be a JSON schema"),
        ({"properties": "x"}, "p.properties must be an object"),
        ({"properties": []}, "p.properties must be an object"),
        ({"required": 5}, "p.required must be a list of names"),
        ({"required": "x"}, "p.required must be a list of names"),
        ({"required": [5]}, "p.required must be a list of names"),
        ({"properties": {"x": 5}}, "p.properties.x must be a JSON schema"),
        ({"properties": {"x": {"enum": 5}}}, "p.properties.x.enum must be a list"),
        ({"properties": {"x": {"minLength": "3"}}}, "p.properties.x.minLength must be a whole number"),
        ({"properties": {"x": {"maxLength": -1}}}, "p.properties.x.maxLength must be a whole number"),
        ({"properties": {"x": {"maxLength": True}}}, "p.properties.x.maxLength must be a whole number"),
        ({"properties": {"x": {"properties": "y"}}}, "p.properties.x.properties must be an object"),
        ({"properties": {"x": {"items": 5}}}, "p.properties.x.items must be a JSON schema"),
        ({"properties": {"x": {"items": {"enum": 5}}}}, "p.properties.x.items.enum must be a list"),
        ({"properties": {"x": {"anyOf": {}}}}, "p.properties.x.anyOf must be a list of JSON schemas"),
        ({"properties": {"x": {"anyOf": [{}, 5]}}}, r"p.properties.x.anyOf\[1\] must be a JSON schema"),
        ({"properties": {"x": {"type": 5}}}, "p.properties.x.type must be a name"),
        ({"properties": {"x": {"$ref": 5}}}, r"p.properties.x.\$ref must be a text"),
        ({"properties": {"x": {"pattern": 5}}}, "p.properties.x.pattern must be a text"),
        (
            {"properties": {"x": {"type": "object", "required": "y"}}},
            "p.properties.x.required must be a list of names",
        ),
        ({"properties": {"x": {"maxItems": 1.5}}}, "p.properties.x.maxItems must be a whole number"),
        ({"properties": {"x": {"additionalProperties": "no"}}}, "p.properties.x.additionalProperties must be"),
        ({"$defs": {"a": {"minItems": "1"}}}, r"p.\$defs.a.minItems must be a whole number"),
        ({"definitions": 5}, "p.definitions must be an object"),
    ],
)
def test_what_is_no_schema_of_an_object_is_refused_by_its_place(parameters: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        check_parameters(parameters, "p")

    assert refused.value.param == "p"


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"properties": {"x": schema}}
    return schema


def test_a_schema_may_be_deep_but_not_without_end() -> None:
    check_parameters(nested(DEEPEST), "p")

    with pytest.raises(InvalidRequest, match="more than 100 levels deep"):
        check_parameters(nested(50_000), "p")


def test_a_place_is_named_no_longer_than_anybody_reads() -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_parameters({"properties": {"x" * 10_000: {"properties": {"y": 5}}}}, "p")

    assert len(str(refused.value)) < 300


def test_words_that_are_null_are_left_out_at_every_level_and_values_stay() -> None:
    schema = {
        "required": None,
        "properties": {
            "items": {"minLength": None, "default": None, "anyOf": [{"const": None, "pattern": None}, True]},
            "y": {"type": "array", "items": None, "enum": [None], "maxItems": 10.0, "required": True},
            "z": None,
        },
    }

    assert without_nulls(schema) == {
        "properties": {
            "items": {"default": None, "anyOf": [{"const": None}, True]},
            "y": {"type": "array", "enum": [None], "maxItems": 10},
            "z": {},
        }
    }
