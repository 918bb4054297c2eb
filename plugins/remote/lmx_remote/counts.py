"""Counts of tokens as nodes tell them."""

from typing import Any

MOST_TOKENS = 100_000_000
"""More than any request can have: who counts so many does not count."""


def count_of(value: Any) -> int:
    """Raises ValueError for what is no number of tokens, TypeError for what is no number."""
    count = int(value)
    if not 0 <= count <= MOST_TOKENS:
        raise ValueError("that is no number of tokens")
    return count
