"""A text measured in tokens: once as a whole, so that any part of it can be estimated by bisection."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from attrs import frozen

from lmx_hookspecs import TokenCounter
from lmx_hookspecs.token_counting import pieces

SPACE = re.compile(r"\s*+")
WORD_END = re.compile(r"\w(?=\s)")
EDGE_CHARS = 128


@frozen(eq=False)
class Ruler:
    """Estimates are by the tokens of the whole text; a part by itself may have a few more or less."""

    text: str
    counter: TokenCounter
    ends: Sequence[int]
    seams: Sequence[int]
    """Where the text was cut to be measured: a tokenizer may make another token there."""

    def count(self, start: int, end: int) -> int:
        """Tokens of a part by itself, exactly.

        Only the edges of a long part are tokenised again. Tokenizers read word by word: where a word ends in the edge
        as it does in the whole text, what follows is the same in both.
        """
        counted = self._count_by_edges(start, end) if end - start > 4 * EDGE_CHARS else None
        return self.counter.count(self.text[start:end]) if counted is None else counted

    def _count_by_edges(self, start: int, end: int) -> int | None:
        last = end - EDGE_CHARS
        head, tail = self.counter.ends(self.text[start : start + EDGE_CHARS]), self.counter.ends(self.text[last:end])
        left = self._agreed(head, start, reversed(self._word_ends(start)))
        right = self._agreed(tail, last, self._word_ends(last))
        if left is None or right is None or between(self.seams, left, right):
            return None
        return (
            bisect_right(head, left - start) + self.tokens(left, right) + len(tail) - bisect_right(tail, right - last)
        )

    def _word_ends(self, start: int) -> Sequence[int]:
        return [end.end() for end in WORD_END.finditer(self.text, start, start + EDGE_CHARS)]

    def _agreed(self, ends: Sequence[int], start: int, places: Iterable[int]) -> int | None:
        """The first of the places at which a token ends, by itself and in the whole text."""
        return next((place for place in places if _has(ends, place - start) and _has(self.ends, place)), None)

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
    return Ruler(text, counter, counter.ends(text), [start for start, _ in pieces(text)])


def _has(places: Sequence[int], place: int) -> bool:
    index = bisect_left(places, place)
    return index < len(places) and places[index] == place


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
