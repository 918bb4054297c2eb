"""Query parameters: text to an instance of the route's class, or a 400 that names what is wrong."""

import json
from collections.abc import Mapping
from typing import Any, get_args

from attrs import fields_dict, resolve_types

from lmx.http.bodies import invalid
from lmx.structure import StructureError, structure

READ_AS_JSON = frozenset({bool, int, float})


def parse(query: Mapping[str, str], cls: type) -> Any:
    """Validate query parameters against `cls`; raises InvalidRequest with the name of the first problem as `param`."""
    resolve_types(cls)
    kinds = {name: _kinds(field.type) for name, field in fields_dict(cls).items()}
    data = {name: _value(text, kinds.get(name, frozenset())) for name, text in query.items()}
    try:
        return structure(data, cls)
    except StructureError as error:
        raise invalid(error.problems) from error


def _kinds(annotation: Any) -> frozenset[Any]:
    return frozenset(get_args(annotation) or (annotation,))


def _value(text: str, kinds: frozenset[Any]) -> Any:
    """A number or boolean where one is wanted and the text is one; the text itself is refused where it does not fit."""
    if not kinds & READ_AS_JSON:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if type(value) in READ_AS_JSON else text
