"""Two hundred JSON schemas: nested, enums, arrays, references, unions, formats, and what agents really send.

Each can be enforced token by token. Texts are bounded where a small model would never end them.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string", "maxLength": 12}
SCALARS: Sequence[Schema] = (
    TEXT,
    {"type": "integer"},
    {"type": "number", "minimum": -10, "maximum": 10},
    {"type": "boolean"},
    {"type": "null"},
    {"type": "integer", "minimum": 3, "maximum": 999},
    {"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 100},
    {"enum": ["red", "green", "blue"]},
    {"enum": [1, "one", None, True]},
    {"const": "fixed"},
    {"type": "string", "pattern": "^[a-z]{2,5}-[0-9]{3}$"},
    {"type": "string", "minLength": 2, "maxLength": 4},
)
FORMATS = ("date", "time", "date-time", "uuid", "ipv4", "email", "hostname", "duration")


def corpus() -> Sequence[Schema]:
    """All of them, in a fixed order."""
    return [*_scalars(), *_objects(), *_arrays(), *_unions(), *_references(), *_nested(), *_agents()]


def _object(properties: Mapping[str, Schema], required: Sequence[str] | None = None, **more: Any) -> Schema:
    needed = [*properties] if required is None else [*required]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False, **more}


def _scalars() -> Iterator[Schema]:
    yield from SCALARS
    for name in FORMATS:
        yield _object({"value": {"type": "string", "format": name}})


def _objects() -> Iterator[Schema]:
    for first, second in product(range(len(SCALARS)), repeat=2):
        if (first + second) % 3 == 0:
            yield _object({"first": SCALARS[first], "second": SCALARS[second]})
    for needed in ((), ("a",), ("a", "c")):
        yield _object({"a": TEXT, "b": {"type": "integer"}, "c": {"type": "boolean"}}, needed)
    yield {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 3}
    yield {
        "type": "object",
        "patternProperties": {"^x-[a-z]{1,4}$": TEXT},
        "additionalProperties": False,
        "maxProperties": 2,
    }


def _arrays() -> Iterator[Schema]:
    for number, item in enumerate(SCALARS):
        yield {"type": "array", "items": item, "minItems": number % 3, "maxItems": number % 3 + 2}
        yield _object({"rows": {"type": "array", "items": _object({"cell": item}), "maxItems": 2}})
    yield {"type": "array", "prefixItems": [TEXT, {"type": "integer"}], "items": False, "minItems": 2}
    yield {"type": "array", "items": {"type": "array", "items": {"type": "integer"}, "maxItems": 2}, "maxItems": 2}


def _unions() -> Iterator[Schema]:
    for number, schema in enumerate(SCALARS):
        other = SCALARS[(number + 5) % len(SCALARS)]
        yield {"anyOf": [schema, _object({"other": other})]}
        yield _object({"maybe": {"anyOf": [schema, {"type": "null"}]}})
    yield {"type": ["string", "null"], "maxLength": 8}
    yield {
        "oneOf": [{"type": "integer"}, _object({"kind": {"const": "a"}}), _object({"kind": {"const": "b"}, "n": TEXT})]
    }
    yield {"allOf": [_object({"a": TEXT}), {"properties": {"a": {"minLength": 1}}}]}


def _references() -> Iterator[Schema]:
    for item in SCALARS:
        yield {**_object({"one": {"$ref": "#/$defs/item"}, "two": {"$ref": "#/$defs/item"}}), "$defs": {"item": item}}
    yield {
        "$ref": "#/$defs/tree",
        "$defs": {"tree": _object({"name": {"enum": ["leaf", "node"]}, "child": {"$ref": "#/$defs/tree"}}, ["name"])},
    }
    yield {
        "$ref": "#/definitions/list",
        "definitions": {"list": {"anyOf": [{"type": "null"}, _object({"next": {"$ref": "#/definitions/list"}})]}},
    }


def _nested() -> Iterator[Schema]:
    for depth in range(1, 16):
        schema: Schema = SCALARS[depth % len(SCALARS)]
        for level in range(depth):
            schema = (
                _object({f"level{level}": schema}) if level % 2 else {"type": "array", "items": schema, "maxItems": 1}
            )
        yield schema


def _agents() -> Iterator[Schema]:
    actions = ["search", "open", "click", "type", "done"]
    for size in range(1, 46):
        chosen = actions[: size % len(actions) + 1]
        yield _object(
            {
                "action": {"enum": chosen},
                "arguments": _object(
                    {f"field{place}": SCALARS[(size + place) % len(SCALARS)] for place in range(size % 4 + 1)},
                    [f"field{place}" for place in range(min(size % 3, size % 4 + 1))],
                ),
                "confidence": {"type": "number", "minimum": 0, "maximum": 1},
                "tags": {"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": size % 5},
            },
            ["action", "arguments"] if size % 2 else ["action", "arguments", "tags"],
            title=f"Step {size}",
        )
