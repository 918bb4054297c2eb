from typing import Any

import pytest

from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.filters import MAX_DEPTH, MAX_PARTS, matches, parse_filter

BOOK = {"author": "Ada", "year": 1843, "price": 2.5, "open": True, "tags": ["a"], "none": None}


@pytest.mark.parametrize(
    ("kind", "key", "value", "expected"),
    [
        ("eq", "author", "Ada", True),
        ("eq", "author", "ada", False),
        ("eq", "year", 1843.0, True),
        ("eq", "year", "1843", False),
        ("eq", "open", True, True),
        ("eq", "open", 1, False),
        ("eq", "missing", "x", False),
        ("eq", "tags", "a", False),
        ("ne", "author", "Bob", True),
        ("ne", "author", "Ada", False),
        ("ne", "missing", "x", True),
        ("ne", "none", "x", True),
        ("gt", "year", 1842, True),
        ("gt", "year", 1843, False),
        ("gte", "year", 1843, True),
        ("lt", "price", 3, True),
        ("lte", "price", 2.5, True),
        ("lt", "author", "B", True),
        ("lt", "author", 5, False),
        ("gt", "open", 0, False),
        ("gt", "missing", 0, False),
        ("in", "year", [1, 1843], True),
        ("in", "year", ["1843", True], False),
        ("in", "missing", [1], False),
        ("nin", "year", [1, 1843], False),
        ("nin", "missing", [1], True),
    ],
)
def test_a_comparison_says_what_the_contract_says(kind: str, key: str, value: Any, expected: bool) -> None:
    assert matches(parse_filter({"type": kind, "key": key, "value": value}), BOOK) is expected


def test_compounds_and_negations_stand_in_each_other() -> None:
    ada = {"type": "eq", "key": "author", "value": "Ada"}
    late = {"type": "gt", "key": "year", "value": 1900}

    assert matches(parse_filter({"type": "or", "filters": [ada, late]}), BOOK)
    assert not matches(parse_filter({"type": "and", "filters": [ada, late]}), BOOK)
    assert matches(parse_filter({"type": "and", "filters": [ada, {"type": "not", "filter": late}]}), BOOK)


def test_a_negation_matches_what_lacks_the_key() -> None:
    assert matches(parse_filter({"type": "not", "filter": {"type": "gt", "key": "gone", "value": 1}}), BOOK)


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (None, "filter"),
        ([], "filter"),
        ({}, "filter.type"),
        ({"type": "like", "key": "a", "value": "b"}, "filter.type"),
        ({"type": ["eq"], "key": "a", "value": "b"}, "filter.type"),
        ({"type": "eq", "value": "b"}, "filter.key"),
        ({"type": "eq", "key": "", "value": "b"}, "filter.key"),
        ({"type": "eq", "key": "a\0", "value": "b"}, "filter.key"),
        ({"type": "eq", "key": "a" * 300, "value": "b"}, "filter.key"),
        ({"type": "eq", "key": "a"}, "filter.value"),
        ({"type": "eq", "key": "a", "value": None}, "filter.value"),
        ({"type": "eq", "key": "a", "value": [1]}, "filter.value"),
        ({"type": "eq", "key": "a", "value": float("nan")}, "filter.value"),
        ({"type": "eq", "key": "a", "value": "\ud800"}, "filter.value"),
        ({"type": "gt", "key": "a", "value": True}, "filter.value"),
        ({"type": "in", "key": "a", "value": []}, "filter.value"),
        ({"type": "in", "key": "a", "value": "abc"}, "filter.value"),
        ({"type": "in", "key": "a", "value": [1, {}]}, "filter.value[1]"),
        ({"type": "eq", "key": "a", "value": 1, "boost": 2}, "filter.boost"),
        ({"type": "and", "filters": []}, "filter.filters"),
        ({"type": "or", "filters": {}}, "filter.filters"),
        ({"type": "not"}, "filter.filter"),
        ({"type": "and", "filters": [{"type": "not", "filter": {"type": "eq"}}]}, "filter.filters[0].filter.key"),
    ],
)
def test_a_wrong_filter_names_what_is_wrong(data: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_filter(data)

    assert (caught.value.code, caught.value.param) == ("invalid_filter", param)


def test_depth_and_size_are_bounded() -> None:
    one = {"type": "eq", "key": "a", "value": 1}
    deep: dict[str, Any] = one
    for _ in range(MAX_DEPTH):
        deep = {"type": "not", "filter": deep}
    for _ in range(5000):
        bottomless = deep = {"type": "not", "filter": deep}
    wide = {"type": "and", "filters": [one] * MAX_PARTS}
    listed = {"type": "in", "key": "a", "value": list(range(MAX_PARTS))}

    for data in (bottomless, wide, listed, {"type": "or", "filters": [wide] * MAX_PARTS}):
        with pytest.raises(InvalidRequest) as caught:
            parse_filter(data)
        assert caught.value.code == "invalid_filter"
    assert matches(parse_filter({"type": "in", "key": "a", "value": list(range(MAX_PARTS - 1))}), {"a": 3})


def test_the_path_begins_where_the_caller_says() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_filter({"type": "eq"}, "filters")

    assert caught.value.param == "filters.key"
