"""Values that a dialect writes as bare text, as JSON of the type that the tool's schema wants."""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lmx_dialects.json_stream import JsonStream

_INTEGER = re.compile(r"[-+]?[0-9]{1,300}(?:\.0{1,300})?")
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][-+]?[0-9]{1,3})?")
_WORDS: Mapping[str, str] = {"true": "true", "false": "false", "null": "null", "none": "null", "nil": "null"}
_OF_KIND: Mapping[str, frozenset[str]] = {"boolean": frozenset({"true", "false"}), "null": frozenset({"null"})}
_NAMES: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
_CONTAINERS: Mapping[str, str] = {"{": "object", "[": "array"}
MOST_STEPS = 16
"""From a schema to what it refers to."""
UNTYPED = ("object", "array", "string")
"""What a value may be of which the schema says nothing."""


def typed(text: str, schema: Any, root: Mapping[str, Any]) -> str:
    """JSON text for a value; where it fits none of the types, what it is by itself."""
    types = tuple(dict.fromkeys(types_of(schema, root))) or UNTYPED
    stripped = text.strip()
    for kind in types:
        written = None if kind == "string" else _as(kind, stripped)
        if written is not None:
            return written
    if "string" in types:
        return json.dumps(text, ensure_ascii=False)
    return stripped if _is_json(stripped) else json.dumps(text, ensure_ascii=False)


def types_of(schema: Any, root: Mapping[str, Any]) -> Iterator[str]:
    """The types that a value may have, as JSON Schema names them; of a schema that goes round in circles, too."""
    waiting, seen = [schema], set[int]()
    while waiting:
        schema = waiting.pop(0)
        if not isinstance(schema, Mapping) or id(schema) in seen:
            continue
        seen.add(id(schema))
        kinds = schema.get("type", ())
        yield from (kinds,) if isinstance(kinds, str) else (kind for kind in _list(kinds) if isinstance(kind, str))
        yield from map(_name, _list(schema.get("enum")))
        yield from map(_name, [schema["const"]] if "const" in schema else ())
        for word in ("anyOf", "oneOf", "allOf"):
            waiting += _list(schema.get(word))
        if "$ref" in schema:
            waiting.append(_referenced(schema["$ref"], root))


def values_of(schema: Any, root: Mapping[str, Any]) -> Sequence[Any]:
    """The values that a schema lists one by one, in its branches too; none where there may be others."""
    waiting, seen, values = [schema], set[int](), list[Any]()
    while waiting:
        one = followed(waiting.pop(0), root)
        if id(one) in seen:
            continue
        seen.add(id(one))
        branches = _list(one.get("anyOf")) or _list(one.get("oneOf"))
        listed = [one["const"]] if "const" in one else _list(one.get("enum"))
        listed = [None] if one.get("type") == "null" else listed
        if not (listed or branches):
            return ()
        values += listed
        waiting += () if listed else branches
    return values


def followed(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema to which its references, or a single `allOf` around one, lead in the end."""
    for _ in range(MOST_STEPS):
        if not isinstance(schema, Mapping):
            return {}
        alone = _list(schema.get("allOf"))
        if "$ref" in schema:
            schema = _referenced(schema["$ref"], root)
        elif len(alone) == 1 and "type" not in schema:
            schema = alone[0]
        else:
            return schema
    return {}


def properties_of(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of each property; none where the schema says nothing of them, or nonsense."""
    properties = schema.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def object_of(pairs: Iterable[tuple[str, str]], schema: Mapping[str, Any]) -> str:
    """The text of a JSON object from names and bare values; of a name that comes twice the last value counts."""
    known = properties_of(schema)
    written = {name: typed(value, known.get(name), schema) for name, value in pairs}
    return written_object(written)


def written_object(members: Mapping[str, str]) -> str:
    """The text of a JSON object from the JSON texts of its members."""
    return "{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {value}" for name, value in members.items()) + "}"


def plain_json(value: Any) -> str:
    """A value of Python's as JSON; raises ValueError or TypeError for what JSON has not."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def python_literal(text: str) -> Any:
    """The value of a Python literal; raises ValueError."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("is no literal") from error


def _as(kind: str, text: str) -> str | None:
    if kind == "integer" and _INTEGER.fullmatch(text):
        return str(int(text.partition(".")[0]))
    if kind == "number" and _NUMBER.fullmatch(text):
        return _number(text)
    if kind in _OF_KIND:
        word = _WORDS.get(text.lower(), "")
        return word if word in _OF_KIND[kind] else None
    if kind in _CONTAINERS.values() and _CONTAINERS.get(text[:1]) == kind:
        return text if _is_json(text) else _from_python(text, kind)
    return None


def _number(text: str) -> str | None:
    if _is_json(text):
        return text
    try:
        return plain_json(_finite(text))
    except ValueError:
        return None


def _finite(text: str) -> float:
    value = float(text)
    if abs(value) == float("inf"):
        raise ValueError("is more than a number of JSON can be")
    return value


def _from_python(text: str, kind: str) -> str | None:
    """`{'a': True}`, as some models write it."""
    try:
        value = python_literal(text)
        return plain_json(value) if isinstance(value, dict if kind == "object" else list) else None
    except (ValueError, TypeError):
        return None


def _is_json(text: str) -> bool:
    stream = JsonStream()
    _, end = stream.feed(text + " ")
    return stream.complete and not text[end:].strip() and _no_control(text)


def _no_control(text: str) -> bool:
    """Whether nothing in it had to be escaped to be JSON."""
    return not any(char < " " and char not in "\t\r\n" for char in text) and _loads(text)


def _loads(text: str) -> bool:
    try:
        json.loads(text, parse_float=_finite)
    except (ValueError, RecursionError):
        return False
    return True


def _name(value: Any) -> str:
    return "null" if value is None else _NAMES.get(type(value), "object")


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _referenced(reference: Any, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for step in str(reference).removeprefix("#").strip("/").split("/"):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found
