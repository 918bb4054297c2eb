from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest
from attrs import frozen

from lmx.http.forms import parse
from lmx_hookspecs.errors import InvalidRequest


@frozen(kw_only=True)
class Expiry:
    anchor: str
    seconds: int


@frozen(kw_only=True)
class Form:
    name: str = ""
    kind: Literal["a", "b"] = "a"
    note: str | None = None
    size: int | None = None
    share: float = 0.5
    on: bool = False
    words: Sequence[str] = ()
    numbers: Sequence[int] = ()
    facts: Mapping[str, Any] | None = None
    either: str | Mapping[str, Any] = ""
    expires: Expiry | None = None


def value(*texts: tuple[str, str]) -> Any:
    return parse(texts, Form, allow_unknown=False).value


READ: Mapping[str, tuple[Sequence[tuple[str, str]], Mapping[str, Any]]] = {
    "text stays text, whatever it looks like": ([("name", "5"), ("note", "null")], {"name": "5", "note": "null"}),
    "a choice": ([("kind", "b")], {"kind": "b"}),
    "numbers and booleans": ([("size", "5"), ("share", "1"), ("on", "true")], {"size": 5, "share": 1.0, "on": True}),
    "null": ([("size", "null")], {"size": None}),
    "an object": ([("facts", '{"a": [1]}')], {"facts": {"a": [1]}}),
    "a list in JSON": ([("words", '["a", "b"]')], {"words": ("a", "b")}),
    "a list by repetition": ([("words", "a"), ("words", "b")], {"words": ("a", "b")}),
    "a list of one": ([("words", "a, b")], {"words": ("a, b",)}),
    "a list of one number": ([("numbers", "7")], {"numbers": (7,)}),
    "numbers by repetition": ([("numbers", "7"), ("numbers", "8")], {"numbers": (7, 8)}),
    "brackets for a list": ([("words[]", "a"), ("words[]", "b")], {"words": ("a", "b")}),
    "brackets for an object": ([("facts[a]", "1"), ("facts[b]", "x")], {"facts": {"a": "1", "b": "x"}}),
    "brackets for a class": (
        [("expires[anchor]", "now"), ("expires[seconds]", "60")],
        {"expires": Expiry(anchor="now", seconds=60)},
    ),
    "what may be text is text": ([("either", "{}")], {"either": "{}"}),
}


@pytest.mark.parametrize("name", READ)
def test_texts_become_what_the_class_says(name: str) -> None:
    texts, expected = READ[name]

    assert value(*texts) == Form(**expected)


REFUSED: Mapping[str, tuple[Sequence[tuple[str, str]], str, str]] = {
    "repeated": ([("name", "a"), ("name", "b")], "name", "2 times"),
    "no JSON": ([("size", "five")], "size", "read as JSON"),
    "Python's booleans": ([("on", "True")], "on", "read as JSON"),
    "NaN": ([("share", "NaN")], "share", "NaN"),
    "a text for a number": ([("size", '"5"')], "size", "integer"),
    "a wrong choice": ([("kind", "c")], "kind", "one of"),
    "unknown": ([("nmae", "x")], "nmae", "did you mean 'name'"),
    "whole and in parts": ([("facts", "{}"), ("facts[a]", "1")], "facts", "in parts"),
    "nested beyond the parser": ([("facts", "[" * 100_000)], "facts", "nested"),
    "a member that does not fit": ([("expires[anchor]", "n"), ("expires[seconds]", "x")], "expires[seconds]", "JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_the_name_of_the_field(name: str) -> None:
    texts, param, words = REFUSED[name]

    with pytest.raises(InvalidRequest) as caught:
        value(*texts)

    assert caught.value.param == param
    assert words in caught.value.message


def test_unknown_texts_reach_the_handler_where_the_route_allows_them() -> None:
    body = parse([("more", "1")], Form, allow_unknown=True)

    assert body.unknown == {"more": "1"}
