from typing import Any

import pytest
from attrs import frozen

from lmx.http.parameters import parse
from lmx_hookspecs import option
from lmx_hookspecs.errors import InvalidRequest


@frozen(kw_only=True)
class Page:
    limit: int = option(50, ge=1, le=200)
    least: float | None = None
    newest: bool = True
    name: str | None = None


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ({}, Page()),
        (
            {"limit": "7", "least": "0.5", "newest": "false", "name": "12"},
            Page(limit=7, least=0.5, newest=False, name="12"),
        ),
        ({"name": "", "least": "3"}, Page(name="", least=3.0)),
    ],
)
def test_text_becomes_what_the_field_takes(query: dict[str, str], read: Page) -> None:
    assert parse(query, Page) == read


@pytest.mark.parametrize(
    ("query", "param", "says"),
    [
        ({"limit": "201"}, "limit", "200"),
        ({"limit": "many"}, "limit", "an integer"),
        ({"limit": "1.5"}, "limit", "an integer"),
        ({"limit": "[1]"}, "limit", "an integer"),
        ({"limit": ""}, "limit", "an integer"),
        ({"least": "NaN"}, "least", "number"),
        ({"newest": "1"}, "newest", "true or false"),
        ({"limt": "5"}, "limt", "did you mean 'limit'"),
        ({"limit": "[" * 100_000}, "limit", "an integer"),
    ],
)
def test_what_does_not_fit_is_named(query: dict[str, Any], param: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as refusal:
        parse(query, Page)

    assert refusal.value.param == param
