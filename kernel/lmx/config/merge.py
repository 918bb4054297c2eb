"""Values that remember where they were written, and how a later source changes an earlier one."""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

Path = tuple[str | int, ...]


@frozen
class Value:
    """A scalar, a `dict[str, Value]` or a `list[Value]`, and its origin: `file:line`, a variable or a flag."""

    data: Any
    origin: str


def wrap(data: Any, origin: str) -> Value:
    """Plain data as a Value, all of it from one origin."""
    if isinstance(data, dict):
        return Value({key: wrap(item, origin) for key, item in data.items()}, origin)
    if isinstance(data, list | tuple):
        return Value([wrap(item, origin) for item in data], origin)
    return Value(data, origin)


def nested(path: tuple[str, ...], value: Value) -> Value:
    """The mapping of mappings that holds `value` at `path`."""
    for key in reversed(path):
        value = Value({key: value}, value.origin)
    return value


def merge(earlier: Value, later: Value) -> Value:
    """Mappings merge deeply, anything else is replaced; a section without a key in it says nothing."""
    if not isinstance(earlier.data, dict):
        return later
    if later.data is None:
        return earlier
    if not isinstance(later.data, dict):
        return later
    changed = {
        key: merge(earlier.data[key], value) if key in earlier.data else value for key, value in later.data.items()
    }
    return Value({**earlier.data, **changed}, later.origin)


def find(value: Value, path: Path) -> Value | None:
    """What stands at `path`, or None."""
    for step in path:
        if not isinstance(value.data, dict) or step not in value.data:
            return None
        value = value.data[step]
    return value


def plain(value: Value) -> Any:
    """The data without its origins."""
    if isinstance(value.data, dict):
        return {key: plain(item) for key, item in value.data.items()}
    if isinstance(value.data, list):
        return [plain(item) for item in value.data]
    return value.data


def origins(value: Value) -> Mapping[Path, str]:
    """The origin of every value, by its path."""
    return dict(_walk(value, ()))


def _walk(value: Value, path: Path) -> Iterator[tuple[Path, str]]:
    yield path, value.origin
    if isinstance(value.data, dict):
        for key, item in value.data.items():
            yield from _walk(item, (*path, key))
    if isinstance(value.data, list):
        for index, item in enumerate(value.data):
            yield from _walk(item, (*path, index))
