from typing import Any

from lmx_mlx.lookup import PromptLookup


def test_the_lookup_gives_what_followed_last() -> None:
    lookup = PromptLookup()
    lookup.begin()

    assert lookup.propose([1, 2, 3, 4, 9, 2, 3, 5, 6, 2, 3], 3, draw) == [5, 6, 2]
    assert lookup.propose([1, 2, 3, 4, 9, 2, 3, 5, 6, 2, 3, 4], 2, draw) == [9, 2]
    assert lookup.propose([1, 2, 3, 4, 9, 2, 3, 5, 6, 2, 3, 4, 77], 2, draw) == []
    lookup.begin()
    assert lookup.propose([8, 2, 3], 3, draw) == []


def draw(logits: Any, guesses: Any) -> int:
    raise AssertionError(f"a lookup draws nothing: {logits}, {guesses}")
