"""JSON Schema of attrs classes: types, ranges, defaults and documentation from their fields."""

import types
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs
from attrs import define, field

from lmx_hookspecs import Option, options_of

SCALARS: Mapping[Any, Mapping[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bytes: {"type": "string"},
    Path: {"type": "string"},
    type(None): {"type": "null"},
}
FREE = (Any, object)
RANGES = (("ge", "minimum"), ("le", "maximum"), ("gt", "exclusiveMinimum"))


@define
class Schemas:
    """Schemas by class name, as they are asked for; nested classes are referred to by name."""

    named: dict[str, Any] = field(factory=dict)
    _names: dict[type, str] = field(factory=dict)

    def of(self, cls: Any) -> Mapping[str, Any]:
        """The schema of a type."""
        origin, arguments = get_origin(cls), get_args(cls)
        if cls in SCALARS:
            return SCALARS[cls]
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(member) for member in arguments]}
        if origin is Literal:
            return {"enum": list(arguments)}
        if isinstance(cls, type) and attrs.has(cls):
            return self._reference(cls)
        if isinstance(cls, type) and issubclass(cls, Enum):
            return {"enum": [member.value for member in cls]}
        return self._container(origin or cls, arguments)

    def _container(self, shape: Any, arguments: tuple[Any, ...]) -> Mapping[str, Any]:
        if not isinstance(shape, type) or shape in FREE:
            return {}
        if issubclass(shape, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1]) if arguments else {}}
        return {"type": "array", "items": self.of(arguments[0]) if arguments else {}}

    def _reference(self, cls: type) -> Mapping[str, Any]:
        name = self._names.get(cls)
        if name is None:
            # Two plugins may well use one name.
            name = cls.__name__ if cls.__name__ not in self.named else f"{cls.__module__}.{cls.__name__}"
            self._names[cls] = name
            self.named[name] = {}  # a class may refer to itself
            self.named[name] = self._object(cls)
        return {"$ref": f"#/components/schemas/{name}"}

    def properties(self, cls: type) -> dict[str, Mapping[str, Any]]:
        """The schemas of a class's fields, by name, with their ranges, documentation and defaults."""
        attrs.resolve_types(cls)
        options = options_of(cls)
        return {part.name: self._property(part, options[part.name]) for part in attrs.fields(cls)}

    def _property(self, part: "attrs.Attribute[Any]", option: Option) -> Mapping[str, Any]:
        described = {**self.of(part.type), **_limits(option)}
        if option.choices is not None and part.default is None:
            described["enum"] = [*option.choices, None]
        if option.doc:
            described["description"] = option.doc
        if part.default is None or isinstance(part.default, str | int | float):
            described["default"] = part.default
        return described

    def _object(self, cls: type) -> Mapping[str, Any]:
        schema: dict[str, Any] = {"type": "object", "properties": self.properties(cls)}
        if required_names(cls):
            schema["required"] = required_names(cls)
        if cls.__doc__:
            schema["description"] = cls.__doc__
        return schema


def required_names(cls: type) -> list[str]:
    """The fields of an attrs class that have no default."""
    return [part.name for part in attrs.fields(cls) if part.default is attrs.NOTHING]


def _limits(option: Option) -> Mapping[str, Any]:
    limits: dict[str, Any] = {
        keyword: getattr(option, name) for name, keyword in RANGES if getattr(option, name) is not None
    }
    if option.choices is not None:
        limits["enum"] = list(option.choices)
    if option.min_length is not None:
        limits.update(minLength=option.min_length, minItems=option.min_length)
    if option.max_length is not None:
        limits.update(maxLength=option.max_length, maxItems=option.max_length)
    return limits
