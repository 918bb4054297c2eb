"""The one cattrs converter, strict."""

from enum import Enum, IntEnum, StrEnum
from functools import cache
from typing import Any

from cattrs import Converter

from lmx.structure.classes import is_class, structure_class
from lmx.structure.scalars import SCALARS, free_form
from lmx.structure.shapes import FACTORIES, enum_member


@cache
def converter() -> Converter:
    """Made once; it generates and keeps the code for each class that it meets."""
    strict = Converter(detailed_validation=True, forbid_extra_keys=True)
    for kind, hook in SCALARS.items():
        strict.register_structure_hook(kind, hook)
    for enumeration in (Enum, IntEnum, StrEnum):  # each: the last two are also an int and a str
        strict.register_structure_hook(enumeration, enum_member)
    strict.register_structure_hook_func(lambda cls: cls is Any or cls is object, free_form)
    for predicate, factory in FACTORIES:
        strict.register_structure_hook_factory(predicate, factory)

    @strict.register_structure_hook_factory(is_class)
    def _(_: Any) -> Any:
        return lambda value, cls: structure_class(value, cls, strict, forbid_unknown=True)

    return strict
