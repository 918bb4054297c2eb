"""Vectors on their way from a worker to the kernel: 32-bit floats, so that a large batch is a small frame."""

import math
import sys
from array import array
from collections.abc import Sequence

from lmx_hookspecs.errors import EngineFailed, InvalidRequest

VECTORS_A_FRAME = 64
"""More travel in several frames: beats and pieces must get through between them."""

Placed = tuple[int, bytes]
"""The place of an input in its request, and its vector."""


def to_wire(vector: Sequence[float]) -> bytes:
    """Little-endian; raises EngineFailed for a vector that is none."""
    floats = array("f", vector)
    if not floats or not all(map(math.isfinite, floats)):
        raise EngineFailed("the engine gave a vector that is empty, or not of finite numbers; is the model damaged?")
    return _swapped(floats).tobytes()


def from_wire(sent: bytes) -> Sequence[float]:
    """As it was before `to_wire`, in single precision."""
    floats = array("f")
    floats.frombytes(sent)
    return _swapped(floats)


def shortened(vector: Sequence[float], dimensions: int | None) -> Sequence[float]:
    """The first components, of length 1 again: what Matryoshka models are trained for (arXiv 2205.13147).

    Raises InvalidRequest where there are not so many.
    """
    if dimensions is None or dimensions == len(vector):
        return vector
    if dimensions > len(vector):
        raise InvalidRequest(
            f"dimensions is {dimensions} and this model's vectors have {len(vector)}; ask for fewer", param="dimensions"
        )
    kept = vector[:dimensions]
    norm = math.sqrt(math.fsum(value * value for value in kept))
    return [value / norm for value in kept] if norm else kept


def _swapped(floats: "array[float]") -> "array[float]":
    if sys.byteorder == "big":
        floats.byteswap()
    return floats
