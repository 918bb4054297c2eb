"""Grammars that begin an answer and let none end, told before an answer begins."""

from collections import deque
from collections.abc import Sequence

from llguidance import LLMatcher

from lmx_constrain.masks import first_line

MOST_PLACES = 64
"""So many beginnings are looked at: a grammar with more of them is taken to have an end."""


def dead_end(matcher: LLMatcher) -> str | None:
    """Why every beginning leads to where nothing may follow, and no answer is complete before that; None if not so.

    The matcher, and what its copies share with it, is of no use to anybody else afterwards.
    """
    waiting = deque([matcher])
    seen, reason = 1, ""
    while waiting:
        here = waiting.popleft()
        if here.is_accepting():
            return None
        following = _following(here)
        seen += len(following)
        if seen > MOST_PLACES:
            return None
        told = first_line(here.get_error()) if here.is_error() else ""
        reason = reason or (told if " " in told else "")  # else it is a word for matchers, not for people
        waiting.extend(_after(here, token) for token in following)
    return reason or "nothing may follow what begins one"


def _following(matcher: LLMatcher) -> Sequence[int]:
    """The tokens that may come next; of too many only so many that it can be told."""
    tokens: list[int] = []
    for place, byte in enumerate(matcher.compute_bitmask()):
        if byte:
            tokens += (place * 8 + bit for bit in range(8) if byte >> bit & 1)
        if len(tokens) > MOST_PLACES:
            break
    return [] if matcher.is_error() else tokens


def _after(matcher: LLMatcher, token: int) -> LLMatcher:
    copied = matcher.deep_copy()
    copied.try_consume_tokens([token])
    return copied
