import json
import sqlite3
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_hookspecs.filters import Compound, Equality, Filter, Membership, Not, Order, matches
from lmx_hybrid.filter_sql import Condition, of_chunks, of_documents

KEYS = st.sampled_from(["a", "b", "a.b", "$", '"', 'x"] OR 1=1 --', "a\\b", "日本", "[0]", "'", "c\td"])
NUMBERS = st.integers(-3, 3) | st.integers(-(2**63), 2**63) | st.integers(-400, 400).map(lambda number: number / 8)
TEXTS = st.sampled_from(["", "a", "b", "B", "é", "日本", "1", "true", "x' OR 1=1"]) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3
)
SCALARS = st.booleans() | NUMBERS | TEXTS
HELD = SCALARS | st.none() | st.lists(st.integers(), max_size=2) | st.dictionaries(KEYS, st.integers(), max_size=2)
METADATA = st.dictionaries(KEYS, HELD, max_size=4)
COMPARISONS: st.SearchStrategy[Filter] = (
    st.builds(Equality, type=st.sampled_from(["eq", "ne"]), key=KEYS, value=SCALARS)
    | st.builds(Order, type=st.sampled_from(["gt", "gte", "lt", "lte"]), key=KEYS, value=NUMBERS | TEXTS)
    | st.builds(
        Membership,
        type=st.sampled_from(["in", "nin"]),
        key=KEYS,
        value=st.lists(SCALARS, min_size=1, max_size=4).map(tuple),
    )
)
FILTERS = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.builds(Not, filter=inner)
        | st.builds(
            Compound,
            type=st.sampled_from(["and", "or"]),
            filters=st.lists(inner, min_size=1, max_size=3).map(tuple),
        )
    ),
    max_leaves=6,
)


def answered(condition: Condition, chunk: Mapping[str, Any] | None, document: Mapping[str, Any]) -> Any:
    """What SQLite says of one chunk of one document."""
    with sqlite3.connect(":memory:") as connection:
        (answer,) = connection.execute(
            f"SELECT {condition.sql} FROM (SELECT ? AS metadata) c, (SELECT ? AS metadata) d",  # noqa: S608  what is tested
            (*condition.parameters, None if chunk is None else stored(chunk), stored(document)),
        ).fetchone()
    connection.close()
    return answer


def stored(metadata: Mapping[str, Any]) -> str:
    return json.dumps(metadata, ensure_ascii=False)


@given(FILTERS, METADATA)
def test_sql_and_the_contract_agree_on_documents(filter: Filter, metadata: dict[str, Any]) -> None:
    assert answered(of_documents(filter), None, metadata) == int(matches(filter, metadata))


@given(FILTERS, METADATA | st.none(), METADATA)
def test_sql_and_the_contract_agree_on_chunks(
    filter: Filter, chunk: dict[str, Any] | None, document: dict[str, Any]
) -> None:
    assert answered(of_chunks(filter), chunk, document) == int(matches(filter, {**document, **(chunk or {})}))


@pytest.mark.parametrize("key", ['x"] OR 1=1 --', "a') OR ('1'='1", '$."a"', "?"])
def test_a_key_is_never_a_part_of_the_statement(key: str) -> None:
    condition = of_chunks(Equality(type="eq", key=key, value="v"))

    assert key not in condition.sql.replace("?", "") or key == "?"
    assert answered(condition, {}, {key: "v"}) == 1
    assert answered(condition, {}, {"other": "v"}) == 0
