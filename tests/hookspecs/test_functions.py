"""What functions may be called, and what their parameters may be."""

from typing import Any

import pytest

from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.functions import check_parameters, checked_function_name


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
        ({"properties": {"x": None}}, "p.properties.x must be a JSON schema"),
        ({"properties": {"x": {"enum": 5}}}, "p.properties.x.enum must be a list"),
        ({"properties": {"x": {"minLength": "3"}}}, "p.properties.x.minLength must be a whole number"),
        ({"properties": {"x": {"maxLength": -1}}}, "p.properties.x.maxLength must be a whole number"),
        ({"properties": {"x": {"maxLength": True}}}, "p.properties.x.maxLength must be a whole number"),
    ],
)
def test_what_is_no_schema_of_an_object_is_refused_by_its_place(parameters: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        check_parameters(parameters, "p")

    assert refused.value.param == "p"
