"""Guesses out of the text itself: what followed the last tokens where they stood before (prompt lookup decoding).

Source: https://github.com/apoorvumang/prompt-lookup-decoding
"""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field

NGRAMS = (3, 2)
"""Lengths of what has to have stood before, the longest tried first."""


@define(eq=False)
class PromptLookup:
    """A Drafter without a model; it remembers where each sequence of tokens of a row ended last."""

    kind: str = field(default="prompt_lookup", init=False)
    _seen: int = field(default=0, init=False)
    _ends: dict[tuple[int, ...], int] = field(factory=dict, init=False)

    def begin(self) -> None:
        """A row of other tokens begins."""
        self._seen = 0
        self._ends.clear()

    def catch_up(self, tokens: Sequence[int], most: int) -> bool:  # noqa: ARG002  it has nothing to compute
        """Whether it is ready to guess."""
        return True

    def propose(self, tokens: Sequence[int], count: int, draw: Callable[..., Any]) -> list[int]:  # noqa: ARG002
        """What followed the last tokens the last time that they occurred; nothing where they did not."""
        for end in range(self._seen, len(tokens)):
            for length in NGRAMS:
                if end >= length:
                    self._ends[tuple(tokens[end - length : end])] = end
        self._seen = len(tokens)
        for length in NGRAMS:
            found = self._ends.get(tuple(tokens[-length:]))
            if found is not None:
                return list(tokens[found : found + count])
        return []
