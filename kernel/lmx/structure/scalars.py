"""Values without parts, and free-form data: taken as they are or refused, never converted."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lmx.structure.problems import WrongKind, each, wrong

Hook = Callable[[Any, Any], Any]

MAX_DEPTH = 100
"""Levels of nesting inside a free-form value: more than any schema or message needs, less than a stack holds."""


def boolean(value: Any, _: Any = bool) -> bool:
    """True or false, not a word for it."""
    if type(value) is not bool:
        raise WrongKind("true or false", value)
    return value


def integer(value: Any, _: Any = int) -> int:
    """Neither a boolean nor 3.0, and what a frame to a worker can hold: signed or unsigned 64 bits."""
    if type(value) is not int:
        raise WrongKind("an integer", value)
    if not -(2**63) <= value < 2**64:
        raise wrong("must fit into 64 bits")
    return value


def number(value: Any, _: Any = float) -> float:
    """Any finite number."""
    if type(value) is int:
        return float(integer(value))
    if type(value) is not float:
        raise WrongKind("a number", value)
    if not math.isfinite(value):
        raise wrong("must be a finite number")
    return value


def string(value: Any, _: Any = str) -> str:
    """Text that UTF-8 can encode."""
    if type(value) is not str:
        raise WrongKind("a string", value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise wrong("must be valid Unicode, without lone surrogates") from None
    return value


def path(value: Any, _: Any = Path) -> Path:
    """A path, with `~` expanded."""
    text = string(value)
    if not text or "\0" in text:
        raise wrong("must be a path")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise wrong("must not begin with ~ here: that home folder is unknown") from None


def null(value: Any, _: Any = None) -> None:
    """Nothing."""
    if value is not None:
        raise WrongKind("null", value)


def free_form(value: Any, _: Any = Any, depth: int = 0) -> Any:
    """Any plain data, unchanged, with the same limits on its leaves."""
    if depth > MAX_DEPTH:
        raise wrong(f"is nested deeper than {MAX_DEPTH} levels")
    leaf = LEAVES.get(type(value))
    if leaf is not None:
        leaf(value, Any)
    elif type(value) is dict:
        each(((key, key) for key in value), string)
        each(value.items(), free_form, Any, depth + 1)
    elif type(value) in (list, tuple):
        each(enumerate(value), free_form, Any, depth + 1)
    elif value is not None and type(value) is not bool:
        raise WrongKind("plain data", value)
    return value


LEAVES: Mapping[type, Hook] = {str: string, int: integer, float: number}
SCALARS: Mapping[type, Hook] = {**LEAVES, bool: boolean, Path: path, type(None): null}
