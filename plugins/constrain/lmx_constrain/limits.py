"""How large a constraint may be."""

from collections.abc import Mapping, Sequence
from typing import Any

MAX_SOURCE_CHARS = 256 * 1024
"""A schema of this size takes a second or two to compile; nobody's prompt is prepared meanwhile."""
DEEPEST = 100
"""Levels of a schema: llguidance and json give up at about four hundred."""


def is_too_deep(schema: Any) -> bool:
    """Told without recursion, which is what too deep a schema would exhaust."""
    level = [schema]
    for _ in range(DEEPEST):
        level = [inner for value in level for inner in _inner(value)]
        if not level:
            return False
    return True


def _inner(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return [*value.values()]
    return value if isinstance(value, list | tuple) else ()
