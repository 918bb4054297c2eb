"""Request bodies: bytes to an instance of the route's class, or a 400 that names what is wrong."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from attrs import NOTHING, evolve, fields, fields_dict, frozen

from lmx.structure import Problem, StructureError, structure
from lmx_hookspecs.config import options_of
from lmx_hookspecs.errors import InvalidRequest

MULTIPART = "multipart/form-data"
"""Never JSON, and taken by routes with `max_files` only. `application/x-www-form-urlencoded` is what curl sends by
itself, and its body may well be JSON; pages of other sites, which can post it too, are stopped by their Origin."""
MAX_PROBLEMS = 5
"""Beyond these a message helps nobody."""
MAX_NAME = 128
"""Characters of a field name or path that an answer repeats."""


@frozen
class Body:
    """A validated body, and the top-level fields that its class does not know."""

    value: Any
    unknown: Mapping[str, Any]


def parse(raw: bytes, content_type: str, cls: type, *, allow_unknown: bool) -> Body:
    """Validate a JSON body against `cls`; raises InvalidRequest with the path of the first problem as `param`."""
    refuse_form(content_type)
    data = decode(raw) if raw.strip() else _nothing(cls)
    return fit(data, cls, allow_unknown=allow_unknown)


def refuse_form(content_type: str) -> None:
    """Raises InvalidRequest for a form."""
    if content_type.partition(";")[0].strip().lower() == MULTIPART:
        raise InvalidRequest("the body is a form; send JSON with Content-Type: application/json")


def fit(data: Mapping[str, Any], cls: type, *, allow_unknown: bool) -> Body:
    """Validate plain data; raises as `parse` does."""
    known = fields_dict(cls).keys()
    unknown = {name: value for name, value in data.items() if name not in known} if allow_unknown else {}
    _check_names(unknown)
    try:
        value: Any = structure({name: value for name, value in data.items() if name not in unknown}, cls)
    except StructureError as error:
        raise invalid(tuple(_explained(problem, data, cls) for problem in error.problems)) from error
    return Body(value, unknown)


def invalid(problems: tuple[Problem, ...]) -> InvalidRequest:
    """The answer to data that does not fit its class; `param` is the path of the first problem."""
    told = "; ".join(f"{_where(problem)}: {problem.message}" for problem in problems[:MAX_PROBLEMS])
    more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
    return InvalidRequest(told + more, param=_where(problems[0]) or None)


def _explained(problem: Problem, data: Mapping[str, Any], cls: type) -> Problem:
    """What is missing at the top comes with what belongs there."""
    name = problem.where
    option = options_of(cls).get(name)
    if option is None or not option.doc or name in data:
        return problem
    return evolve(problem, message=f"{problem.message}: {option.doc}")


def _nothing(cls: type) -> dict[str, Any]:
    if any(field.default is NOTHING for field in fields(cls)):
        raise InvalidRequest("the body is empty; send a JSON object")
    return {}


def decode(raw: bytes) -> dict[str, Any]:
    """A JSON object, read strictly; raises InvalidRequest."""
    try:
        data = load_json(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8 (byte {error.start}); send JSON encoded as UTF-8") from error
    if type(data) is not dict:
        raise InvalidRequest("the body must be a JSON object")
    return data


def load_json(text: str, what: str = "the body") -> Any:
    """Any JSON value, read strictly; raises InvalidRequest."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise InvalidRequest(f"{what} is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"{what} is not valid JSON: {error.msg.lower()} at line {error.lineno}, column {error.colno}"
        ) from error
    except ValueError as error:  # Python refuses to convert integers of thousands of digits
        raise InvalidRequest(f"{what} holds an integer that does not fit into 64 bits") from error


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequest(f"the body is not valid JSON: {name} is no JSON number")


def _check_names(unknown: Mapping[str, Any]) -> None:
    for name in unknown:
        if len(name) > MAX_NAME:
            raise InvalidRequest(f"the field name {name[:MAX_NAME]!a}… is no name of a field; leave it out")
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise InvalidRequest(f"the field name {name!a} holds a lone surrogate; send valid Unicode")


def _where(problem: Problem) -> str:
    return problem.where if len(problem.where) <= MAX_NAME else f"{problem.where[:MAX_NAME]}…"
