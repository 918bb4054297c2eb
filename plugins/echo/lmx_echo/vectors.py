"""Vectors without a model: what occurs in an input is hashed to components (Weinberger et al., arXiv 0902.2206)."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from zlib import crc32

DIMENSIONS = 64
LONGEST_RUN = 3


def vector_of(tokens: Sequence[bytes], dimensions: int = DIMENSIONS) -> list[float]:
    """A vector of length 1: the same for the same tokens, near for inputs that have runs of tokens in common."""
    components = [0.0] * DIMENSIONS
    for run, times in Counter(_runs(tokens)).items():
        hashed = crc32(run)
        components[hashed % DIMENSIONS] += math.sqrt(times) * (1 if hashed & 1 << 31 else -1)
    return _normalised(components[:dimensions])


def likeness(one: Iterable[float], other: Iterable[float]) -> float:
    """The cosine of two vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def _runs(tokens: Sequence[bytes]) -> Iterator[bytes]:
    for length in range(1, LONGEST_RUN + 1):
        for start in range(len(tokens) - length + 1):
            yield b"\0".join(tokens[start : start + length])


def _normalised(components: Sequence[float]) -> list[float]:
    norm = math.sqrt(sum(value * value for value in components))
    return [value / norm for value in components] if norm else [1.0, *components[1:]]
