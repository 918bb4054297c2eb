"""Arguments and results of calls between processes, as the type hints of a Protocol describe them.

Both sides are ours, of one installation, and what clients sent was checked when it arrived: here nothing is, so that a
thousand chunks take milliseconds.
"""

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import msgpack
from attrs import define, field, frozen

from lmx.workers.frames import FrameError, plain

PIECE_BYTES = 1 << 20
"""Beats and other calls get through between two pieces of a large one."""
MOST_BYTES = 512 << 20
"""Of one call or its result."""


class TooMuch(FrameError):
    """A value is larger than any call may be."""


@frozen
class Signature:
    """What a method takes, by name, and what it returns."""

    shape: inspect.Signature
    hints: Mapping[str, Any]

    def named(self, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments of a call by their names."""
        named = self.shape.bind(None, *arguments, **keywords).arguments
        return {name: value for name, value in named.items() if name != "self"}

    def arguments(self, wired: Mapping[str, Any]) -> dict[str, Any]:
        """What arrived, as the method takes it."""
        return {name: structured(value, self.hints[name]) for name, value in wired.items()}

    def result(self, wired: Any) -> Any:
        """What arrived, as the method returned it."""
        hint = self.hints["return"]
        return None if hint is type(None) else structured(wired, hint)


@cache
def signature_of(protocol: type, method: str) -> Signature:
    """Of a method that the Protocol describes; raises AttributeError for another one."""
    described = getattr(protocol, method)
    return Signature(inspect.signature(described), get_type_hints(described))


def structured(value: Any, hint: Any) -> Any:
    """Plain data as a value of that type."""
    return _converter().structure(value, hint)


def packed(value: Any) -> bytes:
    """A value as bytes; raises FrameError for what is no plain data, and for what is too much."""
    try:
        body: bytes = msgpack.packb(value, default=plain)
    except (ValueError, TypeError, OverflowError) as error:
        raise FrameError(f"a value cannot be sent between processes: {error}") from error
    if len(body) > MOST_BYTES:
        raise TooMuch(f"{len(body)} bytes exceed the {MOST_BYTES} of a call; send less at a time")
    return body


def unpacked(body: bytes) -> Any:
    """The plain data of a value."""
    return msgpack.unpackb(body, strict_map_key=False, max_bin_len=MOST_BYTES, max_str_len=MOST_BYTES)


def pieces(body: bytes) -> Iterator[tuple[bytes, bool]]:
    """Parts that fit into frames, each with whether it is the last."""
    view = memoryview(body)
    for start in range(0, max(1, len(body)), PIECE_BYTES):
        yield bytes(view[start : start + PIECE_BYTES]), start + PIECE_BYTES >= len(body)


@define(eq=False)
class Joiner:
    """Puts what arrived in pieces together."""

    _held: dict[int, list[bytes]] = field(factory=dict, init=False)

    def put(self, call_id: int, piece: bytes) -> None:
        """A piece that is not the last one."""
        self._held.setdefault(call_id, []).append(piece)

    def whole(self, call_id: int, last: bytes) -> bytes:
        """All of it."""
        return b"".join([*self._held.pop(call_id, ()), last])

    def drop(self, call_id: int) -> None:
        """Nobody wants it any more."""
        self._held.pop(call_id, None)


@cache
def _converter() -> Any:
    from cattrs import Converter

    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    converter.register_structure_hook(bytes, lambda value, _: value)
    return converter
