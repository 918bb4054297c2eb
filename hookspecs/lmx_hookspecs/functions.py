"""What the functions of tools may be called and look like, the same on every surface and in every dialect."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lmx_hookspecs.errors import InvalidRequest

MAX_FUNCTION_NAME = 128
_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_FUNCTION_NAME}}}")
"""Models write names between brackets, quotes, colons and line breaks: what holds one of those is never read back."""
DEEPEST = 100
"""Levels of a schema; those who compile and read it give up at a few hundred."""
LONGEST_PLACE = 200
_ONE = (
    "additionalItems",
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
_LENGTHS = ("maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties")
_TEXTS = ("$ref", "format", "pattern")
_KEYWORDS = frozenset({*_ONE, *_SEVERAL, *_NAMED})
_DATA = ("const", "default")
"""Words of which null is a value."""
_Inner = tuple[Any, str, int]
"""A schema, its place, and how deep that is."""


def checked_function_name(name: object, param: str) -> str:
    """The same name; raises InvalidRequest for one that cannot be read back from an answer."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{param} must be a name of 1 to {MAX_FUNCTION_NAME} letters of ASCII, digits, underscores, dashes and "
            "dots",
            param=param,
        )
    return name


def check_parameters(parameters: object, param: str) -> None:
    """Raises InvalidRequest where the parameters of a function are no JSON schema of an object.

    At every level, in time linear in their size. What many clients send counts as left out: null, and `required: true`
    of a single property.
    """
    if parameters is None:
        return
    if not isinstance(parameters, Mapping):
        raise InvalidRequest(f"{param} must be a JSON schema, an object", param=param)
    waiting: list[_Inner] = [({"type": "object", **parameters}, param, 0)]
    while waiting:
        schema, place, depth = waiting.pop()
        if depth > DEEPEST:
            raise InvalidRequest(f"{param} is more than {DEEPEST} levels deep; use $ref, or flatten it", param=param)
        if isinstance(schema, bool):
            continue
        if not isinstance(schema, Mapping):
            raise _no(place, "a JSON schema: an object, true or false", param)
        _check_words(schema, place, param)
        waiting += ((inner, at[:LONGEST_PLACE], depth + 1) for inner, at in _inner(schema, place, param))


def without_nulls(schema: Any) -> Any:
    """A schema that was checked, without what counts as left out, and with whole numbers as such."""
    if not isinstance(schema, Mapping):
        return schema
    return {word: _word_without_nulls(word, told) for word, told in schema.items() if not _left_out(word, told)}


def _left_out(word: str, told: Any) -> bool:
    return (told is None and word not in _DATA) or (word == "required" and isinstance(told, bool))


def _word_without_nulls(word: str, told: Any) -> Any:
    if word in _NAMED:
        return {name: {} if inner is None else without_nulls(inner) for name, inner in told.items()}
    if word in _LENGTHS:
        return int(told)
    if word not in _KEYWORDS:
        return told
    return [*map(without_nulls, told)] if isinstance(told, list | tuple) else without_nulls(told)


def _inner(schema: Mapping[str, Any], place: str, param: str) -> Iterator[tuple[Any, str]]:
    """The schemas in a schema, with their places."""
    for word, told in schema.items():
        if told is None or word not in _KEYWORDS:
            continue
        at = f"{place}.{word}"
        if word in _NAMED:
            if not isinstance(told, Mapping):
                raise _no(at, "an object", param)
            yield from ((inner, f"{at}.{name}") for name, inner in told.items() if inner is not None)
        elif word in _SEVERAL and not isinstance(told, list | tuple):
            raise _no(at, "a list of JSON schemas", param)
        elif isinstance(told, list | tuple):  # `items` may be a list in older schemas
            yield from ((inner, f"{at}[{number}]") for number, inner in enumerate(told))
        else:
            yield told, at


def _check_words(schema: Mapping[str, Any], place: str, param: str) -> None:
    """What does not hold schemas but has a form of its own."""
    kinds, required = schema.get("type"), schema.get("required")
    if kinds is not None and not (isinstance(kinds, str) or _are_names(kinds)):
        raise _no(f"{place}.type", "a name, or a list of names", param)
    has_members = "properties" in schema or kinds == "object"
    if not _left_out("required", required) and has_members and not _are_names(required):
        raise _no(f"{place}.required", "a list of names", param)
    if not isinstance(schema.get("enum"), list | tuple | None):
        raise _no(f"{place}.enum", "a list", param)
    for word in _LENGTHS:
        length = schema.get(word)
        if length is not None and not _is_length(length):
            raise _no(f"{place}.{word}", "a whole number, 0 or more", param)
    for word in _TEXTS:
        if not isinstance(schema.get(word), str | None):
            raise _no(f"{place}.{word}", "a text", param)


def _is_length(told: object) -> bool:
    """Of JSON's numbers 10.0 is a whole one too."""
    whole = isinstance(told, int) or (isinstance(told, float) and told.is_integer())
    return whole and not isinstance(told, bool) and told >= 0  # type: ignore[operator]


def _are_names(told: object) -> bool:
    return isinstance(told, list | tuple) and all(isinstance(one, str) for one in told)


def _no(place: str, what: str, param: str) -> InvalidRequest:
    return InvalidRequest(f"{place} must be {what}", param=param)
