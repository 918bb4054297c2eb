"""What bodies may hold beyond what their classes say: metadata, attributes, ways to cut."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from lmx_hookspecs.errors import InvalidRequest

MAX_ENTRIES = 16
MAX_KEY = 64
MAX_VALUE = 512
CHUNK_TOKENS = (100, 4096)
AUTO, STATIC = "auto", "static"


def checked_metadata(given: Mapping[str, Any] | None) -> Mapping[str, str]:
    """Texts only; raises InvalidRequest."""
    metadata = _entries(given, "metadata")
    for key, value in metadata.items():
        if not isinstance(value, str):
            raise InvalidRequest(f"metadata.{key} must be a string", param="metadata")
    return metadata


def checked_attributes(given: Mapping[str, Any] | None, param: str = "attributes") -> Mapping[str, Any]:
    """Texts, numbers and booleans; raises InvalidRequest."""
    attributes = _entries(given, param)
    for key, value in attributes.items():
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not isfinite(value)):
            raise InvalidRequest(f"{param}.{key} must be a string, a number or a boolean", param=param)
    return attributes


def chunk_sizes(strategy: Mapping[str, Any] | None, default: tuple[int, int], param: str) -> tuple[int, int]:
    """Tokens of a chunk, and those that it repeats of the one before; raises InvalidRequest."""
    kind = AUTO if strategy is None else strategy.get("type")
    if strategy is None or kind == AUTO:
        return default
    if kind != STATIC:
        raise InvalidRequest(f"{param}.type must be auto or static", param=f"{param}.type")
    static = strategy.get(STATIC)
    if not isinstance(static, Mapping):
        raise InvalidRequest(
            f"{param}.static must be an object with max_chunk_size_tokens and chunk_overlap_tokens",
            param=f"{param}.static",
        )
    low, high = CHUNK_TOKENS
    size = _tokens(static, "max_chunk_size_tokens", f"{param}.static", low, high)
    return size, _tokens(static, "chunk_overlap_tokens", f"{param}.static", 0, size // 2)


def _tokens(static: Mapping[str, Any], name: str, place: str, low: int, high: int) -> int:
    value = static.get(name)
    if type(value) is not int or not low <= value <= high:
        raise InvalidRequest(f"{place}.{name} must be an integer between {low} and {high}", param=f"{place}.{name}")
    return value


def _entries(given: Mapping[str, Any] | None, param: str) -> Mapping[str, Any]:
    entries = given or {}
    if len(entries) > MAX_ENTRIES:
        raise InvalidRequest(f"{param} has more than {MAX_ENTRIES} entries", param=param)
    for key, value in entries.items():
        if not 0 < len(key) <= MAX_KEY or (isinstance(value, str) and len(value) > MAX_VALUE):
            raise InvalidRequest(
                f"{param}: keys have 1 to {MAX_KEY} characters, and texts at most {MAX_VALUE}", param=param
            )
    return entries
