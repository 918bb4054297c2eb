"""From plain data (JSON, YAML) to attrs instances and back: strictly, with every problem and where it is.

cattrs generates the code per class; the hooks here replace its lenient ones, which turn `"false"` into True and 3.9
into 3. Ranges, choices and lengths come from `lmx_hookspecs.option`.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import attrs

from lmx.structure.problems import Problem, StructureError, did_you_mean
from lmx.structure.ranges import allowed_range

__all__ = ["Problem", "StructureError", "allowed_range", "did_you_mean", "structure", "unstructure"]

T = TypeVar("T")


def structure(data: Any, cls: type[T], *, allow_unknown: bool = False) -> T:
    """An instance of `cls` from plain data; `allow_unknown` ignores unknown keys at the top. Raises StructureError."""
    from lmx.structure.converter import converter

    if allow_unknown:
        from lmx.structure.classes import structure_class

        instance: T = structure_class(data, cls, converter(), forbid_unknown=False)
        return instance
    return converter().structure(data, cls)


def unstructure(value: Any) -> Any:
    """Plain data: mappings, lists, strings, numbers, booleans and null."""
    if attrs.has(type(value)):
        return {field.name: unstructure(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: unstructure(item) for key, item in value.items()}
    if isinstance(value, list | tuple | AbstractSet):
        return [unstructure(item) for item in value]
    return value
