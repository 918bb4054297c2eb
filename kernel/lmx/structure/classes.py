"""attrs classes: their fields with the ranges that their options set."""

from functools import cache
from typing import Any

import attrs
from cattrs import AttributeValidationNote, ClassValidationError, Converter, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from lmx.structure.problems import Problem, StructureError, WrongKind, did_you_mean, path_step, wrong
from lmx.structure.ranges import complaint
from lmx.structure.scalars import Hook
from lmx_hookspecs import Option, options_of


def is_class(cls: Any) -> bool:
    """Whether it is an attrs class."""
    return isinstance(cls, type) and attrs.has(cls)


def structure_class(value: Any, cls: Any, converter: Converter, *, forbid_unknown: bool) -> Any:
    """An instance of an attrs class; raises StructureError with the problems of all fields."""
    if type(value) is not dict:
        raise WrongKind("a mapping", value)
    try:
        return _reader(cls, converter, forbid_unknown)(value, cls)
    except ClassValidationError as error:
        raise StructureError(_problems(error, cls)) from None


@cache
def _reader(cls: Any, converter: Converter, forbid_unknown: bool) -> Hook:
    """The code that cattrs generates for a class, once."""
    attrs.resolve_types(cls)
    options = options_of(cls)
    checks: Any = {
        field.name: override(struct_hook=_checked(field.type, options[field.name], converter))
        for field in attrs.fields(cls)
    }
    return make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=forbid_unknown, **checks)


def _checked(cls: Any, option: Option, converter: Converter) -> Hook:
    hook = converter.get_structure_hook(cls)
    if option == Option(doc=option.doc, secret=option.secret, restart=option.restart):
        return hook

    def structure_checked(value: Any, _: Any) -> Any:
        result = hook(value, cls)
        message = complaint(result, option)
        if message is not None:
            raise wrong(message)
        return result

    return structure_checked


def _problems(error: ClassValidationError, cls: type) -> list[Problem]:
    problems: list[Problem] = []
    for cause in error.exceptions:
        field = _field_of(cause)
        if isinstance(cause, StructureError) and field is not None:
            problems += [problem.inside(field) for problem in cause.problems]
        elif isinstance(cause, ForbiddenExtraKeysError):
            problems += _unknown(cause, cls)
        elif isinstance(cause, KeyError) and field is not None:
            problems.append(Problem((field,), "is required"))
        elif isinstance(cause, ValueError | TypeError):
            problems.append(_refused_by_validator(cause))
        else:
            raise cause
    return problems


def _field_of(cause: BaseException) -> str | None:
    notes = getattr(cause, "__notes__", ())
    return next((note.name for note in notes if isinstance(note, AttributeValidationNote)), None)


def _unknown(cause: ForbiddenExtraKeysError, cls: type) -> list[Problem]:
    known = [field.name for field in attrs.fields(cls)]
    keys = sorted(cause.extra_fields, key=str)
    return [Problem((path_step(key),), f"unknown key{did_you_mean(key, known)}") for key in keys]


def _refused_by_validator(cause: Exception) -> Problem:
    """The validators of attrs pass the field as second argument; a plain message speaks for the whole class."""
    field = next((fact.name for fact in cause.args if isinstance(fact, attrs.Attribute)), None)
    message = str(cause.args[0]) if cause.args else "is not valid"
    return Problem((field,) if field else (), message)
