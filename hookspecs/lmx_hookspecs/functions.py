"""What the functions of tools may be called and look like, the same on every surface and in every dialect."""

import re
from collections.abc import Mapping
from typing import Any

from lmx_hookspecs.errors import InvalidRequest

MAX_FUNCTION_NAME = 128
_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_FUNCTION_NAME}}}")
"""Models write names between brackets, quotes, colons and line breaks: what holds one of those is never read back."""
_LENGTHS = ("minLength", "maxLength")


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

    As deep as calls are written and read by it; null counts as left out, since many clients send it so.
    """
    if parameters is None:
        return
    if not isinstance(parameters, Mapping):
        raise InvalidRequest(f"{param} must be a JSON schema, an object", param=param)
    properties, required = parameters.get("properties"), parameters.get("required")
    if not isinstance(properties, Mapping | None):
        raise InvalidRequest(f"{param}.properties must be an object", param=param)
    if required is not None and not (
        isinstance(required, list | tuple) and all(isinstance(it, str) for it in required)
    ):
        raise InvalidRequest(f"{param}.required must be a list of names", param=param)
    for name, schema in (properties or {}).items():
        _check_property(schema, f"{param}.properties.{name}", param)


def _check_property(schema: Any, place: str, param: str) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise InvalidRequest(f"{place} must be a JSON schema: an object, true or false", param=param)
    if not isinstance(schema.get("enum"), list | tuple | None):
        raise InvalidRequest(f"{place}.enum must be a list", param=param)
    for word in _LENGTHS:
        length = schema.get(word)
        if length is not None and (isinstance(length, bool) or not isinstance(length, int) or length < 0):
            raise InvalidRequest(f"{place}.{word} must be a whole number, 0 or more", param=param)
