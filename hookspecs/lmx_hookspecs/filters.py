"""Filters on metadata, in the shape of OpenAI's vector stores, and what they mean.

    {"type": "eq", "key": "author", "value": "Ada"}           also ne, gt, gte, lt, lte
    {"type": "in", "key": "year", "value": [2024, 2025]}      also nin
    {"type": "and", "filters": [...]}                         also or
    {"type": "not", "filter": {...}}

Values are strings, numbers and booleans, and are equal only within these three: `true` is not 1, `"1"` is not 1. Order
is that of numbers, and of strings by code points; booleans have none. A key that is missing, or holds something else
(null, a list), matches nothing but `ne` and `nin`. See https://platform.openai.com/docs/api-reference/vector-stores/search
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from operator import ge, gt, le, lt
from typing import Any, Literal, TypeAlias, cast

from attrs import frozen

from lmx_hookspecs.errors import InvalidRequest

MAX_DEPTH = 8
MAX_PARTS = 256
"""Comparisons and compounds in one filter, and values in one list."""
MAX_KEY_LENGTH = 256
MAX_TEXT_LENGTH = 4096

Scalar: TypeAlias = str | int | float | bool
EqualityOperator = Literal["eq", "ne"]
OrderOperator = Literal["gt", "gte", "lt", "lte"]
MembershipOperator = Literal["in", "nin"]
CompoundOperator = Literal["and", "or"]

ORDER: Mapping[str, Callable[[Any, Any], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
_INT64 = range(-(2**63), 2**63)


@frozen(kw_only=True)
class Equality:
    """A key that holds a value, or does not."""

    type: EqualityOperator
    key: str
    value: Scalar


@frozen(kw_only=True)
class Order:
    """A key whose value stands above or below another one of its kind."""

    type: OrderOperator
    key: str
    value: str | int | float


@frozen(kw_only=True)
class Membership:
    """A key that holds one of some values, or none of them."""

    type: MembershipOperator
    key: str
    value: tuple[Scalar, ...]


@frozen(kw_only=True)
class Compound:
    """All of some filters, or at least one of them; never empty."""

    type: CompoundOperator
    filters: tuple["Filter", ...]


@frozen(kw_only=True)
class Not:
    """What a filter does not match."""

    filter: "Filter"


Filter: TypeAlias = Equality | Order | Membership | Compound | Not


def parse_filter(data: Any, param: str = "filter") -> Filter:
    """Read a filter; raises InvalidRequest (`invalid_filter`) whose `param` is the path of what is wrong."""
    if _size(data) > MAX_PARTS:
        raise _wrong(param, f"a filter has at most {MAX_PARTS} parts; send a smaller one")
    return _parse(data, param, depth=1)


def matches(filter: Filter, metadata: Mapping[str, Any]) -> bool:
    """Whether metadata pass a filter."""
    match filter:
        case Not():
            return not matches(filter.filter, metadata)
        case Compound(type="and"):
            return all(matches(part, metadata) for part in filter.filters)
        case Compound():
            return any(matches(part, metadata) for part in filter.filters)
        case Order():
            return _stands(metadata.get(filter.key), filter)
        case Equality():
            return _same(metadata.get(filter.key), filter.value) == (filter.type == "eq")
        case Membership():
            held = metadata.get(filter.key)
            return any(_same(held, value) for value in filter.value) == (filter.type == "in")


def kind_of(value: Any) -> str:
    """`boolean`, `number`, `string`, or empty for what filters do not compare."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case _:
            return ""


def plain_number(value: float) -> float:
    """A number as SQLite and JSON hold it: whole ones beyond 64 bits are floats."""
    return float(value) if isinstance(value, int) and value not in _INT64 else value


def _same(held: Any, value: Scalar) -> bool:
    kind = kind_of(held)
    if kind != kind_of(value):
        return False
    return bool(_comparable(held) == _comparable(value))


def _stands(held: Any, order: Order) -> bool:
    kind = kind_of(held)
    if kind not in ("number", "string") or kind != kind_of(order.value):
        return False
    return ORDER[order.type](_comparable(held), _comparable(order.value))


def _comparable(value: Any) -> Any:
    return plain_number(value) if kind_of(value) == "number" else value


def _size(data: Any, depth: int = 0) -> int:
    """How many parts there are; looks no deeper than a filter may be."""
    if not isinstance(data, Mapping) or depth > MAX_DEPTH:
        return 1
    inner = data.get("filters")
    parts = list(inner) if isinstance(inner, Sequence) and not isinstance(inner, str) else []
    if "filter" in data:
        parts.append(data["filter"])
    values = data.get("value")
    listed = len(values) if isinstance(values, list | tuple) else 0
    return 1 + listed + sum(_size(part, depth + 1) for part in parts[: MAX_PARTS + 1])


def _parse(data: Any, param: str, depth: int) -> Filter:
    if not isinstance(data, Mapping):
        raise _wrong(param, "a filter is an object with a `type`")
    if depth > MAX_DEPTH:
        raise _wrong(param, f"filters stand in each other at most {MAX_DEPTH} deep; send a flatter one")
    match data.get("type"):
        case "and" | "or" as kind:
            _only(data, param, {"type", "filters"})
            return Compound(type=kind, filters=_parts(data, param, depth))
        case "not":
            _only(data, param, {"type", "filter"})
            return Not(filter=_parse(data.get("filter"), f"{param}.filter", depth + 1))
        case str() as kind if kind in _COMPARISONS:
            _only(data, param, {"type", "key", "value"})
            return _COMPARISONS[kind](kind, _key(data, param), data.get("value"), f"{param}.value")
        case _:
            raise _wrong(f"{param}.type", f"the type of a filter is one of {', '.join(_TYPES)}")


def _parts(data: Mapping[str, Any], param: str, depth: int) -> tuple[Filter, ...]:
    filters = data.get("filters")
    if not isinstance(filters, list | tuple) or not filters:
        raise _wrong(f"{param}.filters", "`filters` is a list of at least one filter")
    return tuple(_parse(part, f"{param}.filters[{number}]", depth + 1) for number, part in enumerate(filters))


def _key(data: Mapping[str, Any], param: str) -> str:
    key = data.get("key")
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY_LENGTH or not _is_text(key):
        raise _wrong(f"{param}.key", f"`key` is a text of 1 to {MAX_KEY_LENGTH} characters")
    return key


def _equality(kind: str, key: str, value: Any, param: str) -> Filter:
    return Equality(type=cast("EqualityOperator", kind), key=key, value=_scalar(value, param))


def _order(kind: str, key: str, value: Any, param: str) -> Filter:
    scalar = _scalar(value, param)
    if isinstance(scalar, bool):
        raise _wrong(param, f"`{kind}` compares numbers or strings, and booleans have no order")
    return Order(type=cast("OrderOperator", kind), key=key, value=scalar)


def _membership(kind: str, key: str, value: Any, param: str) -> Filter:
    if not isinstance(value, list | tuple) or not value:
        raise _wrong(param, f"the value of `{kind}` is a list of at least one string, number or boolean")
    values = tuple(_scalar(one, f"{param}[{number}]") for number, one in enumerate(value))
    return Membership(type=cast("MembershipOperator", kind), key=key, value=values)


def _scalar(value: Any, param: str) -> Scalar:
    match value:
        case bool() | int():
            return value
        case float() if isfinite(value):
            return value
        case str() if len(value) <= MAX_TEXT_LENGTH and _is_text(value):
            return value
        case _:
            raise _wrong(param, f"a value is a string of at most {MAX_TEXT_LENGTH} characters, a number or a boolean")


def _is_text(text: str) -> bool:
    """Lone surrogates are no characters, and no database compares what stands behind a NUL."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _only(data: Mapping[str, Any], param: str, known: set[str]) -> None:
    unknown = sorted(str(name) for name in data if name not in known)
    if unknown:
        raise _wrong(f"{param}.{unknown[0]}", f"a filter `{data['type']}` has no field {unknown[0]!r}")


def _wrong(param: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, code="invalid_filter", param=param)


_COMPARISONS: Mapping[str, Callable[[str, str, Any, str], Filter]] = {
    "eq": _equality,
    "ne": _equality,
    "gt": _order,
    "gte": _order,
    "lt": _order,
    "lte": _order,
    "in": _membership,
    "nin": _membership,
}
_TYPES = (*_COMPARISONS, "and", "or", "not")
