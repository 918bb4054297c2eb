"""Lists, mappings, choices and unions."""

import re
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from cattrs import Converter

from lmx.structure.problems import StructureError, WrongKind, each, wrong
from lmx.structure.scalars import Hook, integer

TUPLES = (tuple, Sequence, Collection, Iterable)
SETS = (set, frozenset, AbstractSet)
MAPPINGS = (dict, Mapping)
INTEGER_KEY = re.compile(r"-?(0|[1-9][0-9]{0,18})")


def _list_hook(cls: Any, converter: Converter) -> Hook:
    shape = get_origin(cls) or cls
    build = list if shape is list else frozenset if shape in SETS else tuple
    items = get_args(cls) or (Any,)
    length = len(items) if shape is tuple and items[-1] is not ... else None

    def structure_list(value: Any, _: Any) -> Any:
        if type(value) not in (list, tuple):
            raise WrongKind("a list", value)
        if length is None:
            return build(each(enumerate(value), converter.get_structure_hook(items[0]), items[0]))
        if len(value) != length:
            raise wrong(f"must have exactly {length} items")
        return tuple(each(enumerate(zip(value, items, strict=True)), lambda pair: converter.structure(*pair)))

    return structure_list


def _mapping_hook(cls: Any, converter: Converter) -> Hook:
    key, item = get_args(cls) or (str, Any)

    def structure_mapping(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise WrongKind("a mapping", value)
        key_hook = _integer_key if key is int else converter.get_structure_hook(key)
        keys = each(((name, name) for name in value), key_hook, key)
        return dict(zip(keys, each(value.items(), converter.get_structure_hook(item), item), strict=True))

    return structure_mapping


def _integer_key(value: Any, _: Any) -> int:
    """JSON has no other keys than strings: `logit_bias` writes token ids as decimals."""
    if type(value) is str and INTEGER_KEY.fullmatch(value):
        return int(value)
    return integer(value)


def _literal_hook(cls: Any, _: Converter) -> Hook:
    return _choice_hook({member: member for member in get_args(cls)})


def _choice_hook(members: Mapping[Any, Any]) -> Hook:
    expected = f"one of: {', '.join(map(str, members))}"
    kinds = {type(member) for member in members}

    def structure_choice(value: Any, _: Any) -> Any:
        if type(value) not in kinds:
            raise WrongKind(expected, value)
        if value not in members:
            raise wrong(f"must be {expected}")
        return members[value]

    return structure_choice


@cache
def _enum_hook(cls: type[Enum]) -> Hook:
    return _choice_hook({member.value: member for member in cls})


def enum_member(value: Any, cls: Any) -> Any:
    """A member of an enumeration, from its value."""
    return _enum_hook(cls)(value, cls)


def _union_hook(cls: Any, converter: Converter) -> Hook:
    members = [member for member in get_args(cls) if member is not type(None)]
    nullable = type(None) in get_args(cls)

    def structure_union(value: Any, _: Any) -> Any:
        if value is None and nullable:
            return None
        errors: list[StructureError] = []
        for member in members:
            try:
                return converter.get_structure_hook(member)(value, member)
            except StructureError as error:
                errors.append(error)
        raise _closest(errors, value)

    return structure_union


def _closest(errors: Sequence[StructureError], value: Any) -> StructureError:
    """What a union says when nothing fits: the complaint of the member that came nearest, or all that it could be."""
    near = [error for error in errors if not isinstance(error, WrongKind)]
    if near:
        return max(near, key=_nearness)
    return WrongKind(" or ".join(error.expected for error in errors if isinstance(error, WrongKind)), value)


def _nearness(error: StructureError) -> tuple[int, int, Sequence[int]]:
    """Few problems, deep inside, far along; the order of a union's members must not matter, since types share it."""
    path = error.problems[0].path
    return -len(error.problems), len(path), [step for step in path if isinstance(step, int)]


def _is_literal(cls: Any) -> bool:
    return get_origin(cls) is Literal


def _is_union(cls: Any) -> bool:
    return get_origin(cls) in (Union, types.UnionType)


def _is_mapping(cls: Any) -> bool:
    return (get_origin(cls) or cls) in MAPPINGS


def _is_list(cls: Any) -> bool:
    return (get_origin(cls) or cls) in (list, *TUPLES, *SETS)


FACTORIES: Sequence[tuple[Callable[[Any], bool], Callable[[Any, Converter], Hook]]] = (
    (_is_literal, _literal_hook),
    (_is_union, _union_hook),
    (_is_mapping, _mapping_hook),
    (_is_list, _list_hook),
)
