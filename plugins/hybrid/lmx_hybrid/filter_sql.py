"""Filters as conditions in SQL. Keys and values travel as parameters, never as a part of the statement."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from lmx_hookspecs.filters import Compound, Equality, Filter, Membership, Not, Order, kind_of, plain_number

PLAIN_KEY = re.compile(r'[^"\\\x00-\x1f]+\Z')
"""What a JSON path of SQLite may name; it knows no escapes."""
OPERATORS: Mapping[str, str] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
TYPES: Mapping[str, str] = {"number": "('integer', 'real')", "string": "('text')", "boolean": "('true', 'false')"}


@frozen
class Condition:
    """A condition in SQL with its parameters; it is true or false, never NULL."""

    sql: str
    parameters: Sequence[Any]


def of_documents(filter: Filter) -> Condition:
    """On the metadata of `documents d`."""
    return _condition(filter, ("d.metadata",))


def of_chunks(filter: Filter) -> Condition:
    """On the metadata of `chunks c`, and where they lack a key, on those of their `documents d`."""
    return _condition(filter, ("c.metadata", "d.metadata"))


def _condition(filter: Filter, columns: Sequence[str]) -> Condition:
    match filter:
        case Not():
            inner = _condition(filter.filter, columns)
            return Condition(f"NOT {inner.sql}", inner.parameters)
        case Compound():
            parts = [_condition(part, columns) for part in filter.filters]
            return _joined(parts, f" {filter.type.upper()} ")
        case Order():
            return _comparison(filter.key, OPERATORS[filter.type], filter.value, columns)
        case Equality(type="eq"):
            return _comparison(filter.key, "=", filter.value, columns)
        case Equality():
            return _negated(_comparison(filter.key, "=", filter.value, columns))
        case Membership():
            found = _joined([_comparison(filter.key, "=", value, columns) for value in filter.value], " OR ")
            return found if filter.type == "in" else _negated(found)


def _comparison(key: str, operator: str, value: Any, columns: Sequence[str]) -> Condition:
    """In the first of the columns that has the key at all."""
    kind = kind_of(value)
    compared = json.dumps(plain_number(value) if kind == "number" else value, ensure_ascii=False)
    type_of, value_of, key_parameter = _access(key)
    *first, last = columns
    sql = _typed(last, type_of, value_of, kind, operator)
    parameters = [key_parameter, key_parameter, compared]
    for column in reversed(first):
        there = type_of.format(column)
        sql = f"(CASE WHEN {there} IS NULL THEN {sql} ELSE {_typed(column, type_of, value_of, kind, operator)} END)"
        parameters = [key_parameter, *parameters, key_parameter, key_parameter, compared]
    return Condition(sql, parameters)


def _access(key: str) -> tuple[str, str, str]:
    """How a column's type and value under a key are read, and the parameter that stands for the key."""
    if PLAIN_KEY.match(key):
        return "json_type({}, ?)", "json_extract({}, ?)", f'$."{key}"'
    rows = "(SELECT {} FROM json_each({{}}) WHERE key = ? ORDER BY id DESC LIMIT 1)"
    return rows.format("type"), rows.format("value"), key


def _typed(column: str, type_of: str, value_of: str, kind: str, operator: str) -> str:
    """Numbers are compared as SQLite reads them from JSON, on both sides by the same code."""
    return (
        f"(coalesce({type_of.format(column)}, '') IN {TYPES[kind]}"
        f" AND {value_of.format(column)} {operator} json_extract(?, '$'))"
    )


def _negated(condition: Condition) -> Condition:
    return Condition(f"NOT {condition.sql}", condition.parameters)


def _joined(conditions: Sequence[Condition], word: str) -> Condition:
    sql = word.join(condition.sql for condition in conditions)
    return Condition(f"({sql})", [one for condition in conditions for one in condition.parameters])
