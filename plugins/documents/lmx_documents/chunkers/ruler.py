"""A text measured in tokens: once as a whole, so that any part of it can be estimated by bisection."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from attrs import frozen

from lmx_hookspecs import TokenCounter

SPACE = re.compile(r"\s*+")


@frozen(eq=False)
class Ruler:
    """Estimates are by the tokens of the whole text; a part by itself may have a few more or less."""

    text: str
    counter: TokenCounter
    ends: Sequence[int]

    def count(self, start: int, end: int) -> int:
        """Tokens of a part by itself, exactly."""
        return self.counter.count(self.text[start:end])

    def tokens(self, start: int, end: int) -> int:
        """About how many tokens a part has."""
        return bisect_right(self.ends, end) - bisect_right(self.ends, start)

    def reach(self, start: int, tokens: int) -> int:
        """How far so many tokens go at most: just before the last character of the next one."""
        beyond = bisect_right(self.ends, start) + tokens
        return self.ends[beyond] - 1 if beyond < len(self.ends) else len(self.text)

    def reach_back(self, end: int, tokens: int) -> Sequence[int]:
        """Where so many tokens before a place begin, and the tokens after that, the first few of them."""
        first = bisect_right(self.ends, end) - tokens
        if first <= 0:
            return (0,)
        return self.ends[first - 1 : first + min(tokens, 8) - 1]

    def token_end(self, most: int) -> int:
        """The last end of a token up to a place; 0 where there is none."""
        index = bisect_right(self.ends, most)
        return self.ends[index - 1] if index else 0

    def solid(self, start: int, end: int) -> int:
        """The first character of a part that is no white space; its end where there is none."""
        match = SPACE.match(self.text, start, end)
        return match.end() if match else start


def measured(text: str, counter: TokenCounter) -> Ruler:
    """Tokenise the text, once."""
    return Ruler(text, counter, counter.ends(text))


def first_after(places: Sequence[int], place: int, default: int) -> int:
    """The first of some ascending places that comes after another."""
    index = bisect_right(places, place)
    return places[index] if index < len(places) else default


def last_until(places: Sequence[int], place: int) -> int:
    """The last of some ascending places that does not come after another; -1 where there is none."""
    index = bisect_right(places, place)
    return places[index - 1] if index else -1


def between(places: Sequence[int], start: int, end: int) -> Sequence[int]:
    """Those from `start` on and before `end`."""
    return places[bisect_left(places, start) : bisect_left(places, end)]
