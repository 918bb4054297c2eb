import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from attrs import frozen

from lmx.http.bodies import parse
from lmx_hookspecs import option
from lmx_hookspecs.errors import InvalidRequest

JSON = "application/json"


@frozen(kw_only=True)
class Inner:
    role: str


@frozen(kw_only=True)
class Outer:
    model: str = option(min_length=1)
    inner: Sequence[Inner] = ()
    seed: int | None = None
    top_p: float = option(1.0, ge=0, le=1)
    extra: Mapping[str, Any] = option(factory=dict)


@frozen(kw_only=True)
class Wish:
    pinned: bool = True


@frozen(kw_only=True)
class Explained:
    model: str = option(doc="the id of a model")


def test_what_is_missing_comes_with_what_belongs_there() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(b"{}", JSON, Explained, allow_unknown=True)

    assert (refused.value.message, refused.value.param) == ("model: is required: the id of a model", "model")


BAD: Mapping[str, tuple[bytes, str | None, str]] = {
    "an empty body": (b"", None, "empty"),
    "only white space": (b" \n", None, "empty"),
    "not UTF-8": (b'{"model": "\xff"}', None, "UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", None, "not valid JSON"),
    "malformed JSON": (b"{model: 1}", None, "line 1, column 2"),
    "something after the JSON": (b'{"model": "m"} {}', None, "extra data"),
    "NaN": (b'{"model": "m", "top_p": NaN}', None, "NaN"),
    "infinity": (b'{"model": "m", "top_p": -Infinity}', None, "-Infinity"),
    "a number beyond doubles": (b'{"model": "m", "top_p": 1e999}', "top_p", "finite"),
    "an integer beyond 64 bits": (b'{"model": "m", "seed": 18446744073709551616}', "seed", "64 bits"),
    "an integer of 5,000 digits": (b'{"model": "m", "seed": ' + b"9" * 5000 + b"}", None, "64 bits"),
    "a lone surrogate": (b'{"model": "\\ud800"}', "model", "surrogate"),
    "a lone surrogate inside a free value": (b'{"model": "m", "extra": {"a": ["\\udfff"]}}', "extra.a[0]", "surrogate"),
    "a lone surrogate inside a key": (b'{"model": "m", "extra": {"\\udc00": 1}}', "extra.\udc00", "surrogate"),
    "a lone surrogate as an unknown field": (b'{"model": "m", "\\udc00": 1}', None, "surrogate"),
    "JSON nested beyond the parser": (b'{"model": ' + b"[" * 100_000, None, "nested"),
    "JSON nested beyond the limit": (
        b'{"model": "m", "extra": {"a": ' + b"[" * 150 + b"]" * 150 + b"}}",
        "extra.a" + "[0]" * 40 + "[…",
        "nested",
    ),
    "a field name of a megabyte": (b'{"model": "m", "' + b"x" * 2**20 + b'": 1}', None, "no name of a field"),
    "a list as the root": (b"[]", None, "object"),
    "null as the root": (b"null", None, "object"),
    "a missing field": (b"{}", "model", "required"),
    "an empty string where none may be": (b'{"model": ""}', "model", "empty"),
    "a number out of range": (b'{"model": "m", "top_p": 1.5}', "top_p", "between 0 and 1"),
    "a wrong type inside a list": (b'{"model": "m", "inner": [{"role": 1}]}', "inner[0].role", "string"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_body_is_refused_with_the_path_to_what_is_wrong(name: str) -> None:
    raw, param, words = BAD[name]

    with pytest.raises(InvalidRequest) as caught:
        parse(raw, JSON, Outer, allow_unknown=True)

    assert caught.value.param == param
    assert words in caught.value.message


def test_a_good_body_becomes_an_instance() -> None:
    body = parse(b'{"model": "m", "inner": [{"role": "user"}], "top_p": 1}', JSON, Outer, allow_unknown=False)

    assert body.value == Outer(model="m", inner=(Inner(role="user"),), top_p=1.0)
    assert body.unknown == {}


def test_of_a_repeated_key_the_last_counts() -> None:
    body = parse(b'{"model": "a", "model": "b"}', JSON, Outer, allow_unknown=False)

    assert body.value.model == "b"


def test_unknown_fields_reach_the_handler_where_the_route_allows_them() -> None:
    body = parse(b'{"model": "m", "modle": 1}', JSON, Outer, allow_unknown=True)

    assert body.unknown == {"modle": 1}


def test_unknown_fields_are_refused_elsewhere_with_a_suggestion() -> None:
    with pytest.raises(InvalidRequest, match="did you mean 'model'") as caught:
        parse(b'{"model": "m", "modle": 1}', JSON, Outer, allow_unknown=False)

    assert caught.value.param == "modle"


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/json; charset=utf-8", "application/x-ndjson", "application/x-www-form-urlencoded"],
)
def test_json_is_taken_whatever_it_calls_itself(content_type: str) -> None:
    assert parse(b'{"model": "m"}', content_type, Outer, allow_unknown=False).value.model == "m"


@pytest.mark.parametrize("content_type", ["Multipart/Form-Data; boundary=x", "multipart/form-data"])
def test_forms_are_refused(content_type: str) -> None:
    with pytest.raises(InvalidRequest, match="form"):
        parse(b'{"model": "m"}', content_type, Outer, allow_unknown=False)


def test_many_problems_are_told_up_to_a_limit() -> None:
    raw = json.dumps({"model": "m", "inner": [{"role": 1}] * 8}).encode()

    with pytest.raises(InvalidRequest) as caught:
        parse(raw, JSON, Outer, allow_unknown=False)

    assert "inner[4].role" in caught.value.message
    assert "inner[5].role" not in caught.value.message
    assert caught.value.message.endswith("and 3 more")


@pytest.mark.parametrize("raw", [b"", b" \n", b"{}"])
def test_no_body_at_all_is_an_empty_one_where_nothing_is_required(raw: bytes) -> None:
    assert parse(raw, JSON, Wish, allow_unknown=False).value == Wish()
