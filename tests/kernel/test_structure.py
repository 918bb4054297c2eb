"""`lmx.structure`: what fits, what is refused, and in which words."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from lmx.structure import Problem, StructureError, structure, unstructure
from lmx_hookspecs import option


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@frozen(kw_only=True)
class Turn:
    role: Literal["user", "assistant"]
    content: str | Sequence[Mapping[str, Any]] | None = None


@frozen(kw_only=True)
class Body:
    model: str = option("m", min_length=1, max_length=8)
    turns: Sequence[Turn] = ()
    temperature: float | None = option(None, ge=0, le=2)
    top_k: int = option(0, ge=0)
    min_p: float = option(0.5, gt=0)
    stream: bool = False
    stop: str | list[str] | None = option(None, max_length=4)
    prompt: str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]] = ""
    logit_bias: Mapping[int, float] | None = None
    format: str = option("text", choices=("text", "json"))
    colour: Colour = Colour.RED
    colours: frozenset[str] = frozenset()
    pair: tuple[int, str] = (0, "")
    folder: Path | None = None
    choice: Literal["auto", "none"] | Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = {}
    even: int = attrs.field(default=0)

    @even.validator
    def _even(self, attribute: "attrs.Attribute[int]", value: int) -> None:
        if value % 2:
            raise ValueError("must be even", attribute)


@frozen(kw_only=True)
class Tree:
    name: str
    children: Sequence["Tree"] = ()


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["user", "\ud800", 2**70, 1])
)
PLAIN_DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
BODIES = st.dictionaries(st.sampled_from([field.name for field in attrs.fields(Body)]), PLAIN_DATA, max_size=4)


def problems_of(data: Any, cls: type = Body) -> list[tuple[str, str]]:
    with pytest.raises(StructureError) as caught:
        structure(data, cls)
    return [(problem.where, problem.message) for problem in caught.value.problems]


def test_plain_data_becomes_an_instance_with_its_nested_classes() -> None:
    data = {
        "turns": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "temperature": 1,
        "logit_bias": {"5": -100, "-1": 0.5},
        "colour": "blue",
        "colours": ["red", "red"],
        "pair": [1, "a"],
        "folder": "/models",
        "stop": ["a", "b"],
    }

    body = structure(data, Body)

    assert body.turns == (Turn(role="user", content=({"type": "text", "text": "hi"},)),)
    assert (body.temperature, type(body.temperature)) == (1.0, float)
    assert body.logit_bias == {5: -100.0, -1: 0.5}
    assert (body.colour, body.colours, body.pair) == (Colour.BLUE, frozenset({"red"}), (1, "a"))
    assert (body.folder, body.stop) == (Path("/models"), ["a", "b"])


def test_a_tilde_in_a_path_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")

    body = structure({"folder": "~/models"}, Body)

    assert body.folder == Path("/home/someone/models")


@pytest.mark.parametrize(
    ("data", "where", "message"),
    [
        ({"top_k": True}, "top_k", "must be an integer, got a boolean"),
        ({"top_k": 3.9}, "top_k", "must be an integer, got a number"),
        ({"top_k": "3"}, "top_k", "must be an integer, got a string"),
        ({"top_k": None}, "top_k", "must be an integer, got null"),
        ({"top_k": -1}, "top_k", "must be at least 0"),
        ({"top_k": 2**64}, "top_k", "must fit into 64 bits"),
        ({"top_k": -(2**63) - 1}, "top_k", "must fit into 64 bits"),
        ({"temperature": 3}, "temperature", "must be between 0 and 2"),
        ({"temperature": True}, "temperature", "must be a number, got a boolean"),
        ({"temperature": float("nan")}, "temperature", "must be a finite number"),
        ({"temperature": float("-inf")}, "temperature", "must be a finite number"),
        ({"temperature": 10**400}, "temperature", "must fit into 64 bits"),
        ({"min_p": 0}, "min_p", "must be greater than 0"),
        ({"stream": "false"}, "stream", "must be true or false, got a string"),
        ({"stream": 0}, "stream", "must be true or false, got an integer"),
        ({"model": 5}, "model", "must be a string, got an integer"),
        ({"model": ""}, "model", "must not be empty"),
        ({"model": "123456789"}, "model", "must have at most 8 characters"),
        ({"model": "\ud800"}, "model", "must be valid Unicode, without lone surrogates"),
        ({"stop": 5}, "stop", "must be a string or a list, got an integer"),
        ({"stop": ["a", 5]}, "stop[1]", "must be a string, got an integer"),
        ({"stop": list("abcde")}, "stop", "must have at most 4 items"),
        ({"prompt": ["a", 1]}, "prompt[1]", "must be a string, got an integer"),
        ({"prompt": [[1, 2], [3, "x"]]}, "prompt[1][1]", "must be an integer, got a string"),
        ({"prompt": [1, 2**70]}, "prompt[1]", "must fit into 64 bits"),
        ({"turns": "hi"}, "turns", "must be a list, got a string"),
        ({"turns": {"role": "user"}}, "turns", "must be a list, got a mapping"),
        ({"turns": [None]}, "turns[0]", "must be a mapping, got null"),
        ({"turns": [{"role": "x"}]}, "turns[0].role", "must be one of: user, assistant"),
        ({"turns": [{}]}, "turns[0].role", "is required"),
        ({"turns": [{"role": "user", "content": ["x"]}]}, "turns[0].content[0]", "must be a mapping, got a string"),
        ({"logit_bias": {"x": 1}}, "logit_bias.x", "must be an integer, got a string"),
        ({"logit_bias": {"1": "a"}}, "logit_bias.1", "must be a number, got a string"),
        ({"logit_bias": [1]}, "logit_bias", "must be a mapping, got a list"),
        ({"format": "xml"}, "format", "must be one of: text, json"),
        ({"colour": "green"}, "colour", "must be one of: red, blue"),
        ({"pair": [1]}, "pair", "must have exactly 2 items"),
        ({"pair": [1, 2]}, "pair[1]", "must be a string, got an integer"),
        ({"folder": ""}, "folder", "must be a path"),
        ({"folder": "~nobody-of-that-name/x"}, "folder", "must not begin with ~ here: that home folder is unknown"),
        ({"choice": "x"}, "choice", "must be one of: auto, none"),
        ({"choice": 3}, "choice", "must be one of: auto, none or a mapping, got an integer"),
        ({"extra": {"a": [1, float("inf")]}}, "extra.a[1]", "must be a finite number"),
        ({"extra": {"a": {1, 2}}}, "extra.a", "must be plain data, got a value of type set"),
        ({"extra": {"a": {"\udfff": 1}}}, "extra.a.\udfff", "must be valid Unicode, without lone surrogates"),
        ({"even": 3}, "even", "must be even"),
        ({"temperture": 1}, "temperture", "unknown key, did you mean 'temperature'?"),
        ({"zzzz": 1}, "zzzz", "unknown key"),
        ([], "", "must be a mapping, got a list"),
        (None, "", "must be a mapping, got null"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(data: Any, where: str, message: str) -> None:
    assert problems_of(data) == [(where, message)]


def test_every_problem_is_reported_at_once() -> None:
    data = {"model": 1, "turns": [{"role": "user"}, {"rol": "user"}], "top_k": -1, "nope": 0}

    problems = problems_of(data)

    assert problems == [
        ("model", "must be a string, got an integer"),
        ("turns[1].role", "is required"),
        ("turns[1].rol", "unknown key, did you mean 'role'?"),
        ("top_k", "must be at least 0"),
        ("nope", "unknown key"),
    ]


def test_unknown_keys_may_be_allowed_at_the_top_only() -> None:
    body = structure({"nope": 1, "top_k": 4}, Body, allow_unknown=True)

    assert body.top_k == 4
    with pytest.raises(StructureError, match="unknown key"):
        structure({"turns": [{"role": "user", "nope": 1}]}, Body, allow_unknown=True)


def test_free_form_data_has_a_greatest_depth() -> None:
    deep: Any = "leaf"
    for _ in range(150):
        deep = [deep]

    (where, message), *others = problems_of({"extra": {"deep": deep}})

    assert (where.count("[0]"), message, others) == (101, "is nested deeper than 100 levels", [])


def test_a_class_may_contain_itself() -> None:
    tree = structure({"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}]}, Tree)

    assert tree.children[0].children[0].name == "c"


def test_an_instance_survives_the_way_to_plain_data_and_back() -> None:
    body = Body(turns=(Turn(role="user"),), folder=Path("/a"), colour=Colour.BLUE, colours=frozenset({"x"}))

    plain = unstructure(body)

    assert (plain["turns"], plain["folder"]) == ([{"role": "user", "content": None}], "/a")
    assert (type(plain["colour"]), plain["colours"]) == (str, ["x"])
    assert structure(plain, Body) == body


def test_a_problem_names_its_path_as_keys_and_indices() -> None:
    problem = Problem((3, "role"), "is required").inside("messages")

    assert problem.path == ("messages", 3, "role")
    assert problem.where == "messages[3].role"


@settings(max_examples=200, deadline=None)
@given(BODIES)
def test_any_data_is_taken_unharmed_or_refused_with_a_place(data: dict[str, Any]) -> None:
    problems: Sequence[Problem] = ()
    body = None

    try:
        body = structure(data, Body)
    except StructureError as error:
        problems = error.problems

    assert all(problem.path[0] in data for problem in problems)
    assert problems or structure(unstructure(body), Body) == body


def test_a_long_list_of_mistakes_is_not_read_to_its_end() -> None:
    with pytest.raises(StructureError) as caught:
        structure(["x"] * 10_000, list[int])

    assert len(caught.value.problems) == 100
