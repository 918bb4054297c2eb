"""Two spellings of one key: `models.default_model` and `routing.default_model`."""

from lmx.config.merge import Value, find, merge, nested
from lmx.structure import Problem

SPELLINGS = (("models", "default_model"), ("routing", "default_model"))


def joined(layer: Value) -> Value:
    """The same files, variables or flags with both spellings set where one is, so that a later layer beats both."""
    written = [value for path in SPELLINGS if (value := find(layer, path)) is not None]
    given = [value for value in written if value.data is not None] or written[:1]
    if len(given) != 1:
        return layer
    for path in SPELLINGS:
        section = find(layer, path[:1])
        if section is None or section.data is None or isinstance(section.data, dict):
            layer = merge(layer, nested(path, given[0]))
    return layer


def contradictions(root: Value) -> list[Problem]:
    """The problem of two different values, if there is one."""
    first, second = (find(root, path) for path in SPELLINGS)
    if first is None or second is None or first.data == second.data:
        return []
    name = ".".join(SPELLINGS[0])
    return [Problem(SPELLINGS[1], f"contradicts {name} ({first.origin}), which is the same key")]
